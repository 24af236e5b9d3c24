"""The palette: type a few letters of what you want; it asks for what is missing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Click
from textual.widgets import Input
from textual.worker import WorkType

from sparkplug.schema.errors import InvalidError
from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, beside, clip
from sparkplug.tui.commands import Command, Names, lacking, missing, named_anew, value_of
from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.foresight import Foresight
from sparkplug.tui.fuzzy import Match, marked, match
from sparkplug.tui.help import key_name
from sparkplug.tui.path_names import path_names
from sparkplug.tui.store import NAMED
from sparkplug.tui.widgets.entry import Entry
from sparkplug.tui.widgets.lines import OneLine
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.rows import Row, Rows
from sparkplug.tui.widgets.selecting import LEFT

if TYPE_CHECKING:
    from sparkplug.actions.registry import Argument
    from sparkplug.tui.store import Store


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, with what is known of its arguments; `form` asks for all of them."""

    command: Command
    arguments: dict[str, Any]
    form: bool = False


#: What a command chosen lately, or one that fits the selection, is worth beside its letters;
#: and what takes that away from one that cannot be done now.
_RECENT, _RECENT_STEP, _FITS, _NOT_NOW = 60, 3, 30, 60
_NEVER = 999
_TITLE = "palette"


def _after(found: Match | None, by: int) -> tuple[int, ...]:
    """The places of a match in a text that has so many characters before it."""
    return tuple(at + by for at in found.at) if found is not None else ()


def _has_more(command: Command) -> bool:
    """Whether a form would ask for more than is known."""
    action = command.action
    return action is not None and command.why is None and len(action.arguments) > 1


class Offers(Rows, can_focus=False):
    """What enter takes stands out, though one types elsewhere; a click takes what it is on."""

    @property
    def stands_out(self) -> bool:
        """It always does."""
        return True

    def on_click(self, event: Click) -> None:
        """Take it at once: one does not come here to look."""
        event.prevent_default()
        place = event.get_content_offset(self)
        if event.button == LEFT and place is not None and self.top + place.y < self.shown:
            self._move_to(self.top + place.y)
            self.action_choose()


