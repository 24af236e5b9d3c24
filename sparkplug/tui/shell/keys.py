"""The keys there are, by what they do: bound, written, and hinted at in the footer."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.binding import Binding
from textual.events import Key
from textual.keys import _character_to_key
from textual.widget import Widget

from sparkplug.tui.help import UNBOUND, key_name
from sparkplug.tui.shell.part import Part
from sparkplug.tui.widgets.footer import Hint

if TYPE_CHECKING:
    from sparkplug.tui.app import SparkplugApp

#: So many actions stand in the footer before the ways to all others.
_NEEDED = 3


class Keys(Part):
    """What is bound to which key."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: Keys of the registry's actions, by id; empty until they are known.
        self._keys: dict[str, str] = {}
        #: Actions that this was started without.
        self._refused: frozenset[str] = frozenset()
        #: Keys the settings have changed, by id.
        self._mapped: dict[str, str] = {}
        super().__init__(*args, **kwargs)

    @property
    def action_keys(self) -> dict[str, str]:
        """Keys of the registry's actions, by id; empty until they are known."""
        return self._keys

    def bind_actions(self, wanted: Mapping[str, str], preset: str) -> list[str]:
        """Bind the keys of the registry's actions, as the settings map them; what is wrong."""
        from sparkplug.actions.registry import ACTIONS
        from sparkplug.tui.keymap import PRESETS, Keymap, read_keymap

        app = self._centre
        built_in = {action.id: action.key or "" for action in ACTIONS.values()}
        # What is changed is held against all there is, and all there is has to be imported for it.
        changed = wanted or PRESETS.get(preset)
        keymap = read_keymap(wanted, preset) if changed else Keymap(built_in)
        self._mapped = keymap.mapped
        self._keys = {name: keymap.keys[name] for name in built_in}
        if app.readonly:
            self._refused = frozenset(a.id for a in ACTIONS.values() if a.writes)
        self._unbind_actions()
        for keys in {keys for keys in self._keys.values() if keys}:
            written = ",".join(_character_to_key(k) if len(k) == 1 else k for k in keys.split(","))
            app.bind(written, f"act({keys!r})", show=False)
        app.set_keymap({name: key for name, key in keymap.mapped.items() if name not in ACTIONS})
        return keymap.problems

    def _unbind_actions(self) -> None:
        """Forget what was bound before, in another mesh with other settings."""
        bound = self._centre._bindings.key_to_bindings  # noqa: SLF001  Textual only adds
        for key, bindings in list(bound.items()):
            kept = [binding for binding in bindings if not binding.action.startswith("act(")]
            if kept:
                bound[key] = kept
            else:
                del bound[key]

    def key(self, name: str) -> str:
        """The key something has now, by its id, as it is written on screen.

        Empty where it has none, and for what a read-only face does not do.
        """
        if name in self._refused:
            return ""
        return key_name(self.keys_of(name).split(",")[0])

    def keys_of(self, name: str) -> str:
        """All keys something has now, by its id, with commas between them as they are bound."""
        if self._mapped.get(name) == UNBOUND:
            return ""
        keys = self._mapped.get(name) or self._keys.get(name) or _built_in(type(self._centre), name)
        return ",".join(_character_to_key(k) if len(k) == 1 else k for k in keys.split(",") if k)

    async def take_key(self, key: str) -> bool:
        """Do what a key is bound to, in its turn; False where it is bound to nothing, or typed.

        Textual hands a key to the box one is in, and does what it is bound to once it has come
        back from there: of keys that come in one piece a later one may have been dealt with.
        """
        app = self._centre
        if await app._check_bindings(key, priority=True):  # noqa: SLF001  as Textual takes them
            return True
        box = app.focused or app.screen
        if any(_takes_keys(type(one)) for one in box.ancestors_with_self):
            return False
        return await app._check_bindings(key)  # noqa: SLF001

    def after_escape(self, event: Key) -> Key | None:
        """The key that was pressed right after escape, where the two came as one with alt.

        None for any other key, and where something is on the key with alt: a terminal sends
        either in the same way.
        """
        name = event.key.removeprefix("alt+")
        if name == event.key or len(event.character or "") != 1:
            return None
        chain = self._centre.screen._binding_chain  # noqa: SLF001  as Textual looks keys up
        if any(event.key in bindings.key_to_bindings for _, bindings in chain):
            return None
        shifted = event.character is not None and event.character.isupper()
        return Key(event.character if shifted and event.character else name, event.character)

    def action_hints(self) -> list[Hint]:
        """The keys that do something with what is selected."""
        app = self._centre
        subject = app.subject
        if subject is None:
            return []
        found = []
        if subject.kind == "agent":
            found.append(Hint(self.key("logs"), "logs", "logs", rank=1))
        fitting = [c for c in app.commands() if c.fits and c.action and c.key and not c.why]
        for place, command in enumerate(sorted(fitting, key=lambda c: c.worth)):
            assert command.action is not None
            name = command.action.verb[-1]
            key = key_name(command.key.split(",")[0])
            rank = 2 + place if place < _NEEDED else _NEEDED + 6 + place
            found.append(Hint(key, name, f"act({command.key!r})", rank=rank))
        found.append(Hint(self.key("describe"), "describe", "describe", rank=6))
        return [hint for hint in found if hint.key]


@functools.cache
def _takes_keys(made: type[object]) -> bool:
    """Whether what has the focus does something with keys beside what they are bound to."""
    if issubclass(made, App):
        return False
    return hasattr(made, "on_key") or getattr(made, "_on_key", None) is not Widget._on_key  # noqa: SLF001


#: What every dialog has, which is loaded when the first one opens.
_OF_DIALOGS = {"dialog.back": "escape"}


def _built_in(made: type[SparkplugApp], name: str) -> str:
    """The key of what the control centre does by itself, where no setting changes it."""
    bindings = (one for one in made.BINDINGS if isinstance(one, Binding))
    return next((one.key for one in bindings if one.id == name), _OF_DIALOGS.get(name, ""))
