"""What a verb of the command line is, and the arguments that many of them share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sparkplug.schema.errors import InvalidError

FORMATS = ("table", "wide", "json", "yaml", "name")


def nothing(parser: argparse.ArgumentParser) -> None:
    """For verbs without arguments of their own."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: its words, and where its handler is (`module:function`, imported when it runs).

    `listing` verbs take a filter and `--watch`; `labels` verbs `-l` as well.
    """

    path: tuple[str, ...]
    help: str
    handler: str
    arguments: Callable[[argparse.ArgumentParser], None] = nothing
    listing: bool = False
    labels: bool = False
    writes: bool = False


class VerbParser(argparse.ArgumentParser):
    """A parser that raises InvalidError where argparse would print and exit.

    `rest` names the argument that takes all words after `--`, whatever they look like: argparse
    would have it empty where an option stands before them.
    """

    rest = ""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        if not self.rest or args is None or "--" not in args:
            return super().parse_known_args(args, namespace)
        words = list(args)
        end = words.index("--")
        found, unknown = super().parse_known_args(words[:end], namespace)
        setattr(found, self.rest, words[end + 1 :])
        return found, unknown

    def error(self, message: str) -> None:  # type: ignore[override]
        raise InvalidError(plain(message), hint=f"`{self.prog} --help` shows the usage")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if not isinstance(action, VerbOrFilter):
            super()._check_value(action, value)


def rest(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """Have the words after `--` as the argument `name`; `text` says in the help what they are."""
    assert isinstance(parser, VerbParser)
    parser.rest, parser.epilog = name, text
    parser.set_defaults(**{name: []})


class VerbOrFilter(argparse._SubParsersAction):  # type: ignore[type-arg]  # noqa: SLF001
    """Verbs below a listing: what is none of them is an argument of the listing."""

    listing: VerbParser

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Go on with the verb's parser, or with the listing's."""
        if values[0] in self.choices:
            super().__call__(parser, namespace, values, option_string)
        else:
            self.listing.parse_args(values, namespace)


def plain(message: str) -> str:
    """argparse's message in our words, with a suggestion for a mistyped verb."""
    if "invalid choice: " not in message or "choose from" not in message:
        return message
    from sparkplug.schema.problems import did_you_mean

    label, _, rest = message.partition(": invalid choice: ")
    word, _, choices = rest.partition(" (choose from ")
    word = word.strip("'\"")
    known = [choice.strip(" '\")") for choice in choices.split(",")]
    meant = did_you_mean(word, known)
    if label in ("argument VERB", "argument verb"):
        return f"no verb {word}{meant}"
    return f"{label}: {word} is none of {', '.join(known)}{meant}"


def seconds(text: str) -> float:
    """The type of an argument that is a duration, like 30s or 10m."""
    from sparkplug.schema.units import parse_seconds

    try:
        value = float(parse_seconds(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if value < 0:
        raise argparse.ArgumentTypeError("a duration is not below zero")
    return value


def add_global(parser: argparse.ArgumentParser) -> None:
    """The flags that stand before or after any verb. Unset, they leave no trace."""
    group = parser.add_argument_group("everywhere")

    def add(*names: str, **options: object) -> None:
        group.add_argument(*names, default=argparse.SUPPRESS, **options)  # type: ignore[arg-type]

    add("--url", metavar="URL", help="the mesh at this NATS URL, not this host's own")
    add("--context", metavar="NAME", help="the mesh of this name")
    add("--json", action="store_true", help="the same as -o json")
    add("-o", "--output", choices=FORMATS, metavar="FORMAT", help=" | ".join(FORMATS))
    add("--readonly", action="store_true", help="refuse whatever changes something")
    add("--yes", "-y", action="store_true", help="do not ask")
    add("--debug", action="store_true", help="show where an error came from")
    add("--theme", metavar="NAME", help="theme of the control centre")
    add("--pane", metavar="NAME", help="pane the control centre opens on")


def add_listing(parser: argparse.ArgumentParser, *, labels: bool, filtered: bool = True) -> None:
    """The arguments of a listing."""
    if filtered:
        parser.add_argument(
            "filter", nargs="?", default="", help="rows that match this expression; !x: that do not"
        )
    if labels:
        parser.add_argument(
            "-l",
            "--label",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="rows with this label",
        )
    parser.add_argument("-w", "--watch", action="store_true", help="go on showing it")
