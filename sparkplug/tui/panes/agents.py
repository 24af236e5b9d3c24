"""Agents: every replica, how it is, and what it does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult

from sparkplug.schema.text import one_line
from sparkplug.tui import symbols
from sparkplug.tui.figures import since
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.widgets.columns import Column, Columns
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.rows import Row, Rows

if TYPE_CHECKING:
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.tui.store import Topics

_COLUMNS = (
    Column("name", 16, grows=True),
    Column("rep", 3),
    Column("state", 15),
    Column("age", 4, align="right"),
    Column("runtime", 9, rank=4),
    Column("host", 10, rank=3),
    Column("rst", 3, rank=2, align="right"),
    Column("fly", 3, rank=1, align="right"),
    Column("served", 6, rank=5, align="right"),
    Column("failed", 6, rank=6, align="right"),
    Column("pid", 7, rank=7, align="right"),
)


def agent_key(agent: ObservedAgent) -> str:
    """What tells a replica from all others."""
    return f"{agent.name}/{agent.replica}/{agent.owner}"


class AgentsPane(Pane):
    """A table of replicas, and the reason of the selected one below it."""

    TOPICS: ClassVar[frozenset[str]] = frozenset({"agents", "link"})

    def __init__(self) -> None:
        super().__init__(id="agents")
        self._rows = AgentRows("agents")
        self._detail = Lines(id="agents-detail")

    def compose(self) -> ComposeResult:
        """The table and what is known of the selected row."""
        yield self._rows
        yield self._detail

    @property
    def main(self) -> Rows:
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
        self._rows.draw(self.store.agents)
        self._draw_detail()

    def tick(self) -> None:
        """Ages."""
        self._rows.draw(self.store.agents)

    def on_rows_moved(self) -> None:
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


class AgentRows(Rows):
    """Replicas as rows."""

    def draw(self, agents: list[ObservedAgent]) -> None:
        """Show these."""
        columns = Columns(_COLUMNS, self.size.width - 1)
        now = datetime.now(UTC)
        self._agents = agents
        self.set_header(columns.header())
        self.set_rows([Row(agent_key(a), _line(columns, a, now), a) for a in agents])

    def resized(self) -> None:
        """Other columns fit."""
        self.draw(getattr(self, "_agents", []))
        super().resized()


def _line(columns: Columns, agent: ObservedAgent, now: datetime) -> tuple[tuple[str, str], ...]:
    symbol, pen = symbols.of_agent(str(agent.state))
    name = f"{agent.name} (foreign)" if agent.foreign else agent.name
    line = columns.line(
        {
            "name": ("text", name),
            "rep": ("dim", agent.replica),
            "state": (pen, f"{symbol} {agent.state}"),
            "age": ("dim", since(agent.state_since, now)),
            "runtime": ("dim", agent.runtime),
            "host": ("dim", agent.host or "—"),
            "rst": ("warn" if agent.restarts else "dim", str(agent.restarts)),
            "fly": ("active" if agent.inflight else "dim", str(agent.inflight)),
            "served": ("dim", str(agent.served)),
            "failed": ("bad" if agent.failed else "dim", str(agent.failed)),
            "pid": ("dim", str(agent.pid or "—")),
        }
    )
    return tuple((pen if isinstance(pen, str) else "text", text) for pen, text in line)
