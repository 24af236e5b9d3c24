"""The log of an agent's replica, followed."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.worker import Worker

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.dialogs.dialog import FROM_A_PAGE, Dialog
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.log_view.box import LogBox
from sparkplug.tui.widgets.log_view.view import LogView

if TYPE_CHECKING:
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.node_services import LogsReply

#: Lines that are read at first, and each time one scrolls up to those that are not there yet. A
#: node sends at most 512 kB at once.
_LINES = 5000


class Logs(Dialog[None]):
    """What a replica writes to its output; `p` has what the process before it wrote."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "close", "back", id="page.back"),
        Binding("p", "previous", "log of the process before", id="logs.previous"),
        *FROM_A_PAGE,
    ]
    covers = True
    reads = True

    def __init__(self, agent: str, replica: str, *, previous: bool = False) -> None:
        super().__init__(classes="reading")
        self._agent = agent
        self._replica = replica
        self._previous = previous
        self._name_place()
        self._box = LogBox(self.crumb)
        self._found: ObservedAgent | None = None
        #: Where in the log on its node begins what is here; None when what is before is not known.
        self._start: int | None = None
        self._loading = False

    @property
    def view(self) -> LogView:
        """The log."""
        return self._box.view

    def _name_place(self) -> None:
        what: Literal["logs", "previous"] = "previous" if self._previous else "logs"
        self.opened = Opened(what, "agent", self._agent, self._replica)
        before = ", the process before" if self._previous else ""
        self.crumb = f"logs {self._agent}/{self._replica}{before}"

    def compose(self) -> ComposeResult:
        """The log."""
        yield self._box

    def on_mount(self) -> None:
        """Follow."""
        self.view.focus()
        _: Worker[None] = self.run_worker(self._follow, exclusive=True)

    async def _follow(self) -> None:
        from sparkplug.client import logs

        self._start, self._loading = None, False
        client = self.centre.store.client
        if client is None:
            self.view.note((("bad", "the connection is lost"),))
            return
        try:
            self._found = await logs.locate_log(client, self._agent, self._replica)
            replies = logs.follow_replies(
                client, self._found, lines=_LINES, previous=self._previous
            )
            async with contextlib.aclosing(replies):
                first, due = True, 0
                async for reply in replies:
                    if first:
                        self._begins_at(reply.start)
                    elif reply.start is not None and reply.start != due:
                        self._begins_at(None)  # it was emptied: what was before is gone
                    first, due = False, reply.offset
                    self._take(reply)
                    await self.view.settle()
        except SparkplugError as error:
            self.view.note((("bad", str(error)),))

    def _take(self, reply: LogsReply) -> None:
        self.view.append(reply.text)
        empty = not reply.offset
        self.view.note((("dim", "it has written nothing yet"),) if empty else ())

    def _begins_at(self, start: int | None) -> None:
        self._start = start
        self.view.earlier = bool(start)

    def on_log_view_earlier(self) -> None:
        """Load what is before the first line."""
        if self._start and not self._loading and self._found is not None:
            self._loading = True
            _: Worker[None] = self.run_worker(
                partial(self._load, self._found, self._start), group="earlier", exclusive=True
            )

    async def _load(self, agent: ObservedAgent, before: int) -> None:
        from sparkplug.client import logs

        client = self.centre.store.client
        try:
            if client is not None:
                reply = await logs.read_log(
                    client, agent, lines=_LINES, before=before, previous=self._previous
                )
                if self._start == before and reply.offset == before:
                    self.view.prepend(reply.text)
                    self._begins_at(reply.start)
                    await self.view.settle()
                else:
                    self._begins_at(None)
        except SparkplugError as error:
            self.centre.tell(str(error), "warn")
        finally:
            self._loading = False
            self.view.draw()

    def action_previous(self) -> None:
        """The log of the process before this one, or back."""
        self._previous = not self._previous
        self._name_place()
        self.centre.draw_frame()
        self.view.clear(self.crumb)
        self.view.note(())
        self.workers.cancel_group(self, "earlier")
        _: Worker[None] = self.run_worker(self._follow, exclusive=True)

    def action_close(self) -> None:
        """Escape leaves what one is in first, then the log."""
        if not self._box.escape():
            self.dismiss(None)
