"""The palette: type a few letters of what you want; it asks for what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from sparkplug.schema.errors import InvalidError
from sparkplug.tui.cells import beside, fit
from sparkplug.tui.commands import Command, Names, missing, value_of
from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.fuzzy import score
from sparkplug.tui.path_names import path_names
from sparkplug.tui.widgets.entry import Entry
from sparkplug.tui.widgets.rows import Row, Rows

if TYPE_CHECKING:
    from sparkplug.actions.registry import Argument


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, with every argument it needs."""

    command: Command
    arguments: dict[str, Any]


class Palette(Dialog[Choice]):
    """Commands by fuzzy match: the most recent first, then what fits the selection."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,ctrl+k", "move(-1)", "up", id="palette.up", priority=True),
        Binding("down,ctrl+j", "move(1)", "down", id="palette.down", priority=True),
        Binding("tab", "take", "complete", id="palette.complete", priority=True),
    ]

    def __init__(
        self,
        commands: Sequence[Command],
        recent: Sequence[str],
        names: Names,
        start: Command | None = None,
    ) -> None:
        super().__init__(classes="palette")
        self._commands = list(commands)
        self._recent = list(recent)
        self._names = names
        self._command = start
        self._given: dict[str, Any] = dict(start.given) if start else {}
        self._argument: Argument | None = None
        self._entry = Entry()
        self._rows = Rows("palette")
        #: Something was typed or moved: what is under the cursor was asked for.
        self._touched = False
        #: The cursor was moved since something was typed: its row is what is meant.
        self._moved = False
        #: Paths on the disk that what is typed could become.
        self._found: list[str] = []

    def compose(self) -> ComposeResult:
        """What is typed, and what it could mean."""
        with Vertical():
            yield self._entry
            yield self._rows

    def on_mount(self) -> None:
        """Ready to type."""
        self._rows.can_focus = False
        self._begin()

    def type_here(self) -> None:
        """Give what is typed the focus at once: keys may be waiting already."""
        if self.is_current:
            self.set_focus(self._entry.input)

    def _begin(self) -> None:
        """Ask for a command, or for the next argument the chosen one lacks."""
        self._argument = None
        if self._command is not None and self._command.action is not None:
            self._argument = missing(self._command.action, self._given)
        if self._command is not None and self._argument is None:
            self.dismiss(Choice(self._command, self._given))
            return
        self._entry.prefix(f" {self._argument.name}: " if self._argument else " ❯ ")
        self._entry.value = ""
        self._offer("")

    def on_resize(self) -> None:
        """The width of the list is known, or another."""
        self.call_after_refresh(lambda: self._offer(self._entry.value))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow down."""
        self._moved = False
        if self._argument is not None and self._argument.kind in ("path", "plan"):
            self.run_worker(self._find_paths(event.value), group="paths", exclusive=True)
        self._touched = self._touched or bool(event.value)
        self._offer(event.value)

    async def _find_paths(self, typed: str) -> None:
        """Offer what is on the disk, when the disk has answered."""
        found = await asyncio.to_thread(path_names, typed)
        if typed == self._entry.value and self._argument is not None:
            self._found = found
            self._offer(typed)

    def _offer(self, typed: str) -> None:
        self._rows.set_rows(
            self._argument_rows(self._argument, typed)
            if self._argument is not None
            else self._command_rows(typed)
        )
        self._rows.action_go("first")

    def _command_rows(self, typed: str) -> list[Row]:
        ranked = []
        for order, command in enumerate(self._commands):
            points = [score(typed, text) for text in (command.title, command.words)]
            best = max((p for p in points if p is not None), default=None)
            if best is None:
                continue
            recent = self._recent.index(command.title) if command.title in self._recent else 999
            rank = (command.why is not None, not command.fits, recent, order)
            ranked.append(((-best, rank) if typed else (0, rank), command))
        ranked.sort(key=lambda pair: pair[0])
        return [Row(command.title, self._command_line(command), command) for _, command in ranked]

    def _command_line(self, command: Command) -> tuple[tuple[str, str], ...]:
        pen = "text" if command.why is None else "dim"
        why = f"  {command.why}" if command.why else ""
        width = max(10, self._rows.size.width - 2 or 56)
        line = beside(
            ((pen, f" {command.title}"), ("dim", why)), (("focus", f"{command.key} "),), width
        )
        return tuple((pen if isinstance(pen, str) else "text", text) for pen, text in line)

    def _argument_rows(self, argument: Argument, typed: str) -> list[Row]:
        names = list(argument.choices) or self._names(argument.kind)
        if argument.kind in ("path", "plan"):
            names += [name for name in self._found if name not in names]
        ranked = [(score(typed, name), name) for name in names]
        fitting = sorted(
            ((-points, name) for points, name in ranked if points is not None),
        )
        rows = [Row(name, (("text", f" {name}"),), name) for _, name in fitting]
        self._rows.set_empty(f" {argument.help}")
        return rows

    def on_rows_moved(self) -> None:
        """A theme under the cursor is tried on."""
        command = self._rows.row.value if self._rows.row else None
        words = command.words if isinstance(command, Command) and self._touched else ""
        self.centre.try_on(words[6:] if words.startswith("theme ") else None)

    def on_unmount(self) -> None:
        """What was tried on and not chosen is taken off."""
        self.centre.try_on(None)

    def on_rows_chosen(self, event: Rows.Chosen) -> None:
        """A click on a row."""
        self._choose(event.row)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        event.stop()
        self._choose(self._rows.row)

    def _choose(self, row: Row | None) -> None:
        if self._argument is not None:
            self._give(self._argument, row)
            return
        command = row.value if row else None
        if not isinstance(command, Command):
            return
        if command.why is not None:
            self._rows.retitle("palette", fit(command.why, 60).strip())
            return
        self._command, self._given = command, dict(command.given)
        self._begin()

    def _give(self, argument: Argument, row: Row | None) -> None:
        typed = self._entry.value
        plan_file = argument.kind == "plan" and "/" in typed
        written = argument.kind in ("text", "path") or plan_file
        text = str(row.value) if row is not None and (self._moved or not written) else typed
        if not text:
            return
        try:
            self._given[argument.name] = value_of(argument, text)
        except InvalidError as error:
            self._rows.retitle("palette", error.message)
            return
        self._begin()

    def action_move(self, by: int) -> None:
        """Move among the offers."""
        self._touched = self._moved = True
        self._rows.action_move(by)

    def action_take(self) -> None:
        """Complete what is typed."""
        if self._argument is not None and self._rows.row is not None:
            self._entry.value = str(self._rows.row.value)
