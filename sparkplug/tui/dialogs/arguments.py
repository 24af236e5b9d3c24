"""All arguments of an action on a form, with what it would do below it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from textual.app import ComposeResult

from sparkplug.actions.registry import Action, Argument
from sparkplug.schema.units import Seconds
from sparkplug.tui.commands import Command, Names
from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.foresight import Foresight
from sparkplug.tui.palette import Choice
from sparkplug.tui.path_names import path_names
from sparkplug.tui.store import NAMED, Store
from sparkplug.tui.widgets.form.form import Form, offers_from
from sparkplug.tui.widgets.form.offers import Suggest
from sparkplug.tui.widgets.lines import OneLine

#: Kinds there are names of.
_NAMES = frozenset({"agent", "host", "run", "question", "decision", "schedule"})
_TYPES: dict[str, Any] = {"integer": int, "seconds": Seconds, "switch": bool}


def argument_model(action: Action) -> type[BaseModel]:
    """A model with a field for each argument of an action."""
    fields: dict[str, Any] = {a.name: _field(a) for a in action.arguments}
    return create_model(action.title, __config__=ConfigDict(extra="forbid"), **fields)


def _field(argument: Argument) -> tuple[Any, Any]:
    kind: Any = _TYPES.get(argument.kind, str)
    if argument.choices:
        kind = Literal[argument.choices]
    if argument.repeated:
        kind = list[kind]
    about = f"{argument.help} ({argument.flag})" if argument.flag else argument.help
    if argument.required and not argument.unless:
        return kind, Field(description=about, min_length=1 if kind is str else None)
    if argument.default is not None:
        return kind, Field(argument.default, description=about)
    empty: Any = [] if argument.repeated else False if argument.kind == "switch" else None
    return (kind if empty is not None else kind | None), Field(empty, description=about)


class Arguments(Dialog[Choice]):
    """A form of an action's arguments; what it would do stands below."""

    topics = NAMED

    def __init__(self, command: Command, given: Mapping[str, Any], store: Store) -> None:
        super().__init__(classes="arguments")
        action = command.action
        assert action is not None
        self.crumb = action.title
        self._command = command
        self._names: Names = store.names
        self._foresight = Foresight(store, self, self._show)
        model = argument_model(action)
        suggest: dict[tuple[str, ...], Suggest] = {
            (argument.name,): offers
            for argument in action.arguments
            if (offers := self._offers(argument)) is not None
        }
        self._form = Form(
            model,
            model.model_construct(**given),
            title=action.title,
            submit=action.title,
            suggest=suggest,
        )
        self._preview = OneLine(id="arguments-preview")

    def _offers(self, argument: Argument) -> Suggest | None:
        """What an argument is completed from: live names, paths on the disk."""
        names = offers_from(lambda: self._names(argument.kind))
        if argument.kind == "path":
            return _paths
        if argument.kind != "plan":
            return names if argument.kind in _NAMES else None

        async def plans(typed: str) -> Sequence[str]:
            return [*await names(typed), *await _paths(typed)]

        return plans

    def compose(self) -> ComposeResult:
        """The form, and what would be done."""
        yield self._form
        yield self._preview

    def on_mount(self) -> None:
        """Begin at the first argument that is not known."""
        self._form.focus()
        state = self._form.state
        due = (f for f in state.fields if f.required and not state.is_set(f))
        fields = state.fields
        first = next(due, next((f for f in fields if not state.is_set(f)), fields[0]))
        self._form.go(first.path)
        self._show()

    def _show(self) -> None:
        self._preview.set_line(self._foresight.line(self._command, [self._form.state.given]))

    def draw(self) -> None:
        """There may be other names than there were."""
        self._show()

    def on_form_changed(self) -> None:
        """Another value: something else would be done."""
        self._show()

    def on_form_submitted(self, event: Form.Submitted) -> None:
        """All of it holds: go on with what was given, whatever was typed since."""
        found = event.value
        given = {name: getattr(found, name) for name in found.model_fields_set}
        self.dismiss(Choice(self._command, given))

    def on_form_left(self) -> None:
        """Escape."""
        self.dismiss(None)


async def _paths(typed: str) -> Sequence[str]:
    return await asyncio.to_thread(path_names, typed)
