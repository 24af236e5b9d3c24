"""Keys by what they do: what the settings map, checked against all that has a key.

Imports the registry and every dialog: only once the first frame is drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key, key_to_character

from sparkplug.schema.problems import did_you_mean
from sparkplug.tui.help import UNBOUND

_MODIFIERS = ("ctrl+", "shift+", "alt+", "meta+", "super+", "hyper+")
_NAMED = frozenset(
    name
    for name in (*(key.value for key in Keys), *KEY_NAME_REPLACEMENTS.values())
    if name.isprintable() and not name.startswith("<")
)

#: What terminals send with a modifier, and what is another key there.
_SENT = frozenset(
    key.value for keys in ANSI_SEQUENCES_KEYS.values() if isinstance(keys, tuple) for key in keys
)
_SENT_AS = {
    "ctrl+h": "backspace",
    "ctrl+i": "tab",
    "ctrl+m": "enter",
    "ctrl+[": "escape",
    "ctrl+left_square_bracket": "escape",
}
#: Instead of a key: it has none.
NO_KEY = "none"

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
        "described.back": "q,h",
        "back": "escape,h",
        "logs": "L",
        "agents.remove": "X",
        "memory.delete": "X",
        "processes.kill": "X",
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


#: Two on one key that follow each other: the first out of the inner, then out of the outer.
_IN_TURN = frozenset({("back", "plot.drop")})


def read_keymap(wanted: Mapping[str, str], preset: str = "default") -> Keymap:
    """The keys of `preset` and `wanted` over the built-in ones.

    An id or a key there is not is left out and told. A key that two things want is that of the one
    the user named, of two that the user named that of the later one; what loses it is told.
    """
    places = _places()
    known = {bound.id: bound for bounds in places.values() for bound in bounds}
    found = Keymap()
    for name, keys in {**PRESETS.get(preset, {}), **wanted}.items():
        if name not in known:
            near = did_you_mean(name, known)
            found.problems.append(f"tui.keymap: there is no {name}{near}")
        elif keys.strip() == NO_KEY:
            found.mapped[name] = UNBOUND
        elif bad := [key for key in _split(keys) if not is_key(key)]:
            near = did_you_mean(bad[0], {key for key in _NAMED if "+" not in key})
            found.problems.append(f"tui.keymap: {name}: there is no key {bad[0]}{near}")
        elif other := next((key for key in _split(keys) if key in _SENT_AS), None):
            told = f"a terminal sends {other} as {_SENT_AS[other]}"
            found.problems.append(f"tui.keymap: {name}: {told}")
        elif not _split(keys):
            found.problems.append(f'tui.keymap: {name} has no key; "{NO_KEY}" takes away its own')
        else:
            found.mapped[name] = ",".join(dict.fromkeys(map(_sent, _split(keys))))
            found.problems += [
                f"tui.keymap: {name}: most terminals do not send {key}"
                for key in _split(keys)
                if not _passes(key)
            ]
    found.keys = {
        name: "" if found.mapped.get(name) == UNBOUND else found.mapped.get(name, bound.keys)
        for name, bound in known.items()
    }
    _settle(places, found, list(wanted))
    return found


def is_key(key: str) -> bool:
    """Whether a terminal can send this key, by Textual's name for it."""
    rest = key
    while rest.startswith(_MODIFIERS):
        rest = rest.partition("+")[2]
    if rest in _NAMED or (len(rest) == 1 and rest.isprintable()):
        return True
    return len(rest) > 1 and rest == key and key_to_character(rest) is not None


def _passes(key: str) -> bool:
    """Whether terminals send it of old, without a protocol of their own for keys."""
    bare = key.removeprefix("alt+")
    return "+" not in bare or bare in _SENT or _sent(key) != key


def _sent(key: str) -> str:
    """The key as it comes from a terminal."""
    if key == "ctrl+space":
        return "ctrl+space,ctrl+@"
    letter = key.removeprefix("shift+")
    return letter.upper() if letter != key and len(letter) == 1 and letter.isalpha() else key


def _split(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",") if key.strip()]


def _same(key: str) -> str:
    """One name for a key that can be written in two ways."""
    return _character_to_key(key) if len(key) == 1 else key


def _settle(places: Mapping[str, Iterable[_Bound]], keymap: Keymap, wanted: Sequence[str]) -> None:
    """Leave every key to one of those that want it, where both could be meant."""
    told: set[str] = set()
    for bounds in places.values():
        for one, other in itertools.combinations(bounds, 2):
            if one.id == other.id or not {one.id, other.id} & keymap.mapped.keys():
                continue
            if one.target and other.target and one.target != other.target:
                continue  # they are never selected both
            first, second = sorted((one.id, other.id))
            if (first, second) in _IN_TURN:
                continue
            keys = [{_same(k) for k in _split(keymap.keys[b.id])} for b in (one, other)]
            for key in sorted(keys[0] & keys[1]):
                loser, winner = sorted((first, second), key=lambda name: _weight(name, wanted))
                told.add(_take_away(keymap, loser, winner, key))
    keymap.problems += sorted(told)


def _weight(name: str, wanted: Sequence[str]) -> tuple[int, str]:
    """How strongly something holds its keys: what the user named, the later the stronger."""
    return (wanted.index(name) if name in wanted else -1, name)


def _take_away(keymap: Keymap, loser: str, winner: str, key: str) -> str:
    """Unbind a key of `loser`; what to say of it."""
    left = [one for one in _split(keymap.keys[loser]) if _same(one) != key]
    keymap.keys[loser] = ",".join(left)
    keymap.mapped[loser] = ",".join(left) or UNBOUND
    rest = f"keeps {', '.join(left)}" if left else "has no key now"
    return f"tui.keymap: {winner} takes {key} from {loser}, which {rest}"


