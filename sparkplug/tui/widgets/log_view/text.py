"""A line of a log as it can be shown: no controls, its colours as pens, its level found."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparkplug.schema.text import strip_controls

#: Bytes of a line that are read to be shown; what is beyond is told by its size.
LIMIT = 16 << 10

#: From a character on, up to another: a pen.
Range = tuple[int, int, str]

# ECMA-48, 8.3.117: select graphic rendition.
_SGR = re.compile(r"(?:\x1b\[|\x9b)([0-9;:]*)m")
_LEVEL = re.compile(
    r"\b(?:(FATAL|CRITICAL|ERROR|PANIC|Traceback)|(WARNING|WARN)|(NOTICE|INFO)|(DEBUG|TRACE))\b"
    r"|\blevel\"?\s*[=:]\s*\"?(?:(fatal|critical|error|panic)|(warning|warn)|(notice|info)"
    r"|(debug|trace))\b"
)
_LEVEL_PENS = ("bad", "warn", "ok", "dim")
#: The level of a line stands near its beginning.
_LEVEL_WITHIN = 160
#: The colours of old in the pens of the theme, by their last digit; black and white are text.
_COLOURS = {"1": "bad", "2": "ok", "3": "warn", "4": "focus", "5": "active", "6": "focus"}


@dataclass(frozen=True, slots=True)
class Text:
    """A line: its characters, the pens of some of them, the bytes that are not shown."""

    plain: str
    pens: Sequence[Range] = ()
    rest: int = 0


def decode(data: bytes) -> str:
    """Bytes as text; what is no UTF-8 becomes U+FFFD, a character cut at the end is left out."""
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data)


def last_written(text: str) -> str:
    """What stands at the end of a line that was written over, as progress bars do."""
    if "\r" not in text:
        return text
    return next((part for part in reversed(text.split("\r")) if part), "")


def plain(text: str) -> str:
    """A decoded line as it is shown, without its pens."""
    if text.isprintable():
        return text
    return _in_one_row(_SGR.sub("", last_written(text)))


def read(text: str, rest: int = 0) -> Text:
    """A decoded line and the bytes of it that were not read."""
    if text.isprintable():
        return Text(text, _level(text), rest)
    found, pens = "", []
    for pen, part in _coloured(last_written(text)):
        part = _in_one_row(part)
        if pen and part:
            pens.append((len(found), len(found) + len(part), pen))
        found += part
    return Text(found, pens or _level(found), rest)


def _in_one_row(text: str) -> str:
    """As wide as it was written: blanks are what columns of a log are made of."""
    if text.isprintable():
        return text
    return strip_controls(text).replace("\n", " ").replace("\t", "    ")


def _coloured(text: str) -> Iterator[tuple[str, str]]:
    """The parts of a line and their pens; an empty pen is that of the line."""
    pen, at = "", 0
    for match in _SGR.finditer(text):
        yield pen, text[at : match.start()]
        pen, at = _pen(pen, match[1]), match.end()
    yield pen, text[at:]


def _pen(before: str, parameters: str) -> str:
    """The pen after a rendition was selected. Grounds, and colours by number, are left out."""
    pen = before
    codes = iter(parameters.replace(":", ";").split(";"))
    for code in codes:
        number = code.lstrip("0")
        if number in ("38", "48"):
            kind = next(codes, "")
            for _ in range(3 if kind == "2" else 1):
                next(codes, "")
        elif number in ("", "39"):
            pen = ""
        elif number == "1":
            pen = pen or "bold"
        elif number in ("2", "90"):
            pen = "dim"
        elif number == "22" and pen in ("bold", "dim"):
            pen = ""
        elif len(number) == 2 and number[0] in "39":
            pen = _COLOURS.get(number[1], "")
    return pen


def _level(text: str) -> Sequence[Range]:
    match = _LEVEL.search(text, 0, _LEVEL_WITHIN)
    if match is None or match.lastindex is None:
        return ()
    start, end = match.span(match.lastindex)
    return ((start, end, _LEVEL_PENS[(match.lastindex - 1) % 4]),)
