"""Themes: shipped ones hold, a user's own go before them, a wrong one is told and left out."""

from __future__ import annotations

import ast
import itertools
import math
from pathlib import Path

import pytest
from textual.color import Color
from tui_centre import centre

from sparkplug.schema.errors import InvalidError
from sparkplug.shipped import shipped
from sparkplug.tui import symbols
from sparkplug.tui.glyphs import to_ascii
from sparkplug.tui.themes import (
    COLORS,
    Depth,
    Terminal,
    find_terminal,
    first_look,
    load_themes,
    pens,
    read_theme,
    suited,
)


def ratio(one: Color, other: Color) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""

    def luminance(color: Color) -> float:
        parts = [value / 255 for value in color.rgb]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


SHIPPED = ["clarity", "daylight", "mono", "neon"]


@pytest.mark.parametrize("depth", ["full", "16"])
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_themes_can_be_read_on_their_grounds(name: str, depth: Depth) -> None:
    theme = load_themes({"XDG_CONFIG_HOME": "/nonexistent"})[0][name]
    look = suited(theme, Terminal(depth))
    assert look.dark is (name != "daylight")
    for word, pen in pens(look, depth).items():
        if word in ("line", "cursor") or not look.color:
            continue
        assert pen.color is not None
        text = Color.from_rich_color(pen.color)
        grounds = {key: look.variables[f"sp-{key}"] for key in ("background", "surface", "panel")}
        if pen.bgcolor is not None:
            grounds = {"its own": pen.bgcolor.name}
        for ground, value in grounds.items():
            contrast = ratio(Color.parse(value), text)
            # What is only ever drawn with, not written, needs less (WCAG 2.2, 1.4.11).
            least = 3.0 if word == "past" else 4.5
            assert contrast >= least, f"{name}: {word} on {ground}: {contrast:.2f} of {least}"


def test_all_themes_shipped_are_tested() -> None:
    assert sorted(load_themes({"XDG_CONFIG_HOME": "/nonexistent"})[0]) == SHIPPED


def test_clarity_is_told_apart_without_red_or_green() -> None:
    theme = load_themes({"XDG_CONFIG_HOME": "/nonexistent"})[0]["clarity"]
    words = ("focus", "activity", "ok", "warning", "error")
    shades = {key: Color.parse(theme.variables[f"sp-{key}"]) for key in words}
    for one, other in itertools.combinations(words, 2):
        for matrix in (_PROTAN, _DEUTAN, _TRITAN):
            far = apart(seen_as(shades[one], matrix), seen_as(shades[other], matrix))
            assert far >= 15, f"{one} and {other}: {far:.0f}"


# How colours are seen without one of the three kinds of cones: Machado, Oliveira and Fernandes
# (2009), severity 1, on linear RGB.
_PROTAN = (
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
)
_DEUTAN = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)
_TRITAN = (
    (1.255528, -0.076749, -0.178779),
    (-0.078411, 0.930809, 0.147602),
    (0.004733, 0.691367, 0.303900),
)
Matrix = tuple[tuple[float, float, float], ...]


def seen_as(color: Color, matrix: Matrix) -> tuple[float, float, float]:
    """A colour as it is seen, in CIELAB (D65)."""
    parts = [value / 255 for value in color.rgb]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    rows = [sum(k * v for k, v in zip(row, linear, strict=True)) for row in matrix]
    r, g, b = (min(1.0, max(0.0, value)) for value in rows)
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def apart(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """How far two colours are apart (CIE 1976)."""
    return math.dist(one, other)


def test_every_state_has_its_own_symbol_in_ascii_too() -> None:
    for table in (symbols._AGENT, symbols._NODE, symbols._STEP):
        shown = {symbol for symbol, _ in table.values()}
        assert len({to_ascii(symbol) for symbol in shown}) == len(shown)
        for symbol in shown:
            assert to_ascii(symbol).isascii()


def test_everything_drawn_has_an_ascii_stand_in() -> None:
    import sparkplug.tui

    folder = Path(sparkplug.tui.__file__ or "").parent
    for path in folder.rglob("*.py"):
        # The screen writes what others draw, and names characters only to tell their width; the
        # gallery has texts as agents write them, which are never replaced.
        if path.parent.name in ("screen", "gallery"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert to_ascii(node.value).isascii(), f"{path.name}: {node.value!r}"
                assert len(to_ascii(node.value)) == len(node.value)
    assert to_ascii("日本 ä ╭─╮ ⣿ ┏━┓") == "日本 ä +-+ : +-+"
    assert to_ascii("91.0 °C, slows at 92°") == "91.0  C, slows at 92C"


@pytest.mark.parametrize(
    ("environ", "encoding", "found"),
    [
        ({"TERM": "xterm-256color"}, "utf-8", Terminal()),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "UTF-8", Terminal()),
        ({"TERM": "xterm"}, "utf-8", Terminal("16")),
        ({"TERM": "screen"}, "iso-8859-1", Terminal("16", True)),
        ({"TERM": "linux"}, "utf-8", Terminal("16", True)),
        ({"TERM": "dumb"}, "utf-8", Terminal("none")),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "utf-8", Terminal("none")),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "utf-8", Terminal()),
    ],
)
def test_what_a_terminal_can_show(environ: dict[str, str], encoding: str, found: Terminal) -> None:
    assert find_terminal(environ, encoding) == found


