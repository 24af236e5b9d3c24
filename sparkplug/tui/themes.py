"""Themes: TOML files, shipped in `themes/` and of the user, as Textual themes and as pens.

A file has `name`, `dark`, and a table `colors` with every key of `COLORS`. With `color = false`
it has no colour and needs no table, with `ascii = true` it draws with ASCII alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.style import Style
from textual.color import Color, ColorParseError
from textual.filter import LineFilter
from textual.theme import Theme

from sparkplug.paths import base_folder
from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.shipped import shipped
from sparkplug.tui.glyphs import ASCII, COLORLESS

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
#: How many colours there are: enough for any, the 16 of old, or none.
Depth = Literal["full", "16", "none"]
#: How much of the activity's colour its past keeps; 3 to 1 on the ground is what a plot needs.
_PAST_SHARE = 0.68
#: What a theme may be called: one word of the `:` line.
_NAME = re.compile(r"[\w.-]{1,40}")
#: Characters of a value that does not hold that are told.
_SHOWN = 40
_PLACE = re.compile(r" \(at line (\d+), column \d+\)$")


def _colors(text: str) -> dict[str, str]:
    return dict(zip(COLORS, text.split(), strict=True))


#: What stands for the terminal's own two colours where one must be named.
_COLORLESS = _colors(
    "#000000 #000000 #000000 #ffffff #ffffff #ffffff #ffffff #ffffff #ffffff #ffffff #ffffff"
)
# The 16 colours as rich has them: what is one of them exactly is sent as it.
_DARK_16 = _colors(
    "#000000 #000000 #000000 #ffffff #aaaaaa #555555 #55ffff #ff55ff #55ff55 #ffff55 #ff5555"
)
_LIGHT_16 = _colors(
    "#ffffff #ffffff #ffffff #000000 #555555 #aaaaaa #0000aa #aa00aa #000000 #aa5500 #aa0000"
)
_ATTRIBUTES: Pens = {
    "text": Style(),
    "bold": Style(bold=True),
    "dim": Style(),
    "line": Style(dim=True),
    "focus": Style(bold=True),
    "title": Style(bold=True, underline=True),
    "active": Style(bold=True),
    "past": Style(),
    "ok": Style(),
    "warn": Style(bold=True),
    "bad": Style(bold=True, underline=True),
    "alarm": Style(bold=True, reverse=True),
    "cursor": Style(reverse=True),
    "match": Style(bold=True, underline=True),
    "selected": Style(reverse=True),
}


@dataclass
class Look(Theme):
    """A theme of ours: the file it is from, whether it has colour, whether it is all ASCII."""

    path: Path | None = None
    color: bool = True
    only_ascii: bool = False


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the terminal can show: how many colours, and whether more than ASCII."""

    depth: Depth = "full"
    only_ascii: bool = False


def find_terminal(environ: Mapping[str, str] | None = None, encoding: str = "utf-8") -> Terminal:
    """What the environment says of the terminal, whose text is in `encoding`.

    NO_COLOR counts when it is not empty (no-color.org). The font of a Linux console has few
    of our symbols.
    """
    from rich.console import Console

    environ = os.environ if environ is None else environ
    plain = environ.get("TERM", "") == "linux" or "utf" not in encoding.lower()
    named = environ.get("TEXTUAL_COLOR_SYSTEM") or "auto"
    console = Console(color_system=named, force_terminal=True, _environ=environ)  # type: ignore[arg-type]
    if environ.get("NO_COLOR") or console.color_system is None:
        return Terminal("none", plain)
    return Terminal("16" if console.color_system == "standard" else "full", plain)


def user_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where a user's own themes are: $XDG_CONFIG_HOME/sparkplug/themes."""
    environ = os.environ if environ is None else environ
    return base_folder(environ, "XDG_CONFIG_HOME", ".config") / "sparkplug" / "themes"


def user_folders(environ: Mapping[str, str] | None = None) -> list[Path]:
    """All folders of a user's own themes, a later one goes first: $SPARKPLUG_HOME/themes too."""
    environ = os.environ if environ is None else environ
    home = environ.get("SPARKPLUG_HOME")
    return [user_folder(environ), *([Path(home).absolute() / "themes"] if home else [])]


def load_themes(
    environ: Mapping[str, str] | None = None,
) -> tuple[dict[str, Look], list[InvalidError]]:
    """All themes by name, a user's file before a shipped one of its name.

    A user's file that does not hold is left out; what is wrong with it is in the second value.
    Raises NotFoundError when the shipped themes are missing.
    """
    themes: dict[str, Look] = {}
    problems: list[InvalidError] = []
    for folder in (shipped("themes"), *user_folders(environ)):
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


