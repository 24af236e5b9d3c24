"""YAML in the pens of the theme: keys, texts, numbers, comments."""

from __future__ import annotations

import re

from sparkplug.tui.cells import Line, Span

#: What a line is made of, and the pen of each: the first that matches stands.
_WORDS = re.compile(
    r"(?P<dim>(?:^|(?<=\s))\#.*$)"
    r"|(?P<title>^\s*(?:-\s+)*[\w.-]+(?=\s*:(?:\s|$)))"
    r"|(?P<ok>\"(?:[^\"\\]|\\.)*\"|'[^']*')"
    r"|(?P<active>(?<![\w.-])\d[\w.]*(?![\w.-])|\b(?:true|false|null)\b)"
    r"|(?P<focus>[\[\]{}]|^\s*-(?=\s)|:(?=\s|$))"
)
#: Characters of a line that are looked at.
_LOOKED_AT = 2000


def spans_of(line: str) -> list[tuple[str, int, int]]:
    """The pens of a line, each with where it begins and ends."""
    found = _WORDS.finditer(line[:_LOOKED_AT])
    return [(match.lastgroup or "text", *match.span()) for match in found]


def yaml_line(line: str) -> Line:
    """A line as it is drawn."""
    spans: list[Span] = []
    at = 0
    for pen, start, end in spans_of(line):
        spans += [("text", line[at:start]), (pen, line[start:end])]
        at = end
    return (*(span for span in spans if span[1]), ("text", line[at:]))