def test_a_user_theme_goes_before_a_shipped_one(tmp_path: Path) -> None:
    folder = tmp_path / "sparkplug" / "themes"
    folder.mkdir(parents=True)
    text = (shipped("themes") / "neon.toml").read_text()
    (folder / "mine.toml").write_text(text.replace('"neon"', '"mine"'))
    (folder / "neon.toml").write_text(text.replace("#00e5ff", "#123456"))
    (folder / "broken.toml").write_text("# broken\nname = ")
    themes, problems = load_themes({"XDG_CONFIG_HOME": str(tmp_path)})
    assert set(themes) == {"mine", *SHIPPED}
    assert themes["neon"].primary == "#123456"
    assert [Path(problem.where or "").name for problem in problems] == ["broken.toml:2"]
    home = tmp_path / "home" / "themes"
    home.mkdir(parents=True)
    (home / "own.toml").write_text(text.replace('"neon"', '"mine"').replace("#00e5ff", "#abcdef"))
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "SPARKPLUG_HOME": str(home.parent)}
    assert load_themes(environ)[0]["mine"].primary == "#abcdef"


@pytest.mark.parametrize(
    ("change", "words", "line"),
    [
        (("focus = ", "fokus = "), "the colors lack focus", 5),
        (("#00e5ff", "cyanish"), "focus is no color", 12),
        (("[colors]", "[colours]"), "a table of colors", 1),
        (("dark = true", "dark = 1"), "dark is true or false", 3),
        (("dark = true", "dark = tru"), "no theme can be read", 3),
    ],
)
def test_what_is_wrong_with_a_theme_is_said(
    tmp_path: Path, change: tuple[str, str], words: str, line: int
) -> None:
    text = (shipped("themes") / "neon.toml").read_text().replace(*change)
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(InvalidError, match=words) as caught:
        read_theme(tmp_path / "x.toml")
    assert caught.value.where == f"{tmp_path / 'x.toml'}:{line}"


ODD = (
    *("1", "1.5", "true", "nan", "[1]", "{a = 1}", "1979-05-27", '""', '"auto"', '"transparent"'),
    *('"ansi_red"', '"default"', '"#00e5ff80"', '"rgba(1,2,3,0.5)"', '"\\u001b[31m"', '"red 50%"'),
    f'"{"x" * 100_000}"',
)


@pytest.mark.parametrize("value", ODD, ids=lambda value: value[:16])
@pytest.mark.parametrize("key", ["focus", "background"])
def test_what_is_no_color_is_told_and_not_drawn_with(tmp_path: Path, key: str, value: str) -> None:
    text = (shipped("themes") / "neon.toml").read_text()
    line = next(line for line in text.splitlines() if line.startswith(key))
    path = tmp_path / "x.toml"
    path.write_text(text.replace(line, f"{key} = {value}"))
    with pytest.raises(InvalidError, match=f"{key} is no color: .*; one is like #00e5ff") as caught:
        read_theme(path)
    assert len(caught.value.message) < 120


@pytest.mark.parametrize("value", ["#0EF", "rgb(0,238,255)", "hsl(184,100%,50%)", "#00eeff"])
def test_a_color_may_be_written_in_any_way(tmp_path: Path, value: str) -> None:
    text = (shipped("themes") / "neon.toml").read_text()
    (tmp_path / "x.toml").write_text("\ufeff" + text.replace("#00e5ff", value))
    look = read_theme(tmp_path / "x.toml")
    for depth in ("full", "16", "none"):
        assert pens(suited(look, Terminal(depth)), depth)["focus"]
    assert look.variables["sp-focus"] == "#00eeff"


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "a\\nb", "\\u001b[2J", "y" * 1000])
def test_a_theme_is_called_by_one_word(tmp_path: Path, name: str) -> None:
    text = (shipped("themes") / "neon.toml").read_text()
    (tmp_path / "x.toml").write_text(text.replace('"neon"', f'"{name}"'))
    with pytest.raises(InvalidError, match="a name is letters") as caught:
        read_theme(tmp_path / "x.toml")
    assert caught.value.where == f"{tmp_path / 'x.toml'}:2"


