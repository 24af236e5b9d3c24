"""Hosts: every host of the mesh, and all that is measured on the selected one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult

from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, Span, fit
from sparkplug.tui.figures import age, meter, percent
from sparkplug.tui.panes.host_lines import driver_words, host_lines, memory_percent, throttle
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.widgets.page import Page
from sparkplug.tui.widgets.rows import Row, Rows

if TYPE_CHECKING:
    from sparkplug.schema.node_services import HostView
    from sparkplug.tui.store import Topics


class HostsPane(Pane):
    """A list of hosts, and below it the selected one, to scroll."""

    TOPICS: ClassVar[frozenset[str]] = frozenset({"hosts", "telemetry", "link"})

    def __init__(self) -> None:
        super().__init__(id="hosts")
        self._rows = Rows("hosts", id="hosts-list")
        self._detail = Page(id="hosts-detail")

    def compose(self) -> ComposeResult:
        """The list and the host."""
        yield self._rows
        yield self._detail

    @property
    def main(self) -> Rows:
        """The list."""
        return self._rows

    def draw(self, topics: Topics) -> None:
        """Show the hosts there are."""
        self._rows.set_empty(waiting(self.store, "no host has told of itself yet"))
        self._rows.set_rows([Row(view.name, host_line(view), view) for view in self.store.hosts])
        self._draw_detail()

    def tick(self) -> None:
        """Ages of silent hosts."""
        if any(str(view.state) == "stale" for view in self.store.hosts):
            if self.store.view is not None:
                self.store.hosts = self.store.view.hosts()
            self.draw(self.TOPICS)

    def on_rows_moved(self) -> None:
        """Another host."""
        self._detail.top = 0
        self._draw_detail()

    def on_rows_chosen(self, event: Rows.Chosen) -> None:
        """Into the host: scroll what is known of it."""
        event.stop()
        self._detail.focus()

    def _draw_detail(self) -> None:
        row = self._rows.row
        view = row.value if row else None
        if view is None or self.store.view is None:
            self._detail.retitle("")
            self._detail.show(lambda _: [])
            return
        history = list(self.store.view.history.get(view.node.host, ()))
        old = {"stale": f", last heard {age(view.age_seconds)} ago", "stopped": ", stopped"}
        self._detail.retitle(view.name + old.get(str(view.state), ""))
        self._detail.show(lambda width: host_lines(view, history, width))


def host_line(view: HostView) -> Line:
    """A host in a line: state, how busy, what its GPUs do."""
    symbol, pen = symbols.of_node(str(view.state))
    stale = str(view.state) == "stale"
    silent = f" {age(view.age_seconds)}" if stale else ""
    line: list[Span] = [
        (pen, fit(f"{symbol} {view.state}{silent}", 12)),
        ("text", fit(view.name, 12) + " "),
    ]
    sample = view.sample
    if sample is None:
        return (*line, ("dim", "no telemetry yet"))
    memory = memory_percent(sample)
    quiet = "dim" if stale else "text"
    line += [
        ("dim", "cpu "),
        *meter(sample.cpu.percent, 5, fills=False),
        (quiet, f"{percent(sample.cpu.percent)} "),
    ]
    line += [("dim", "mem "), *meter(memory, 5), (quiet, f"{percent(memory)} ")]
    low = sum(1 for gpu in sample.gpus if throttle(gpu))
    driver_pen, words = driver_words(sample.driver)
    if sample.gpus:
        count = len(sample.gpus)
        line.append(("text", f"{count} GPU{'s' * (count != 1)} "))
        if low:
            line.append(("warn", f"! {low} throttled "))
    if sample.simulated:
        line += [("alarm", " SIMULATED "), ("text", " ")]
    if not sample.gpus or str(sample.driver.state) != "ok":
        line.append((driver_pen, words))
    return tuple(line)
