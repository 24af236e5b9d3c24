"""Keys by what they do: what the settings map, checked against all that has a key.

Imports the registry and every dialog: only once the first frame is drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key, key_to_character

from sparkplug.schema.problems import did_you_mean

_MODIFIERS = ("ctrl+", "shift+", "alt+", "meta+", "super+", "hyper+")
_NAMED = frozenset(
    name
    for name in (*(key.value for key in Keys), *KEY_NAME_REPLACEMENTS.values())
    if name.isprintable() and not name.startswith("<")
)

#: What `tui.keys` names: keys that go before the built-in ones. Those of vim that are no other
#: thing already: j k g G / : n are built in.
PRESETS: dict[str, dict[str, str]] = {
    "default": {},
    "vim": {
        "list.into": "enter,l",
        "list.page-down": "pagedown,ctrl+f,ctrl+d",
        "list.page-up": "pageup,ctrl+b,ctrl+u",
        "page.next": "pagedown,space,ctrl+f,ctrl+d",
        "page.previous": "pageup,ctrl+b,ctrl+u",
        "page.back": "q,h",
        "back": "escape,h",
        "logs": "L",
        "agents.remove": "X",
    },
}


@dataclass(slots=True)
class Keymap:
    """The keys in force by id, those that are not the built-in ones, and what was wrong."""

    keys: dict[str, str] = field(default_factory=dict)
    mapped: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Bound:
    """Something that has a key, and the kind of thing it is for, if any."""

    id: str
    keys: str
    target: str | None = None


def read_keymap(wanted: Mapping[str, str], preset: str = "default") -> Keymap:
    """The keys of `preset` and `wanted` over the built-in ones.

    An id or a key there is not is left out and told; so is a key that two things want.
    """
    places = _places()
    known = {bound.id: bound for bounds in places.values() for bound in bounds}
    found = Keymap()
    for name, keys in {**PRESETS.get(preset, {}), **wanted}.items():
        if name not in known:
            near = did_you_mean(name, known)
            found.problems.append(f"tui.keymap: there is no {name}{near}")
        elif bad := [key for key in _split(keys) if not is_key(key)]:
            near = did_you_mean(bad[0], _NAMED)
            found.problems.append(f"tui.keymap: {name}: there is no key {bad[0]}{near}")
        elif not keys.strip():
            found.problems.append(f"tui.keymap: {name} has no key")
        else:
            found.mapped[name] = ",".join(_split(keys))
    found.keys = {name: found.mapped.get(name, bound.keys) for name, bound in known.items()}
    found.problems += _conflicts(places, found)
    return found


def is_key(key: str) -> bool:
    """Whether a terminal can send this key, by Textual's name for it."""
    rest = key
    while rest.startswith(_MODIFIERS):
        rest = rest.partition("+")[2]
    if rest in _NAMED or (len(rest) == 1 and rest.isprintable()):
        return True
    return len(rest) > 1 and rest == key and key_to_character(rest) is not None


def _split(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",") if key.strip()]


def _same(key: str) -> str:
    """One name for a key that can be written in two ways."""
    return _character_to_key(key) if len(key) == 1 else key


def _conflicts(places: Mapping[str, Iterable[_Bound]], keymap: Keymap) -> list[str]:
    told: dict[tuple[str, str], str] = {}
    for bounds in places.values():
        for one, other in itertools.combinations(bounds, 2):
            if one.id == other.id or not {one.id, other.id} & keymap.mapped.keys():
                continue
            if one.target and other.target and one.target != other.target:
                continue  # they are never selected both
            keys = [{_same(k) for k in _split(keymap.keys[b.id])} for b in (one, other)]
            for key in sorted(keys[0] & keys[1]):
                first, second = sorted((one.id, other.id))
                told[first, second] = f"tui.keymap: {first} and {second} are both on {key}"
    return list(told.values())


def _places() -> dict[str, list[_Bound]]:
    """What has keys at once, by where one is."""
    from sparkplug.actions.registry import ACTIONS
    from sparkplug.tui.app import SparkplugApp
    from sparkplug.tui.command_line import CommandLine
    from sparkplug.tui.dialogs.confirm import Confirm
    from sparkplug.tui.dialogs.dialog import Dialog, Reading
    from sparkplug.tui.dialogs.logs import Logs
    from sparkplug.tui.dialogs.run import RunPage
    from sparkplug.tui.filter_line import FilterLine
    from sparkplug.tui.palette import Palette
    from sparkplug.tui.panes.overview import RunBox
    from sparkplug.tui.widgets.page import Page
    from sparkplug.tui.widgets.rows import Rows

    actions = [_Bound(a.id, a.key or "", a.target) for a in ACTIONS.values()]
    return {
        "list": [*_of(SparkplugApp, Rows), *actions],
        "run box": [*_of(SparkplugApp, RunBox), *actions],
        "run": _of(Dialog, Reading, Page, RunPage),
        "log": _of(Dialog, Reading, Page, Logs),
        "question": _of(Dialog, Page, Confirm),
        "palette": _of(Dialog, Palette),
        "line": _of(CommandLine),
        "filter": _of(FilterLine),
    }


def _of(*classes: Any) -> list[_Bound]:
    bindings = [one for made in classes for one in made.__dict__["BINDINGS"]]
    return [_Bound(b.id, b.key) for b in bindings if isinstance(b, Binding) and b.id]