def test_a_file_that_is_nested_without_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("a = " + "[" * 5000 + "]" * 5000)
    with pytest.raises(InvalidError, match="no theme can be read"):
        read_theme(tmp_path / "x.toml")


def test_the_first_frame_knows_the_theme(tmp_path: Path) -> None:
    environ = {"SPARKPLUG_HOME": str(tmp_path)}
    assert first_look(environ) == ("neon", True)
    (tmp_path / "config.toml").write_text('[tui]\ntheme = "daylight"\nmouse = false\n')
    assert first_look(environ) == ("daylight", False)
    assert first_look({**environ, "SPARKPLUG_TUI_THEME": "neon"}) == ("neon", False)
    (tmp_path / "config.toml").write_text("[tui")
    assert first_look(environ) == ("neon", True)


async def test_settings_that_do_not_hold_are_told_until_they_do(home: Path) -> None:
    (home / "config.toml").write_text("[tui]\ntheem = 1\n")
    async with centre((120, 30), live=False) as seen:
        await seen.shows("did you mean theme")
        (home / "config.toml").write_text('[tui]\ntheme = "daylight"\n')
        await seen.shows("no mesh runs here")
        assert seen.app.theme == "daylight"
        assert set(COLORS) <= {key[3:] for key in seen.app.current_theme.variables}


def own_theme(home: Path, name: str, focus: str) -> Path:
    """A user's theme of neon with another colour for the focus."""
    text = (shipped("themes") / "neon.toml").read_text()
    path = home / "themes" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.replace('"neon"', f'"{name}"').replace("#00e5ff", focus))
    return path


async def test_an_edited_theme_shows_at_once_and_a_broken_one_is_told(home: Path) -> None:
    path = own_theme(home, "mine", "#00ffff")
    (home / "config.toml").write_text('[tui]\ntheme = "mine"\n')
    async with centre((120, 30), live=False) as seen:
        await seen.shows("no mesh runs here")

        def focus() -> str:
            color = seen.app.pens["focus"].color
            return color.name if color else ""

        await seen.until(lambda: seen.app.theme == "mine")
        assert focus() == "#00ffff"
        own_theme(home, "mine", "#12ff12")
        await seen.until(lambda: focus() == "#12ff12")
        assert seen.app.get_css_variables()["primary"].lower() == "#12ff12"
        path.write_text(path.read_text().replace("#12ff12", "nothing"))
        await seen.shows("theme left as it was", "mine.toml:12", "focus is no color")
        assert focus() == "#12ff12"
        own_theme(home, "mine", "#1212ff")
        await seen.until(lambda: focus() == "#1212ff")
        path.unlink()
        await seen.pilot.pause(1.2)
        assert focus() == "#1212ff"


async def test_themes_are_tried_on_in_the_palette(home: Path) -> None:
    async with centre((100, 30), live=False) as seen:
        await seen.shows("no mesh runs here")
        await seen.press("ctrl+p")
        await seen.type("theme day")
        await seen.until(lambda: seen.app.theme == "daylight")
        await seen.press("ctrl+u")
        await seen.until(lambda: seen.app.theme == "neon")
        await seen.type("theme ")
        await seen.until(lambda: seen.app.theme == "clarity")
        await seen.press("down")
        await seen.until(lambda: seen.app.theme == "daylight")
        await seen.press("escape")
        await seen.until(lambda: seen.app.theme == "neon")
        await seen.press("ctrl+p")
        await seen.type("theme clar")
        await seen.press("enter")
        await seen.pilot.pause(1.2)
        assert seen.app.theme == "clarity"


@pytest.mark.parametrize("name", ["mono", "neon"])
async def test_mono_is_ascii_and_sends_no_colour(home: Path, name: str) -> None:
    terminal = Terminal("none", True) if name == "neon" else Terminal()
    async with centre((100, 30), live=False, theme=name, terminal=terminal) as seen:
        await seen.shows("no mesh runs here", "> overview", "+- ")
        for keys in ((), ("ctrl+p",), ("escape", "question_mark"), ("escape", "2"), ("3",)):
            await seen.press(*keys)
            await seen.pilot.pause()
            assert seen.screen.isascii(), seen.screen
            for strip in seen.app.screen._compositor.render_strips():
                for segment in strip:
                    style = segment.style
                    assert style is None or (style.color, style.bgcolor) == (None, None)
        await seen.press("ctrl+p")
        await seen.type("theme daylight")
        await seen.press("enter")
        if name == "mono":
            await seen.shows("╭")
