"""The parser of the command line: the verbs, and a verb for every action."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from sparkplug import __version__
from sparkplug.actions.action import Action, Argument
from sparkplug.actions.registry import ACTIONS
from sparkplug.cli.verb import Verb, VerbOrFilter, VerbParser, add_global, add_listing, seconds
from sparkplug.cli.verbs import GROUPS, VERBS

_EPILOG = "`sparkplug` alone opens the control centre. `sparkplug VERB --help` says more."
ACTION_HANDLER = "sparkplug.cli.actions:run_action"


def build_parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of all verbs. A parsed verb has `handler`, and `action_object` when it is one.

    When the first of `words` names a verb or a group, only that one is built: making all of
    them takes longer than most verbs do.
    """
    first = words[0] if words else ""
    if not any(first == path[0] for path in _paths()):
        first = ""
    parser = VerbParser(
        prog="sparkplug",
        description="The control centre for AI agents on GPU hosts.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"sparkplug {__version__}")
    add_global(parser)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    groups: dict[str, Any] = {}
    for verb in VERBS:
        if first and verb.path[0] != first:
            continue
        if verb.path[0] in GROUPS and len(verb.path) == 1:
            _add_listing_group(verbs, groups, verb)
            continue
        below = _add(verbs, groups, verb.path, verb.help)
        verb.arguments(below)
        if verb.listing:
            add_listing(below, labels=verb.labels)
        add_global(below)
        below.set_defaults(handler=verb.handler, verb=verb)
    shown = {verb.path for verb in VERBS}
    for action in ACTIONS.values():
        # Of an action with a verb of its own that is the one.
        if (first and action.verb[0] != first) or action.verb in shown:
            continue
        below = _add(verbs, groups, action.verb, action.help)
        add_action(below, action)
        add_global(below)
        below.set_defaults(handler=ACTION_HANDLER, verb=None, action_object=action)
    return parser


def _paths() -> Iterator[tuple[str, ...]]:
    yield from (verb.path for verb in VERBS)
    yield from (action.verb for action in ACTIONS.values())


def _add(
    verbs: Any, groups: dict[str, Any], path: tuple[str, ...], text: str
) -> argparse.ArgumentParser:
    """The parser of one verb, its group made when it is the first."""
    where = verbs
    if len(path) > 1:
        group = path[0]
        if group not in groups:
            above = verbs.add_parser(group, help=GROUPS[group], description=GROUPS[group])
            groups[group] = above.add_subparsers(title="verbs", metavar="VERB", required=True)
        where = groups[group]
    made: argparse.ArgumentParser = where.add_parser(path[-1], help=text, description=text)
    return made


def _add_listing_group(verbs: Any, groups: dict[str, Any], verb: Verb) -> None:
    """A listing that is a group of verbs as well: a word that is none of them is its filter."""
    name = verb.path[0]
    above = verbs.add_parser(name, help=verb.help, description=verb.help)
    add_listing(above, labels=verb.labels, filtered=False)
    add_global(above)
    above.set_defaults(handler=verb.handler, verb=verb, filter="")
    listing = VerbParser(prog=above.prog, description=verb.help)
    add_listing(listing, labels=verb.labels)
    add_global(listing)
    made = above.add_subparsers(
        title="verbs", metavar="FILTER|VERB", action=VerbOrFilter, parser_class=VerbParser
    )
    made.listing = listing
    groups[name] = made


def add_action(parser: argparse.ArgumentParser, action: Action) -> None:
    """The arguments of an action, and those that every action has."""
    for argument in action.arguments:
        _add_argument(parser, argument, many=action.many and argument.kind == action.target)
    if action.writes:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    if action.id == "runs.submit":
        parser.add_argument("-d", "--detach", action="store_true", help="do not wait for its end")


def _add_argument(parser: argparse.ArgumentParser, argument: Argument, *, many: bool) -> None:
    stdin = "; - reads it from stdin" if argument.stdin else ""
    options: dict[str, Any] = {"help": argument.help + stdin}
    if argument.kind == "switch":
        options["action"] = "store_true"
    else:
        options["default"] = argument.default
        if argument.kind == "integer":
            options["type"] = int
        elif argument.kind == "seconds":
            options["type"] = seconds
        if argument.choices:
            options["choices"] = argument.choices
        if argument.repeated:
            options |= {"action": "append", "default": []}
    if argument.flag is not None:
        if argument.kind != "switch":
            options["metavar"] = "KEY=VALUE" if argument.kind == "pairs" else argument.name.upper()
        flags = [flag for flag in (argument.short, argument.flag) if flag is not None]
        added = parser.add_argument(*flags, dest=argument.name, **options)
    else:
        if many:
            options["nargs"] = "+"
        elif not argument.required or argument.unless:
            options["nargs"] = "?"
        added = parser.add_argument(argument.name, metavar=argument.name.upper(), **options)
    added.kind = argument.kind  # type: ignore[attr-defined]