class Palette(Dialog[Choice]):
    """Commands by fuzzy match: the most recent first, then what fits the selection."""

    # The app takes these itself, in the turn they come in: what is typed at once after them is a
    # key of what is there then.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "do it", id="palette.choose", priority=True),
        Binding("escape", "close", "back", id="dialog.back", priority=True),
        Binding("up,ctrl+k", "move(-1)", "up", id="palette.up", priority=True),
        Binding("down,ctrl+j", "move(1)", "down", id="palette.down", priority=True),
        Binding("pageup", "page(-1)", "a page up", id="palette.page-up", priority=True),
        Binding("pagedown", "page(1)", "a page down", id="palette.page-down", priority=True),
        Binding("tab", "take", "complete", id="palette.complete", priority=True),
        Binding("f4", "form", "all arguments", id="palette.form", priority=True),
    ]

    topics = NAMED

    def __init__(
        self,
        commands: Sequence[Command],
        recent: Sequence[str],
        store: Store,
        start: Command | None = None,
    ) -> None:
        super().__init__(classes="palette")
        self._commands = list(commands)
        self._recent = list(recent)
        self._names: Names = store.names
        self._foresight = Foresight(store, self, self._show_preview)
        self._command = start
        self._given: dict[str, Any] = dict(start.given) if start else {}
        self._argument: Argument | None = None
        self._entry = Entry()
        self._rows = Offers(_TITLE)
        #: What will be done, below the list.
        self._preview = OneLine(id="palette-preview")
        #: Something was typed or moved: what is under the cursor was asked for.
        self._touched = False
        #: The cursor was moved since something was typed: its row is what is meant.
        self._moved = False
        #: What the offers were made for.
        self._offered = ""
        #: Paths on the disk that what is typed could become.
        self._found: list[str] = []

    def compose(self) -> ComposeResult:
        """What is typed, and what it could mean."""
        with Vertical():
            yield self._entry
            yield self._rows
            yield self._preview

    def on_mount(self) -> None:
        """Ready to type."""
        self._begin()

    def type_here(self) -> None:
        """Give what is typed the focus at once: keys may be waiting already."""
        if self.is_current:
            self.set_focus(self._entry.input)

    def _begin(self) -> None:
        """Ask for a command, or for the next argument the chosen one lacks."""
        self._argument = None
        if self._command is not None and self._command.action is not None:
            if len(lacking(self._command.action, self._given)) > 1:
                self.dismiss(Choice(self._command, self._given, form=True))
                return
            self._argument = missing(self._command.action, self._given)
        if self._command is not None and self._argument is None:
            self.dismiss(Choice(self._command, self._given))
            return
        asked = self._command.title.removesuffix(" …") if self._command is not None else _TITLE
        self._rows.set_label(asked)
        self._entry.prefix(f" {self._argument.name}: " if self._argument else " ❯ ")
        self._entry.value = ""
        self._offer("")

    def on_resize(self) -> None:
        """The width of the list is known, or another."""
        self.call_after_refresh(lambda: self._offer(self._entry.value))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow down."""
        if event.value == self._entry.value != self._offered:
            self._narrow(event.value)

    def _narrow(self, typed: str) -> None:
        self._moved = False
        if self._argument is not None and self._argument.kind in ("path", "plan"):
            work: WorkType[None] = partial(self._find_paths, typed)
            self.run_worker(work, group="paths", exclusive=True)
        self._touched = self._touched or bool(typed)
        self._offer(typed)

    async def _all_typed(self) -> None:
        """Take in what was typed before a key and is on its way yet."""
        typed = await self._entry.typed()
        if typed != self._offered:
            self._narrow(typed)

    async def _find_paths(self, typed: str) -> None:
        """Offer what is on the disk, when the disk has answered."""
        found = await asyncio.to_thread(path_names, typed)
        if typed == self._entry.value and self._argument is not None:
            self._found = found
            self._offer(typed)

    def _offer(self, typed: str) -> None:
        self._offered = typed
        self._rows.set_rows(
            self._argument_rows(self._argument, typed)
            if self._argument is not None
            else self._command_rows(typed)
        )
        self._rows.action_go("first")
        self._show_preview()

    def draw(self) -> None:
        """There may be other names: offer those there are now, with the cursor where it was."""
        typed, argument = self._offered, self._argument
        if argument is None and " " not in typed.strip():
            return  # commands are offered, and no names
        keys = [self._rows.at(index).key for index in range(self._rows.shown)]
        rows = self._argument_rows(argument, typed) if argument else self._command_rows(typed)
        if [row.key for row in rows] != keys:
            self._rows.set_rows(rows)
            if not self._moved:
                self._rows.action_go("first")
        self._show_preview()

    def _show_preview(self) -> None:
        """What enter would do, as far as it is known."""
        command = self._command
        if self._argument is None:
            value = self._rows.row.value if self._rows.row else None
            command = value if isinstance(value, Command) else None
        if command is None:
            self._preview.set_line(())
            return
        given = dict(self._given) if self._argument is not None else dict(command.given)
        if self._argument is not None and (text := self._meant(self._argument, self._rows.row)):
            with contextlib.suppress(InvalidError):
                given[self._argument.name] = value_of(self._argument, text)
        hint: Line = (("focus", "f4 "), ("dim", "all arguments ")) if _has_more(command) else ()
        width = self._preview.size.width
        self._preview.set_line(beside(self._foresight.line(command, [given]), hint, width))

    def _command_rows(self, typed: str) -> list[Row]:
        ranked = []
        offered = [*self._commands, *named_anew(typed, self._commands, self._names)]
        self._rows.set_empty(f" nothing matches {one_line(typed)}" if typed else "")
        for order, command in enumerate(offered):
            title, said = match(typed, command.title), match(typed, command.words)
            if title is None and said is None:
                continue
            best = max(found.points for found in (title, said) if found is not None)
            recent = self._recency(command)
            rank = (command.why is not None, not command.fits, command.worth, recent, order)
            points = best + self._bonus(command, recent) if typed else 0
            ranked.append(((-points, rank), command, title, said))
        ranked.sort(key=lambda found: found[0])
        return [
            Row(command.title, self._command_line(command, title, said), command)
            for _, command, title, said in ranked
        ]

    def _recency(self, command: Command) -> int:
        """How long ago it was chosen, by choices since; the same for another name counts too."""
        if command.title in self._recent:
            return self._recent.index(command.title)
        if command.action is not None and command.fits:
            same = f"{command.action.title} "
            near = (i for i, title in enumerate(self._recent) if title.startswith(same))
            return next(near, _NEVER)
        return _NEVER

    def _bonus(self, command: Command, recent: int) -> int:
        found = max(0, _RECENT - _RECENT_STEP * recent) + (_FITS if command.fits else 0)
        return found - (_NOT_NOW if command.why is not None else 0)

    def _command_line(self, command: Command, title: Match | None, said: Match | None) -> Line:
        pen = "text" if command.why is None else "dim"
        left = marked(f" {command.title}", _after(title, 1), pen)
        if title is None and said is not None:
            left += marked(f"  :{command.words}", _after(said, 3), "dim")
        if command.why:
            left += (("dim", f"  {command.why}"),)
        width = max(10, self._rows.size.width - 2 or 56)
        return beside(left, (("focus", f"{key_name(command.key.split(',')[0])} "),), width)

    def _argument_rows(self, argument: Argument, typed: str) -> list[Row]:
        names = list(argument.choices) or self._names(argument.kind)
        if argument.kind in ("path", "plan"):
            names += [name for name in self._found if name not in names]
        found = [(hit, name) for name in names if (hit := match(typed, name)) is not None]
        found.sort(key=lambda pair: (-pair[0].points, pair[1]))
        rows = [Row(n, marked(f" {n}", _after(hit, 1), "text"), n) for hit, n in found]
        self._rows.set_empty(f" {argument.help}")
        return rows

    def on_listing_moved(self) -> None:
        """A theme under the cursor is tried on."""
        command = self._rows.row.value if self._rows.row else None
        self._show_preview()
        words = command.words if isinstance(command, Command) and self._touched else ""
        self.centre.try_on(words[6:] if words.startswith("theme ") else None)

    def on_unmount(self) -> None:
        """What was tried on and not chosen is taken off."""
        self.centre.try_on(None)

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """A click on a row."""
        event.stop()
        self._choose(event.row)

    async def action_choose(self) -> None:
        """Enter."""
        await self._all_typed()
        self._choose(self._rows.row)

    def _choose(self, row: Row | None) -> None:
        if self._argument is not None:
            self._give(self._argument, row)
            return
        command = row.value if row else None
        if not isinstance(command, Command):
            return
        if command.why is not None:
            self._complain(command.why)
            return
        self._command, self._given = command, dict(command.given)
        self._begin()

    def _give(self, argument: Argument, row: Row | None) -> None:
        text = self._meant(argument, row)
        if not text:
            return
        try:
            self._given[argument.name] = value_of(argument, text)
        except InvalidError as error:
            self._complain(error.message)
            return
        self._begin()

    def _complain(self, why: str) -> None:
        """Why enter did nothing, until something is typed or moved."""
        told: Line = (("bad", f" ✖ {one_line(why)}"),)
        self._preview.set_line(clip(told, max(1, self._preview.size.width)))

    def _meant(self, argument: Argument, row: Row | None) -> str:
        """What enter would give: what is typed, or the row under the cursor."""
        typed = self._entry.value
        plan_file = argument.kind == "plan" and "/" in typed
        written = argument.kind in ("text", "path") or plan_file
        return str(row.value) if row is not None and (self._moved or not written) else typed

    async def action_form(self) -> None:
        """Ask for all arguments of the command, on a form."""
        await self._all_typed()
        command, given = self._command, self._given
        if self._argument is None:
            found = self._rows.row.value if self._rows.row else None
            command = found if isinstance(found, Command) else None
            given = dict(command.given) if command is not None else {}
        if command is not None and command.action is not None and command.why is None:
            self.dismiss(Choice(command, given, form=True))

    async def action_move(self, by: int) -> None:
        """Move among the offers."""
        await self._all_typed()
        self._touched = self._moved = True
        self._rows.action_move(by)

    async def action_page(self, by: int) -> None:
        """Move by as many offers as are in sight."""
        await self.action_move(by * max(1, self._rows.size.height - 1))

    async def action_take(self) -> None:
        """Complete what is typed."""
        await self._all_typed()
        if self._argument is not None and self._rows.row is not None:
            self._entry.value = str(self._rows.row.value)
