"""Agents: every replica, how it is, and what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult

from sparkplug.schema.text import one_line
from sparkplug.tui import symbols
from sparkplug.tui.panes.agent_columns import AGENT_COLUMNS, agent_key, is_failing
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.table import Table

if TYPE_CHECKING:
    from sparkplug.tui.store import Topics


class AgentsPane(Pane):
    """A table of replicas, and the reason of the selected one below it."""

    TOPICS: ClassVar[frozenset[str]] = frozenset({"agents", "link"})

    def __init__(self) -> None:
        super().__init__(id="agents")
        self._rows = Table(AGENT_COLUMNS, key=agent_key, title="agents", failing=is_failing)
        self._detail = Lines(id="agents-detail")

    def compose(self) -> ComposeResult:
        """The table and what is known of the selected row."""
        yield self._rows
        yield self._detail

    @property
    def main(self) -> Listing:
        """The table."""
        return self._rows

    def draw(self, topics: Topics) -> None:
        """Show the agents there are."""
        self._rows.set_empty(
            waiting(
                self.store,
                f"no agents yet: {self.centre.key('agents.deploy') or 'D'} deploys an agent file",
            )
        )
        self._rows.set_rows(self.store.agents)
        self._draw_detail()

    def tick(self) -> None:
        """Ages."""
        self._rows.tick()

    def on_listing_moved(self) -> None:
        """Another row."""
        self._draw_detail()

    def _draw_detail(self) -> None:
        row = self._rows.row
        agent = row.value if row else None
        if agent is None:
            self._detail.retitle("")
            self._detail.set_lines([])
            return
        symbol, pen = symbols.of_agent(str(agent.state))
        self._detail.retitle(f"{agent.name}/{agent.replica}")
        self._detail.set_lines(
            [
                (
                    (pen, f"{symbol} {agent.state}"),
                    ("text", f"  {one_line(agent.reason or '')}"),
                ),
                (("dim", one_line(agent.description)),),
                (
                    ("dim", f"owner {agent.owner}"),
                    ("dim", f" · {agent.sdk}" if agent.sdk else ""),
                    (
                        "dim",
                        f" · can {', '.join(agent.capabilities)}" if agent.capabilities else "",
                    ),
                    ("dim", f" · gpu {', '.join(agent.gpus)}" if agent.gpus else ""),
                ),
            ]
        )
