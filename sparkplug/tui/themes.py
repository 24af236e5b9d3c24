"""Themes: TOML files, shipped in `themes/` and of the user, as Textual themes and as pens.

A file has `name`, `dark`, and a table `colors` with every key of `COLORS`.
"""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import Theme

from sparkplug.paths import base_folder
from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.shipped import shipped

DEFAULT = "neon"
#: Every colour a theme gives, and what it is for.
COLORS: dict[str, str] = {
    "background": "the ground",
    "surface": "dialogs",
    "panel": "the row under the cursor",
    "foreground": "text",
    "muted": "labels, what is less important",
    "line": "borders",
    "focus": "what has the focus",
    "activity": "what is at work",
    "ok": "what is well",
    "warning": "trouble that can wait",
    "error": "trouble",
}

Pens = dict[str, Style]


def user_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where a user's own themes are: $XDG_CONFIG_HOME/sparkplug/themes."""
    environ = os.environ if environ is None else environ
    return base_folder(environ, "XDG_CONFIG_HOME", ".config") / "sparkplug" / "themes"


def load_themes(
    environ: Mapping[str, str] | None = None,
) -> tuple[dict[str, Theme], list[InvalidError]]:
    """All themes by name, a user's file before a shipped one of its name.

    A user's file that does not hold is left out; what is wrong with it is in the second value.
    Raises NotFoundError when the shipped themes are missing.
    """
    themes: dict[str, Theme] = {}
    problems: list[InvalidError] = []
    for folder in (shipped("themes"), user_folder(environ)):
        for path in sorted(folder.glob("*.toml")):
            try:
                theme = read_theme(path)
            except InvalidError as error:
                problems.append(error)
            else:
                themes[theme.name] = theme
    if DEFAULT not in themes:
        raise NotFoundError(f"the theme {DEFAULT} is missing", where=str(shipped("themes")))
    return themes, problems


def read_theme(path: Path) -> Theme:
    """The theme in a file. Raises InvalidError that says what does not hold."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidError(f"no theme can be read: {error}", where=str(path)) from error
    colors = data.get("colors")
    name = data.get("name", path.stem)
    if not isinstance(name, str) or not isinstance(colors, dict):
        raise InvalidError("a theme has a name and a table of colors", where=str(path))
    if missing := [key for key in COLORS if key not in colors]:
        raise InvalidError(f"the colors lack {', '.join(missing)}", where=str(path))
    for key in COLORS:
        try:
            Color.parse(colors[key])
        except (ColorParseError, TypeError) as error:
            raise InvalidError(f"{key} is no color: {colors[key]!r}", where=str(path)) from error
    return _theme(name, bool(data.get("dark", True)), colors)


def _theme(name: str, dark: bool, colors: dict[str, Any]) -> Theme:
    return Theme(
        name=name,
        primary=colors["focus"],
        secondary=colors["activity"],
        accent=colors["focus"],
        success=colors["ok"],
        warning=colors["warning"],
        error=colors["error"],
        foreground=colors["foreground"],
        background=colors["background"],
        surface=colors["surface"],
        panel=colors["panel"],
        dark=dark,
        variables={f"sp-{key}": str(colors[key]) for key in COLORS},
    )


def pens(theme: Theme) -> Pens:
    """The styles text is painted in, by the word the panes use for them."""
    color = {key: theme.variables[f"sp-{key}"] for key in COLORS}
    return {
        "text": Style(color=color["foreground"]),
        "bold": Style(color=color["foreground"], bold=True),
        "dim": Style(color=color["muted"]),
        "line": Style(color=color["line"]),
        "focus": Style(color=color["focus"]),
        "title": Style(color=color["focus"], bold=True),
        "active": Style(color=color["activity"]),
        "ok": Style(color=color["ok"]),
        "warn": Style(color=color["warning"]),
        "bad": Style(color=color["error"], bold=True),
        "alarm": Style(color=color["background"], bgcolor=color["warning"], bold=True),
        "cursor": Style(bgcolor=color["panel"], bold=True),
    }


def first_look(environ: Mapping[str, str] | None = None) -> tuple[str, bool]:
    """The theme of the first frame and whether the mouse is taken, before settings are read.

    Looks where these two are most often set; the settings, once read, decide the theme.
    """
    environ = os.environ if environ is None else environ
    home = environ.get("SPARKPLUG_HOME")
    folder = Path(home) if home else user_folder(environ).parent
    section: Any = None
    with contextlib.suppress(OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        # what is wrong with the file is told when the settings are read
        section = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8")).get("tui")
    found = section if isinstance(section, dict) else {}
    theme = environ.get("SPARKPLUG_TUI_THEME") or found.get("theme", DEFAULT)
    named = environ.get("SPARKPLUG_TUI_MOUSE")
    mouse = named.lower() not in ("false", "0", "no") if named else found.get("mouse", True)
    return str(theme), bool(mouse)