def _places() -> dict[str, list[_Bound]]:
    """What has keys at once, by where one is."""
    from sparkplug.actions.registry import ACTIONS
    from sparkplug.tui.app import SparkplugApp
    from sparkplug.tui.command_line import CommandLine
    from sparkplug.tui.dialogs.agent_graph import AgentGraphPage
    from sparkplug.tui.dialogs.answer import Answer
    from sparkplug.tui.dialogs.columns import ColumnChooser
    from sparkplug.tui.dialogs.confirm import Confirm
    from sparkplug.tui.dialogs.decision import Decision
    from sparkplug.tui.dialogs.deploy import Deploy
    from sparkplug.tui.dialogs.described import Described
    from sparkplug.tui.dialogs.dialog import Dialog, Reading
    from sparkplug.tui.dialogs.host_topology import HostTopologyPage
    from sparkplug.tui.dialogs.logs import Logs
    from sparkplug.tui.dialogs.menu import MenuDialog
    from sparkplug.tui.dialogs.messages import Messages
    from sparkplug.tui.dialogs.processes import Processes
    from sparkplug.tui.dialogs.question import QuestionPage
    from sparkplug.tui.dialogs.run import RunPage
    from sparkplug.tui.dialogs.spec_history import SpecHistory
    from sparkplug.tui.dialogs.text_editor import TextEditor
    from sparkplug.tui.filter_line import FilterLine
    from sparkplug.tui.palette import Palette
    from sparkplug.tui.panes.hosts import HostsPane
    from sparkplug.tui.panes.memory import MemoryPane
    from sparkplug.tui.panes.memory_items import MemoryItems
    from sparkplug.tui.panes.memory_pairs import MemoryPairs
    from sparkplug.tui.panes.memory_timeline import MemoryTimeline
    from sparkplug.tui.panes.overview import RunBox
    from sparkplug.tui.panes.topology import TopologyPane
    from sparkplug.tui.panes.workflows import WorkflowsPane
    from sparkplug.tui.widgets.canvas.canvas import Canvas
    from sparkplug.tui.widgets.canvas.editable import EditableCanvas
    from sparkplug.tui.widgets.form.form import Form
    from sparkplug.tui.widgets.listing import Listing
    from sparkplug.tui.widgets.log_view.box import LogBox
    from sparkplug.tui.widgets.log_view.view import LogView
    from sparkplug.tui.widgets.menu import Menu
    from sparkplug.tui.widgets.page import Page
    from sparkplug.tui.widgets.plot.plot import Plot
    from sparkplug.tui.widgets.table.marks import Marks
    from sparkplug.tui.widgets.table.table import Table
    from sparkplug.tui.widgets.tree import Tree

    actions = [_Bound(a.id, a.key or "", a.target) for a in ACTIONS.values()]
    return {
        "list": [*_of(SparkplugApp, Listing, Marks, Table), *actions],
        "columns": _of(Dialog, Listing, ColumnChooser),
        "processes": _of(Dialog, Listing, Marks, Table, Processes),
        "hosts": [*_of(SparkplugApp, HostsPane, Listing, Marks, Table), *actions],
        "memory": [*_of(SparkplugApp, MemoryPane, MemoryItems, Listing, Marks, Table), *actions],
        "memory timeline": [
            *_of(SparkplugApp, MemoryPane, MemoryTimeline, Listing, Marks, Table),
            *actions,
        ],
        "memory proposals": [
            *_of(SparkplugApp, MemoryPane, MemoryPairs, Listing, Marks, Table),
            *actions,
        ],
        "pairs": [*_of(SparkplugApp, TopologyPane, Listing, Marks, Table), *actions],
        # without the keys of everywhere: those of the canvas go before them
        "conversation": _of(TopologyPane, Canvas),
        "messages": _of(Dialog, Reading, Page, Messages),
        "plot": [*_of(SparkplugApp, HostsPane, Plot), *actions],
        "tasks": [*_of(SparkplugApp, Listing, Marks, Table), *actions],
        "run box": [*_of(SparkplugApp, RunBox), *actions],
        "workflows": [*_of(SparkplugApp, WorkflowsPane, Listing, Marks, Table), *actions],
        "run": _of(Dialog, Reading, Page, RunPage),
        # without the keys of what is read: those of the canvas go before them
        "steps of a run": _of(Dialog, Canvas, RunPage),
        "canvas": _of(Canvas, EditableCanvas),
        "log": _of(Dialog, LogView, LogBox, Logs),
        "question": _of(Dialog, Page, Confirm),
        "graph of an agent": _of(Dialog, Canvas, AgentGraphPage),
        "answer": _of(Dialog, Reading, Page, Answer),
        "links of a host": _of(Dialog, Reading, Page, HostTopologyPage),
        "asked": _of(Dialog, Reading, Page, QuestionPage),
        "decision": _of(Dialog, Page, Decision),
        "revisions": _of(Dialog, Listing, Marks, Table, SpecHistory),
        "editor": _of(Dialog, TextEditor),
        "deploy": _of(Dialog, Form, Deploy),
        "palette": _of(Dialog, Palette),
        "tree": _of(Dialog, Described, Listing, Tree),
        "menu": _of(Dialog, MenuDialog, Menu),
        "form": _of(Dialog, Form),
        "line": _of(CommandLine),
        "filter": _of(FilterLine),
    }


def _of(*classes: Any) -> list[_Bound]:
    bindings = [one for made in classes for one in made.__dict__["BINDINGS"]]
    return [_Bound(b.id, b.key) for b in bindings if isinstance(b, Binding) and b.id]
