"""How results are printed: aligned tables, JSON, YAML or names; data on stdout, talk on stderr."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TextIO, TypeVar

from sparkplug.schema.errors import InvalidError
from sparkplug.schema.text import one_line, strip_controls

Item = TypeVar("Item")

#: Control characters and direction marks that JSON may hold as they are, and a terminal obeys.
_OBEYED = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
#: Kinds of characters that take no column: marks over others, joiners.
_NO_WIDTH = ("Mn", "Me", "Cf")
_GAP = "  "
_NONE = "—"


@dataclass(frozen=True, slots=True)
class Column(Generic[Item]):
    """A column of a listing. `wide` ones are shown by `-o wide` only."""

    title: str
    cell: Callable[[Item], object]
    wide: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """How a kind of thing is listed: its columns, its name, its JSON."""

    columns: Sequence[Column[Item]]
    name: Callable[[Item], str]
    data: Callable[[Item], Any]
    empty: str = "nothing to show"


@dataclass(slots=True)
class Output:
    """Where a call of the command line prints, and in which form."""

    format: str = "table"
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)

    @property
    def structured(self) -> bool:
        """True for JSON and YAML."""
        return self.format in ("json", "yaml")

    @property
    def live(self) -> bool:
        """True when a person sees stdout."""
        return self.stdout.isatty()

    def text(self, text: str) -> None:
        """A line of data. Terminal escapes in it are taken out."""
        print(strip_controls(text), file=self.stdout)

    def piece(self, text: str) -> None:
        """A piece of data that another follows."""
        self.stdout.write(strip_controls(text))
        self.stdout.flush()

    def talk(self, text: str) -> None:
        """A line for a person, beside the data."""
        print(strip_controls(text), file=self.stderr, flush=True)

    def passing(self, text: str) -> None:
        """How far something is: a line on a terminal, in the place of the one before."""
        if self.stderr.isatty():
            self.stderr.write(f"\r{strip_controls(text)}\x1b[K")
            self.stderr.flush()

    def data(self, value: Any) -> None:
        """A value as JSON, or as YAML when that was asked for."""
        self.stdout.write(self.render_data(value))
        self.stdout.flush()

    def json_line(self, value: Any) -> None:
        """A value as JSON on one line: one of a stream."""
        self.stdout.write(to_json(value, indent=None))
        self.stdout.flush()

    def render_data(self, value: Any) -> str:
        """The text that `data` prints."""
        return to_yaml(value) if self.format == "yaml" else to_json(value, indent=2)

    def render(self, items: Sequence[Item], listing: Listing[Item]) -> str:
        """A listing in the chosen form, ending in a newline."""
        if self.structured:
            return self.render_data([listing.data(item) for item in items])
        if self.format == "name":
            names = dict.fromkeys(one_line(listing.name(item)) for item in items)
            return "".join(f"{name}\n" for name in names)
        if not items:
            return ""
        columns = [c for c in listing.columns if not c.wide or self.format == "wide"]
        return table(
            [column.title for column in columns],
            [[cell_text(column.cell(item)) for column in columns] for item in items],
            [column.right for column in columns],
        )


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Rows under titles, each column as wide as its widest cell."""
    widths = [
        max(cell_width(title), *(cell_width(row[number]) for row in rows), 0)
        for number, title in enumerate(titles)
    ]
    lines = []
    for row in [[title.upper() for title in titles], *rows]:
        cells = [
            _pad(cell, width, at_right)
            for cell, width, at_right in zip(row, widths, right, strict=True)
        ]
        lines.append(_GAP.join(cells).rstrip() + "\n")
    return "".join(lines)


def cell_text(value: object) -> str:
    """A value as a cell: nothing is a dash, escapes are taken out."""
    if value is None or value == "":
        return _NONE
    return one_line(str(value))


def cell_width(text: str) -> int:
    """How many columns a text takes on a terminal."""
    if text.isascii():
        return len(text)
    width = 0
    for character in text:
        if unicodedata.category(character) in _NO_WIDTH:
            continue
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - cell_width(text))
    return space + text if right else text + space


def to_json(value: Any, indent: int | None) -> str:
    """JSON with a newline at its end; what a terminal would obey is written as escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


def to_yaml(value: Any) -> str:
    """YAML of plain values."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    stream = StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def matcher(expression: str) -> Callable[[str], bool]:
    """Whether a text matches: a regular expression in any case; `!` before it turns it round."""
    inverse = expression.startswith("!")
    try:
        pattern = re.compile(expression.removeprefix("!"), re.IGNORECASE)
    except re.error as error:
        raise InvalidError(f"the filter {expression!r} is no expression: {error}") from error
    return lambda text: bool(pattern.search(text)) is not inverse


def select(items: Iterable[Item], listing: Listing[Item], expression: str) -> list[Item]:
    """The items a filter leaves: it is matched against the cells of all columns."""
    if not expression:
        return list(items)
    matches = matcher(expression)
    return [
        item
        for item in items
        if matches(_GAP.join(cell_text(column.cell(item)) for column in listing.columns))
    ]


def has_labels(labels: dict[str, str], wanted: Sequence[str]) -> bool:
    """Whether every `key=value` (or just `key`) of `wanted` is among the labels."""
    for pair in wanted:
        key, equals, value = pair.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True
