"""The two lines that open at the bottom: `:` and the filter."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.widgets import Input

from sparkplug.schema.errors import InvalidError
from sparkplug.tui.aliases import BUILT_IN, begins, expand, folded, read_aliases
from sparkplug.tui.cells import Line
from sparkplug.tui.commands import Command, Spoken, missing, understand, writing_verb
from sparkplug.tui.completing import complete, path_due, with_path
from sparkplug.tui.path_names import path_names
from sparkplug.tui.shell.part import Part
from sparkplug.tui.store import NAMED, Topics

if TYPE_CHECKING:
    from textual.widget import Widget

    from sparkplug.tui.command_line import CommandLine
    from sparkplug.tui.filter_line import FilterLine
    from sparkplug.tui.foresight import Foresight
    from sparkplug.tui.widgets.listing import Listing


class Bottom(Part):
    """Lines one types in, instead of the footer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._line: CommandLine | FilterLine | None = None
        #: What had the focus before it opened over a page.
        self._from: Widget | None = None
        #: Short names of the `:` line and what they stand for.
        self.aliases = dict(BUILT_IN)
        super().__init__(*args, **kwargs)

    @property
    def line_rows(self) -> int:
        """Rows at the bottom that what one types in takes, or the footer."""
        line = self._here
        return line.rows if line is not None else 1

    @property
    def _here(self) -> CommandLine | FilterLine | None:
        """The line that is open over what one sees."""
        line, app = self._line, self._centre
        return line if line is not None and line.is_attached and line.screen is app.screen else None

    def drop_lost_line(self) -> None:
        """Forget a line that has gone with the page it was open over: the footer is there again."""
        line, app = self._line, self._centre
        if line is None or not app.is_running:
            return
        if not line.is_attached or line.screen not in app.screen_stack:
            self._line = self._from = None
            app.show_footer(True)

    async def open_line(self, line: CommandLine | FilterLine) -> None:
        """Type at the bottom, instead of the footer."""
        app = self._centre
        await self.close_line()
        before = app.focused if len(app.screen_stack) > 1 else None
        app.show_footer(False)
        mounted = app.screen.mount(line)
        self._line, self._from = line, before
        await mounted
        # At once, not in a while: the next keys may be waiting already.
        app.screen.set_focus(line.input)
        app.place_toasts()

    def focus_now(self, widget: Widget) -> None:
        """Give a box the focus at once: in a while another line may be open, which has it then.

        Before there is a first frame it has to wait for its place in it.
        """
        if widget.is_mounted and widget.focusable:
            widget.screen.set_focus(widget)
        else:
            widget.focus()

    async def keep_line(self, clicked: bool) -> None:
        """Another box has the focus: a click leaves the line, all else leaves it to the line."""
        line, app = self._here, self._centre
        focused = app.focused
        if line is None or focused is None or line in focused.ancestors_with_self:
            return
        if clicked:
            self._from = focused
            await self.close_line()
        else:
            app.screen.set_focus(line.input)

    async def close_line(self) -> None:
        """Back to the footer, and to where one was."""
        line, self._line = self._line, None
        before, self._from = self._from, None
        if line is None:
            return
        await line.remove()
        app = self._centre
        app.show_footer(True)
        to = before if before is not None else app.pane.main if app.pane is not None else None
        if to is not None and to.is_attached:
            self.focus_now(to)
        app.place_toasts()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where one types, the keys that open a line are what they are there."""
        if action not in ("palette", "command", "filter"):
            return True
        app = self._centre
        if self._here is not None or isinstance(app.focused, Input):
            return False
        over = app.screen_stack[1:]
        # A page has a filter of its own.
        return not over if action == "filter" else all(getattr(s, "reads", False) for s in over)

    async def action_command(self) -> None:
        """Open the `:` line."""
        from sparkplug.tui.command_line import CommandLine

        app = self._centre
        lines = app.history.lines
        await app.open_line(
            CommandLine(app.store, self._completions, lines, self._paths, self._preview, self._said)
        )

    def draw_line(self, topics: Topics) -> None:
        """There may be other names: complete from those there are."""
        line = self._here
        if line is not None and topics & NAMED:
            line.draw()

    def take_aliases(self, wanted: Mapping[str, str]) -> list[str]:
        """Take the short names of the settings; what is wrong with them."""
        self.aliases, problems = read_aliases(wanted, self._centre.commands())
        return problems

    def _preview(self, text: str, foresight: Foresight) -> Line:
        """What a line would do, as far as it is typed."""
        if not text.strip():
            return ()
        try:
            spoken = self._understood(text, self._centre.commands())
        except InvalidError as error:
            return (("warn", f" {error.message}"),)
        if spoken.command.action is None:
            return (("dim", f" {spoken.command.why or spoken.command.title}"),)
        return foresight.line(spoken.command, spoken.calls)

    def _understood(self, text: str, commands: list[Command]) -> Spoken:
        """What a line means. Raises InvalidError."""
        full = expand(text, self.aliases)
        try:
            return understand(full, commands)
        except InvalidError as error:
            if self._centre.readonly and (verb := writing_verb(full)):
                told = f"{verb} changes the mesh, and this was started with --readonly"
                raise InvalidError(told) from error
            raise

    def _completions(self, text: str) -> list[str]:
        app = self._centre
        full = expand(text, self.aliases) if " " in text else text
        lines = complete(full, app.commands(), app.store.names)
        found = [folded(line, text, self.aliases) for line in lines]
        return [*found, *begins(text, self.aliases)] if text else found

    async def _paths(self, text: str) -> list[str]:
        """Lines that a path at the end of this one could make of it, from the disk."""
        due = path_due(expand(text, self.aliases), self._centre.commands())
        if due is None:
            return []
        typed, before = due
        paths = await asyncio.to_thread(path_names, typed)
        return [folded(with_path(before, path), text, self.aliases) for path in paths]

    async def _said(self, text: str | None) -> None:
        """Enter on the `:` line, or escape."""
        app = self._centre
        commands = app.commands()
        await app.close_line()
        if not text:
            return
        app.history.say(text)
        app.remember(text, None)
        try:
            spoken = self._understood(text, commands)
            command = spoken.command
            if command.why is not None and not spoken.calls:
                raise InvalidError(f"{command.title}: {command.why}")
            if command.action is not None and missing(command.action, spoken.calls[0]):
                await app.pursue(_with(command, spoken.calls[0]))
            else:
                await app.do(command, spoken.calls)
        except InvalidError as error:
            app.tell(f"{error.message}{f' ({error.hint})' if error.hint else ''}", "warn")

    async def action_filter_here(self) -> None:
        """Filter what one reads, or the list one is in."""
        app = self._centre
        if len(app.screen_stack) == 1:
            await self.action_filter()
        elif (of_page := getattr(app.screen, "action_filter", None)) is not None:
            of_page()
        else:
            app.tell("there is nothing to filter here", "dim")

    async def action_filter(self) -> None:
        """Filter the list one is in."""
        from sparkplug.tui.filter_line import FilterLine

        app = self._centre
        if app.pane is not None:
            await app.open_line(FilterLine(app.listing or app.pane.main, self._filtered))

    async def _filtered(self, rows: Listing) -> None:
        """Done filtering."""
        await self._centre.close_line()
        if rows.is_attached:
            self.focus_now(rows)


def _with(command: Command, given: dict[str, Any]) -> Command:
    return Command(command.title, command.words, action=command.action, given=given)
