"""Themes: shipped ones hold, a user's own go before them, a wrong one is told and left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color
from tui_centre import centre

from sparkplug.schema.errors import InvalidError
from sparkplug.shipped import shipped
from sparkplug.tui.themes import COLORS, first_look, load_themes, pens, read_theme


def ratio(one: Color, other: Color) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""

    def luminance(color: Color) -> float:
        parts = [value / 255 for value in color.rgb]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["neon", "daylight"])
def test_shipped_themes_can_be_read_on_their_ground(name: str) -> None:
    theme = load_themes({"XDG_CONFIG_HOME": "/nonexistent"})[0][name]
    ground = Color.parse(theme.variables["sp-background"])
    for key in ("foreground", "muted", "focus", "activity", "ok", "warning", "error"):
        contrast = ratio(ground, Color.parse(theme.variables[f"sp-{key}"]))
        assert contrast >= 4.5, f"{key} on the ground of {name}: {contrast:.1f} (WCAG AA is 4.5)"
    assert theme.dark is (name == "neon")
    assert set(pens(theme)) >= {"text", "dim", "focus", "active", "ok", "warn", "bad", "cursor"}


def test_a_user_theme_goes_before_a_shipped_one(tmp_path: Path) -> None:
    folder = tmp_path / "sparkplug" / "themes"
    folder.mkdir(parents=True)
    text = (shipped("themes") / "neon.toml").read_text()
    (folder / "mine.toml").write_text(text.replace('"neon"', '"mine"'))
    (folder / "neon.toml").write_text(text.replace("#00e5ff", "#123456"))
    (folder / "broken.toml").write_text("name = ")
    themes, problems = load_themes({"XDG_CONFIG_HOME": str(tmp_path)})
    assert set(themes) == {"mine", "neon", "daylight"}
    assert themes["neon"].primary == "#123456"
    assert [Path(problem.where or "").name for problem in problems] == ["broken.toml"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("focus = ", "fokus = "), "the colors lack focus"),
        (("#00e5ff", "cyanish"), "focus is no color"),
        (("[colors]", "[colours]"), "a table of colors"),
    ],
)
def test_what_is_wrong_with_a_theme_is_said(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    text = (shipped("themes") / "neon.toml").read_text().replace(*change)
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(InvalidError, match=words):
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
