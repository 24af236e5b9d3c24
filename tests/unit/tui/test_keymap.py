"""The keymap of the settings, checked against all that has a key."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

import sparkplug.tui
from sparkplug.tui.help import UNBOUND, WRITING
from sparkplug.tui.keymap import PRESETS, is_key, read_keymap


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_hold(preset: str) -> None:
    found = read_keymap({}, preset)
    assert found.problems == []
    assert found.mapped == PRESETS[preset]


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"agents.stop": "d"}, "agents.stop takes d from describe, which has no key now"),
        ({"help": "f9", "quit": "f9"}, "quit takes f9 from help, which has no key now"),
        ({"list.down": "n"}, "list.down takes n from agents.scale, which has no key now"),
        ({"agents.stop": "R"}, "agents.stop takes R from runs.submit, which has no key now"),
        ({"filter": "?"}, "filter takes question_mark from help, which has no key now"),
        ({"page.back": "o"}, "page.back takes o from run.raw, which has no key now"),
        ({"halp": "f9"}, "there is no halp, did you mean help?"),
        ({"help": "f99"}, "help: there is no key f99"),
        ({"help": " "}, 'help has no key; "none" takes away its own'),
        ({"help": ","}, 'help has no key; "none" takes away its own'),
        ({"pane.hosts": "ctrl+m"}, "pane.hosts: a terminal sends ctrl+m as enter"),
        ({"help": "f9,ctrl+i"}, "help: a terminal sends ctrl+i as tab"),
        ({"help": "ctrl+shift+a"}, "help: most terminals do not send ctrl+shift+a"),
        ({"help": "super+f9"}, "help: most terminals do not send super+f9"),
    ],
)
def test_what_is_wrong_is_told(wanted: dict[str, str], problem: str) -> None:
    found = read_keymap(wanted)
    assert [text.split(": ", 1)[0] for text in found.problems] == ["tui.keymap"]
    assert problem in found.problems[0]


@pytest.mark.parametrize(
    "wanted",
    [
        {"agents.stop": "ctrl+o", "runs.cancel": "ctrl+o"},
        {"describe": "l", "logs": "d"},
        {"run.open": "enter", "list.into": "enter"},
        {"palette": "f5", "menu.choose": "f5"},
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


def test_what_read_only_faces_leave_out_of_help_has_keys() -> None:
    assert read_keymap({}).keys.keys() >= WRITING


def test_a_key_can_be_taken_away() -> None:
    found = read_keymap({"help": "none", "agents.stop": "none"})
    assert found.problems == []
    assert found.mapped == {"help": UNBOUND, "agents.stop": UNBOUND}
    assert (found.keys["help"], found.keys["agents.stop"]) == ("", "")


def test_keys_are_those_a_terminal_sends() -> None:
    found = read_keymap({"palette": "f5,ctrl+space", "describe": "shift+z"})
    assert found.problems == []
    assert found.mapped == {"palette": "f5,ctrl+space,ctrl+@", "describe": "Z"}


def test_escape_drops_the_cursor_of_a_plot_and_then_goes_back() -> None:
    assert read_keymap({}, "vim").problems == []
    assert read_keymap({"back": "escape,f9"}).problems == []
    told = read_keymap({"hosts.plot": "left"}).problems
    lost = [
        f"tui.keymap: hosts.plot takes left from {name}, which has no key now"
        for name in ("plot.left", "table.left")
    ]
    assert told == lost


def test_who_keeps_a_key_is_settled_by_what_the_user_said_last() -> None:
    found = read_keymap({"quit": "f9", "help": "f9,f10", "palette": "f2"})
    assert found.keys["help"] == "f9,f10"
    assert found.keys["quit"] == ""
    assert found.mapped["quit"] == UNBOUND
    again = read_keymap({"help": "f9,f10", "quit": "f9"})
    assert (again.keys["help"], again.keys["quit"]) == ("f10", "f9")
    assert again.problems == ["tui.keymap: quit takes f9 from help, which keeps f10"]


def test_the_user_goes_before_the_preset() -> None:
    found = read_keymap({"copy": "L"}, "vim")
    assert found.keys["copy"] == "L"
    assert found.keys["logs"] == ""
    assert found.problems == ["tui.keymap: copy takes L from logs, which has no key now"]


def test_no_method_is_taken_for_the_handler_of_a_key() -> None:
    """Textual calls `key_at` of what has the focus when `@` is pressed, whatever it is for."""
    for found in pkgutil.walk_packages(sparkplug.tui.__path__, "sparkplug.tui."):
        module = importlib.import_module(found.name)
        for made in vars(module).values():
            if isinstance(made, type) and issubclass(made, DOMNode):
                own = [c for c in made.__mro__ if c.__module__.startswith("sparkplug")]
                names = {name for one in own for name in vars(one)}
                assert {name for name in names if name.startswith("key_")} == set(), made


def test_all_that_has_an_id_can_be_given_another_key() -> None:
    known = read_keymap({}).keys.keys()
    for found in pkgutil.walk_packages(sparkplug.tui.__path__, "sparkplug.tui."):
        if found.name.startswith("sparkplug.tui.gallery"):
            continue
        for made in vars(importlib.import_module(found.name)).values():
            own = vars(made).get("BINDINGS", ()) if isinstance(made, type) else ()
            ids = {one.id for one in own if isinstance(one, Binding) and one.id}
            assert ids <= known, made
