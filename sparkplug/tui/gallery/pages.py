"""The pages of the gallery. A page is a module of this folder with `ABOUT` and `make`."""

from __future__ import annotations

import importlib
from typing import Any, cast

from textual.widget import Widget

#: Pages in their order; each is the module of that name beside this one.
NAMES: tuple[str, ...] = (
    "rows",
    "page",
    "table",
    "large_table",
    "form",
    "tree",
    "menu",
    "toasts",
    "log",
    "plot",
    "sparkline",
    "meter",
    "canvas",
)


def about(name: str) -> str:
    """What the widget is for, in a sentence."""
    return str(_module(name).ABOUT)


def make(name: str) -> Widget:
    """The page: the widget itself, or a container of several, with data in it."""
    return cast("Widget", _module(name).make())


def _module(name: str) -> Any:
    return importlib.import_module(f"sparkplug.tui.gallery.{name}")
