"""Agents: every replica, how it is, and what it does."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.events import Hide, Resize, Show
from textual.worker import Worker

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.panes.agent_columns import Cordons, agent_columns, agent_key, is_failing
from sparkplug.tui.panes.agent_lines import detail_lines
from sparkplug.tui.panes.agent_usage import USAGE_COLUMNS, Trace, UsageCells
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.table import Table

if TYPE_CHECKING:
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.tui.store import Topics

#: Rows of a screen from which on the box below the table has one more, and below which it is not.
_ROOMY, _SMALL = 36, 14
_HISTORY_S = 3600.0
#: The cursor rests so long on a row before its history is asked for.
_REST_S = 0.4


class AgentsPane(Pane):
    """A table of replicas; below it what the selected one does, and what helps it."""

    TOPICS: ClassVar[frozenset[str]] = frozenset({"agents", "hosts", "link", "usage"})

    def __init__(self) -> None:
        super().__init__(id="agents")
        self._usage = UsageCells()
        self._cordons = Cordons()
        columns = agent_columns(self._usage, self._cordons)
        self._rows = Table(columns, key=agent_key, title="agents", failing=is_failing)
        self._detail = Lines("agent", id="agents-detail")
        self._trace = Trace(("", ""))

    def compose(self) -> ComposeResult:
        """The table and what is known of the selected row."""
        yield self._rows
        yield self._detail

    @property
    def main(self) -> Listing:
        """The table."""
        return self._rows

    def on_resize(self, event: Resize) -> None:
        """Where there are few rows the table has them all."""
        height = event.size.height
        self._detail.display = height >= _SMALL
        self._detail.styles.height = 7 if height >= _ROOMY else 6
        self.call_after_refresh(self._draw_detail)

    def on_show(self, _event: Show) -> None:
        """Seen again: what agents take is followed."""
        self._follow_usage()

    def on_hide(self, _event: Hide) -> None:
        """Seen no longer: so is nothing that is shown here alone."""
        self.store.want_usage(False)

    def _follow_usage(self) -> None:
        seen = self._rows.columns_in_sight & USAGE_COLUMNS
        self.store.want_usage(self.in_sight and bool(seen or self._detail.display))

    def draw(self, topics: Topics) -> None:
        """Show the agents there are."""
        if topics & {"agents", "link"}:
            self._rows.set_empty(
                waiting(
                    self.store,
                    f"no agents yet: {self.centre.key('agents.deploy') or 'D'} deploys one",
                )
            )
            self._rows.set_rows(self.store.agents)
            self._follow_usage()
        if "hosts" in topics:
            self._take_cordons()
        if "usage" in topics:
            self._take_usage()
        self._draw_detail()

    def _take_cordons(self) -> None:
        """Hosts that take nothing new are marked where they are named."""
        view = self.store.view
        words = self._cordons.take(view.orders) if view is not None else {}
        changed = self._cordons.changed(words)
        if changed:
            for agent in self.store.agents:
                if (agent.node or agent.host) in changed:
                    self._rows.change(agent_key(agent), "host", self._cordons.cell(agent, words))
            self._cordons.keep(words)

    def _take_usage(self) -> None:
        view = self.store.view
        if view is None:
            return
        seen = self._rows.columns_in_sight & USAGE_COLUMNS
        cells = self._usage.take(view.usage, frozenset(seen))
        if seen:
            for agent in self.store.agents:
                if not agent.foreign:
                    values = cells.get((agent.name, agent.replica), {})
                    for name in seen & values.keys():
                        self._rows.change(agent_key(agent), name, values[name])
        self._usage.keep(cells)
        found = self._usage.now(self._trace.replica)
        if found is not None and self._trace.replica in cells:
            self._trace.note(found.now)

    def tick(self) -> None:
        """Ages; and whether what agents take is looked at, as columns come and go."""
        self._rows.tick()
        self._follow_usage()

    def on_listing_moved(self) -> None:
        """Another row."""
        self._draw_detail()

    def _draw_detail(self) -> None:
        row = self._rows.row
        agent: ObservedAgent | None = row.value if row else None
        if agent is None or not self._detail.display:
            self._detail.retitle("agent")
            self._detail.set_lines([])
            return
        replica = (agent.name, agent.replica)
        if replica != self._trace.replica:
            self._trace = Trace(replica)
            if not agent.foreign:
                _: Worker[None] = self.run_worker(
                    partial(self._read_history, self._trace), group="history", exclusive=True
                )
        self._detail.retitle(f"{agent.name}/{agent.replica}")
        wanted = self.store.view.desired.get(agent.name) if self.store.view else None
        usage = self._usage.now(replica) if not agent.foreign else None
        width = self._detail.size.width
        self._detail.set_lines(
            detail_lines(agent, wanted, usage, self._trace, self.centre.key, width)
        )

    async def _read_history(self, trace: Trace) -> None:
        """How it went before one came, once the cursor rests on it."""
        from sparkplug.client.usage import read_history

        await asyncio.sleep(_REST_S)
        client = self.store.client
        if client is None or not self.in_sight:
            return
        try:
            trace.load(await read_history(client, trace.replica[0], _HISTORY_S))
        except SparkplugError:
            return  # what comes from now on is drawn
        if trace is self._trace:
            self._draw_detail()
