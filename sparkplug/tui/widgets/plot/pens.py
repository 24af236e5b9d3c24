"""Colours for many lines, made of those of the theme; amber and red stay for trouble."""

from __future__ import annotations

from collections.abc import Mapping

from rich.color import Color
from rich.style import Style

#: Pens of a theme that a line may have, and pairs of them that are mixed for more lines.
_FIRST = ("focus", "active", "ok", "text")
_MIXED = (("focus", "active"), ("ok", "text"), ("active", "text"), ("focus", "ok"))


def line_pens(pens: Mapping[str, Style]) -> list[Style]:
    """Eight pens for lines. Without colour they are those there are: symbols tell lines apart."""
    found = [pens[word] for word in _FIRST]
    for one, other in _MIXED:
        first, second = pens[one].color, pens[other].color
        if first is None or second is None:
            found.append(pens[one])
        else:
            found.append(Style(color=_between(first, second)))
    return found


def _between(one: Color, other: Color) -> Color:
    a, b = one.get_truecolor(), other.get_truecolor()
    return Color.from_rgb(*((x + y) / 2 for x, y in zip(a, b, strict=True)))
