"""Pens: how a cell is drawn, and the shortest escape that turns one pen into another."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from rich.color import ColorSystem
from rich.style import Style
from textual.strip import Strip

# What ends an attribute (ECMA-48, 8.3.117); some end two.
_ENDS = {
    "1": "22",
    "2": "22",
    "3": "23",
    "4": "24",
    "21": "24",
    "5": "25",
    "6": "25",
    "7": "27",
    "8": "28",
    "9": "29",
    "51": "54",
    "52": "54",
    "53": "55",
}
# How many more parameters a colour has, by the one after 38 or 48.
_COLOUR = {"2": 4, "5": 2}


class Pen(NamedTuple):
    """Attributes and colours as SGR parameters; an empty colour is the terminal's own."""

    attributes: tuple[str, ...] = ()
    foreground: str = ""
    background: str = ""
    link: str = ""


DEFAULT = Pen()


@lru_cache(maxsize=4096)
def pen(style: Style | None, system: ColorSystem) -> Pen:
    """The pen of a style on a terminal of so many colours."""
    if style is None:
        return DEFAULT
    # `Strip.render_style`, which this stands for, reads the same.
    link = style.link or ""
    if not (link.isascii() and link.isprintable()):
        link = ""
    return _parsed(Strip.render_ansi(style, system), link)


@lru_cache(maxsize=4096)
def _parsed(codes: str, link: str) -> Pen:
    attributes: list[str] = []
    foreground = background = ""
    parameters = iter(codes.split(";")) if codes else iter(())
    for code in parameters:
        if code in _ENDS:
            attributes.append(code)
        elif code in ("38", "48"):
            colour = _colour(code, parameters)
            if code == "38":
                foreground = colour
            else:
                background = colour
        elif code[:1] == "4" or code[:2] == "10":
            background = "" if code == "49" else code
        else:
            foreground = "" if code == "39" else code
    return Pen(tuple(attributes), foreground, background, link)


def _colour(code: str, parameters: Iterator[str]) -> str:
    kind = next(parameters)
    return ";".join((code, kind, *(next(parameters) for _ in range(_COLOUR[kind] - 1))))


@lru_cache(maxsize=4096)
def change(old: Pen, new: Pen) -> str:
    """What makes a terminal that writes with `old` write with `new`, in the fewest bytes."""
    found = ""
    if old.link != new.link:
        # One id for one address, so that the pieces of a link are one to the terminal.
        name = f"id={crc32(new.link.encode()):x}" if new.link else ""
        found = f"\x1b]8;{name};{new.link}\x1b\\"
    if old[:3] == new[:3]:
        return found
    if new[:3] == DEFAULT[:3]:
        return f"{found}\x1b[m"
    colours = [new.foreground, new.background]
    anew = ["0", *new.attributes, *filter(None, colours)]
    gone = dict.fromkeys(_ENDS[code] for code in old.attributes if code not in new.attributes)
    step = list(gone)
    step += [c for c in new.attributes if c not in old.attributes or _ENDS[c] in gone]
    if old.foreground != new.foreground:
        step.append(new.foreground or "39")
    if old.background != new.background:
        step.append(new.background or "49")
    shortest = min(";".join(step), ";".join(anew), key=len)
    return f"{found}\x1b[{shortest}m"
