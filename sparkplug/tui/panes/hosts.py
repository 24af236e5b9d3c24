"""Hosts: every host of the mesh, and all that is measured on the selected one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Resize
from textual.worker import Worker

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.figures import age
from sparkplug.tui.panes.host_columns import host_columns, is_failing
from sparkplug.tui.panes.host_lines import host_lines
from sparkplug.tui.panes.host_plots import HostPlots, Span
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.page import Page
from sparkplug.tui.widgets.table import Table

if TYPE_CHECKING:
    from sparkplug.schema.host import HostSample
    from sparkplug.schema.past import PastSample
    from sparkplug.tui.store import Topics

#: Rows of the list's box that show no host: its border and the names of the columns.
_AROUND = 3
#: Rows below which the list has them all.
_LOW = 7


#: From this many cells and rows on, figures and plots stand side by side.
_WIDE, _TALL = 120, 14


class HostsPane(Pane):
    """A list of hosts, and below it the selected one: its figures, to scroll, and how it went."""

    TOPICS: ClassVar[frozenset[str]] = frozenset({"hosts", "telemetry", "link"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "next_plot", "next plot", show=False, id="hosts.plot"),
        Binding("T", "topology", "links between its GPUs", show=False, id="hosts.topology"),
        Binding("i", "next_span", "how far back plots go", show=False, id="hosts.span"),
        Binding("V", "next_gpu", "plot the next GPU alone", show=False, id="hosts.plot-gpu"),
    ]

    def __init__(self) -> None:
        super().__init__(id="hosts")
        self._rows = Table(
            host_columns(self._past),
            key=attrgetter("name"),
            title="hosts",
            failing=is_failing,
            id="hosts-list",
        )
        self._detail = Page(id="hosts-detail")
        self._height = 0
        self._plots = HostPlots(id="hosts-plots")
        self._area = Horizontal(self._detail, self._plots, id="hosts-area")

    def compose(self) -> ComposeResult:
        """The list, and the host beside its plots."""
        yield self._rows
        yield self._area

    @property
    def main(self) -> Listing:
        """The list."""
        return self._rows

    def _past(self, host: str) -> Sequence[HostSample | PastSample]:
        """What was heard of a host, oldest first."""
        view = self.store.view
        return tuple(view.history.get(host, ())) if view is not None else ()

    def draw(self, topics: Topics) -> None:
        """Show the hosts there are."""
        self._rows.set_empty(waiting(self.store, "no host has told of itself yet"))
        self._rows.set_rows(self.store.hosts)
        height = max(1, len(self.store.hosts)) + _AROUND
        if height != self._height:
            self._height = height
            self._rows.styles.height = height
        self._draw_detail()

    def tick(self) -> None:
        """Ages, those of silent hosts too."""
        self._rows.tick()
        if any(str(view.state) == "stale" for view in self.store.hosts):
            self.store.forget_ages()
            self.draw(self.TOPICS)

    def on_listing_moved(self) -> None:
        """Another host; how the one before went over a longer time is not its history."""
        self._detail.top = 0
        self._plots.span = None
        self._draw_detail()

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Into the host: scroll what is known of it."""
        event.stop()
        self.screen.focus_next("#hosts-area *")

    def on_resize(self, event: Resize) -> None:
        """More room, or less, for plots; where there is none the list has all of it."""
        self._area.display = event.size.height >= _LOW
        self.call_after_refresh(self._draw_detail)

    def action_next_plot(self) -> None:
        """The next plot alone, after the last all of them, then the figures alone."""
        name = self._plots.next_plot(wide=self._wide)
        self._draw_detail()
        self.centre.tell(f"plot: {name}", "dim")

    def action_topology(self) -> None:
        """How the GPUs of the selected host hang together."""
        row = self._rows.row
        if row is not None:
            self.centre.open_thing(Opened("topology", "host", row.value.name))

    def action_next_span(self) -> None:
        """Plots of what was heard, then of the last hour, day and month, as the node kept them."""
        row = self._rows.row
        if row is None:
            return
        span = self._plots.next_span()
        if not self._plots.chosen and not self._wide:
            self._plots.next_plot(wide=False)
        self._draw_detail()
        if span is not None:
            words = f"reading the last {span.name} of {row.value.name} …"
            self.centre.tell(words, "dim")
            _: Worker[None] = self.run_worker(
                self._read_span(row.value.name, span), exclusive=True, group="span"
            )
        else:
            self.centre.tell("plots of what was heard", "dim")

    async def _read_span(self, host: str, span: Span) -> None:
        """Ask the node, and show what it kept; again while one looks at it."""
        from sparkplug.client import hosts
        from sparkplug.schema.history import HistoryRequest

        while self._plots.span is span:
            client = self.store.client
            if client is None:
                self.centre.tell("there is no connection to the mesh", "warn")
                return
            request = HistoryRequest(seconds=span.seconds, points=span.points)
            try:
                reply = await hosts.history(client, host, request)
            except SparkplugError as error:
                self.centre.fail(f"history of {host}", error)
                return
            self._plots.take(reply)
            energy = reply.kilowatt_hours
            taken = "" if energy is None else f", {energy:.2f} kWh by its GPUs"
            self.centre.tell(f"{host}: the last {span.name}{taken}", "dim")
            self._draw_detail()
            await asyncio.sleep(max(reply.step_seconds, 10.0))
            row = self._rows.row
            if not self.in_sight or row is None or row.value.name != host:
                return

    def action_next_gpu(self) -> None:
        """The next GPU alone, after the last all of them."""
        name = self._plots.next_gpu()
        self._draw_detail()
        self.centre.tell(f"plots of {name}", "dim")

    @property
    def _wide(self) -> bool:
        return self._area.size.width >= _WIDE and self._area.size.height >= _TALL

    def _draw_detail(self) -> None:
        row = self._rows.row
        view = row.value if row else None
        if view is None or self.store.view is None:
            self._detail.retitle("host")
            self._detail.show(lambda _: [])
            self._plots.draw(None, (), (0, 0), wide=False)
            self._detail.display = True
            return
        history = list(self.store.view.history.get(view.node.host, ()))
        room, wide = self._area.size, self._wide
        plots = self._plots.draw(view, history, (room.width, room.height), wide=wide)
        self._detail.display = wide or not plots
        old = {"stale": f", last heard {age(view.age_seconds)} ago", "stopped": ", stopped"}
        self._detail.retitle(view.name + old.get(str(view.state), ""))
        # What a plot beside it shows is not drawn twice.
        past = () if plots else history
        self._detail.show(lambda width: host_lines(view, past, width))
