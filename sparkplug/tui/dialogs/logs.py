"""The log of an agent's replica, followed."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.dialog import Reading
from sparkplug.tui.filter import EVERYTHING, Filter
from sparkplug.tui.widgets.entry import Entry

#: Lines kept; older ones are in the file.
_KEPT = 5000
_TAIL = 300


class Logs(Reading):
    """What a replica writes to its output; `/` filters, `f` follows, `p` the process before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "follow the end", id="logs.follow"),
        Binding("p", "previous", "log of the process before", id="logs.previous"),
        Binding("slash", "filter", "filter", id="logs.filter"),
    ]

    def __init__(self, agent: str, replica: str) -> None:
        super().__init__(f"logs {agent}/{replica}")
        self._agent = agent
        self._replica = replica
        self._previous = False
        self._text: deque[str] = deque(maxlen=_KEPT)
        self._partial = ""
        self._problem = ""
        self._filter = EVERYTHING
        self._entry = Entry(prefix="/")

    def compose(self) -> ComposeResult:
        """The page, and the filter below it."""
        yield self.page
        yield self._entry

    def begin(self) -> None:
        """Follow."""
        self._entry.display = False
        self.page.stick(True)
        self.run_worker(self._follow(), exclusive=True)

    async def _follow(self) -> None:
        from sparkplug.client import logs

        client = self.centre.store.client
        if client is None:
            self._problem = "the connection is lost"
            self._show()
            return
        try:
            agent = await logs.locate_log(client, self._agent, self._replica)
            stream = logs.follow_log(client, agent, lines=_TAIL, previous=self._previous)
            async with contextlib.aclosing(stream) as pieces:
                async for piece in pieces:
                    self._take(piece)
        except SparkplugError as error:
            self._problem = str(error)
            self._show()

    def _take(self, piece: str) -> None:
        lines = (self._partial + piece).split("\n")
        self._partial = lines.pop()
        self._text.extend(lines)
        self._show()

    def _show(self) -> None:
        self.page.show(self._layout)

    def _layout(self, width: int) -> list[Line]:
        shown = [text for text in self._text if self._filter.takes(text)]
        lines: list[Line] = [(("text", line),) for text in shown for line in wrap(text, width)]
        if self._partial and self._filter.takes(self._partial):
            lines += [(("text", line),) for line in wrap(self._partial, width)]
        if self._problem:
            lines += [(("bad", line),) for line in wrap(self._problem, width)]
        if not lines:
            nothing = "nothing matches" if self._text else "it has written nothing yet"
            lines = [(("dim", nothing),)]
        return lines

    def action_follow(self) -> None:
        """Stay at the end."""
        self.page.stick(True)

    def action_previous(self) -> None:
        """The log of the process before this one, or back."""
        self._previous = not self._previous
        self._text.clear()
        self._partial = self._problem = ""
        before = ", the process before" if self._previous else ""
        self.page.retitle(f"logs {self._agent}/{self._replica}{before}")
        self.begin()

    def action_filter(self) -> None:
        """Type a filter."""
        self._entry.display = True
        self._entry.type_here()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what matches."""
        self._filter = Filter(event.value)
        self._show()

    def on_input_submitted(self) -> None:
        """Keep the filter."""
        self._entry.display = bool(self._filter.text)
        self.page.focus()

    def action_close(self) -> None:
        """Escape first leaves the filter, then the log."""
        if self._entry.display:
            self._entry.value = ""
            self._entry.display = False
            self.page.focus()
            return
        self.dismiss(None)
