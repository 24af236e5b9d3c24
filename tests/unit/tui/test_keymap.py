"""The keymap of the settings, checked against all that has a key."""

from __future__ import annotations

import pytest

from sparkplug.tui.keymap import PRESETS, is_key, read_keymap


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_hold(preset: str) -> None:
    found = read_keymap({}, preset)
    assert found.problems == []
    assert found.mapped == PRESETS[preset]


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"agents.stop": "d"}, "agents.stop and describe are both on d"),
        ({"help": "f9", "quit": "f9"}, "help and quit are both on f9"),
        ({"list.down": "n"}, "agents.scale and list.down are both on n"),
        ({"agents.stop": "R"}, "agents.stop and runs.submit are both on R"),
        ({"filter": "?"}, "filter and help are both on question_mark"),
        ({"page.back": "o"}, "page.back and run.raw are both on o"),
        ({"halp": "f9"}, "there is no halp, did you mean help?"),
        ({"help": "f99"}, "help: there is no key f99"),
        ({"help": " "}, "help has no key"),
    ],
)
def test_what_is_wrong_is_told(wanted: dict[str, str], problem: str) -> None:
    found = read_keymap(wanted)
    assert [text.split(": ", 1)[0] for text in found.problems] == ["tui.keymap"]
    assert problem in found.problems[0]


@pytest.mark.parametrize(
    "wanted",
    [
        {"agents.stop": "ctrl+k", "runs.cancel": "ctrl+k"},
        {"describe": "l", "logs": "d"},
        {"run.open": "enter", "list.into": "enter"},
        {"palette": "f5,ctrl+space"},
        {"palette": "f5", "logs.follow": "f5"},
    ],
)
def test_what_never_meets_is_no_conflict(wanted: dict[str, str]) -> None:
    found = read_keymap(wanted)
    assert found.problems == []
    assert found.mapped == wanted


@pytest.mark.parametrize(
    "key", ["a", "G", "?", "slash", "ctrl+k", "f12", "alt+x", "shift+tab", "é"]
)
def test_keys(key: str) -> None:
    assert is_key(key)


@pytest.mark.parametrize("key", ["", "contrl+k", "ctrl+", "nokey", "f99", "\x1b"])
def test_no_keys(key: str) -> None:
    assert not is_key(key)
