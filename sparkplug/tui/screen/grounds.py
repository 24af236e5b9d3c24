"""The ground within a widget and round it, kept by its colours alone."""

from __future__ import annotations

from functools import lru_cache

from textual._styles_cache import StylesCache
from textual.color import Color
from textual.style import Style


@lru_cache(1024)
def _grounds(base_background: Color, background: Color) -> tuple[Style, Style]:
    return Style(background=base_background + background), Style(background=base_background)


def _of_anyone(_: StylesCache, base_background: Color, background: Color) -> tuple[Style, Style]:
    return _grounds(base_background, background)


def let_go_of_the_closed() -> None:
    """Nothing of a widget that is gone stays.

    Textual 8.2 keeps these two by widget as well (`StylesCache.get_inner_outer`, an `lru_cache`
    over a method), and with them all that the last thousand widgets that were closed had drawn:
    some ten thousand rows, which every full collection of the interpreter then walks, for a
    quarter of a second in which no key is answered.
    """
    StylesCache.get_inner_outer = _of_anyone  # type: ignore[method-assign,assignment]