def read_theme(path: Path) -> Look:
    """The theme in a file. Raises InvalidError that says what does not hold, with its line."""
    text = ""
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(f"no theme can be read: {error}", where=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        match = _PLACE.search(str(error))
        line = match[1] if match else str(text.count("\n") + 1)
        why = str(error)[: match.start()] if match else str(error)
        raise InvalidError(f"no theme can be read: {why}", where=f"{path}:{line}") from error
    colors, name, color = data.get("colors"), data.get("name", path.stem), data.get("color", True)
    if color is False and colors is None:
        colors = _COLORLESS
    if not isinstance(name, str) or not isinstance(colors, dict):
        raise InvalidError("a theme has a name and a table of colors", where=f"{path}:1")
    if not _NAME.fullmatch(name):
        why = "a name is letters, digits, - and _, at most 40 of them"
        raise InvalidError(f"{why}, not {_shown(name)}", where=_line_of("name", text, path))
    for key in ("dark", "color", "ascii"):
        if not isinstance(data.get(key, True), bool):
            raise InvalidError(f"{key} is true or false", where=_line_of(key, text, path))
    if missing := [key for key in COLORS if key not in colors]:
        where = _line_of("[colors]", text, path)
        raise InvalidError(f"the colors lack {', '.join(missing)}", where=where)
    shades: dict[str, str] = {}
    for key in COLORS:
        shade = _shade(colors[key])
        if shade is None:
            why = f"{key} is no color: {_shown(colors[key])}; one is like #00e5ff"
            raise InvalidError(why, where=_line_of(key, text, path))
        shades[key] = shade
    found = _theme(name, bool(data.get("dark", True)), shades)
    return replace(found, path=path, color=color, only_ascii=bool(data.get("ascii", False)))


def _shade(value: object) -> str | None:
    """A colour as #rrggbb, in whatever way it is written; None for what is none, or is not of one
    shade on every ground and terminal."""
    try:
        found = Color.parse(value) if isinstance(value, str) else None
    except ColorParseError:
        return None
    return found.hex.lower() if found is not None and found.a == 1 and found.ansi is None else None


def _shown(value: object) -> str:
    """What is wrong, in a few words."""
    words = repr(value)
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"


def _line_of(key: str, text: str, path: Path) -> str:
    """The place of a key in a theme's file."""
    lines = enumerate(text.splitlines(), 1)
    number = next((n for n, line in lines if line.strip().strip("\"'").startswith(key)), 1)
    return f"{path}:{number}"


def _theme(name: str, dark: bool, colors: Mapping[str, Any]) -> Look:
    return Look(
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


def suited(look: Look, terminal: Terminal) -> Look:
    """The theme as this terminal can show it.

    With 16 colours each is one of the 16 itself, so that none becomes another that is near it.
    """
    plain = look.only_ascii or terminal.only_ascii
    if terminal.depth == "none" or not look.color:
        variables = {**look.variables, "input-cursor-text-style": "reverse"}
        return replace(look, color=False, only_ascii=plain, variables=variables)
    if terminal.depth == "16":
        found = _theme(look.name, look.dark, _DARK_16 if look.dark else _LIGHT_16)
        return replace(found, path=look.path, only_ascii=plain)
    return replace(look, only_ascii=plain)


def filters(look: Look) -> list[LineFilter]:
    """What all that is painted goes through before it is sent."""
    found: list[LineFilter] = [] if look.color else [COLORLESS]
    return [*found, ASCII] if look.only_ascii else found


def pens(look: Look, depth: Depth = "full") -> Pens:
    """The styles text is painted in, by the word the panes use for them."""
    if not look.color or depth == "none":
        return dict(_ATTRIBUTES)
    color = {key: look.variables[f"sp-{key}"] for key in COLORS}
    # With 16 colours no ground is near enough to that of the rest to be read on in all colours.
    under = Style(reverse=True) if depth == "16" else Style(bgcolor=color["panel"], bold=True)
    return {
        "text": Style(color=color["foreground"]),
        "bold": Style(color=color["foreground"], bold=True),
        "dim": Style(color=color["muted"]),
        "line": Style(color=color["line"]),
        "focus": Style(color=color["focus"]),
        "title": Style(color=color["focus"], bold=True),
        "active": Style(color=color["activity"]),
        "past": Style(color=color["activity"] if depth == "16" else _past(color)),
        "ok": Style(color=color["ok"]),
        "warn": Style(color=color["warning"]),
        "bad": Style(color=color["error"], bold=True),
        "alarm": Style(color=color["background"], bgcolor=color["warning"], bold=True),
        "cursor": under,
        "match": Style(color=color["background"], bgcolor=color["activity"]),
        "selected": Style(color=color["background"], bgcolor=color["focus"]),
    }


def _past(color: Mapping[str, str]) -> str:
    """The colour of what was at work before: it gives way to what is now."""
    ground, activity = Color.parse(color["background"]), Color.parse(color["activity"])
    return ground.blend(activity, _PAST_SHARE).hex


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
