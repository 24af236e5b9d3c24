"""The shape of an agent's work, with the nodes lit that run now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.dialog import Reading
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.canvas.canvas import Canvas
from sparkplug.tui.widgets.canvas.model import Box, Edge, Graph

if TYPE_CHECKING:
    from sparkplug.client.cancelling import InHand
    from sparkplug.schema.thread import AgentGraph

_LOOK_S = 0.5


class AgentGraphPage(Reading):
    """Asks the agent while it is open: for its graph once, for what runs twice a second."""

    def __init__(self, agent: str) -> None:
        super().__init__(f"{agent} ▸ graph", Opened("graph", "agent", agent))
        self.add_class("run")
        self.canvas = Canvas("nodes", empty="asking the agent for its graph")
        self._agent = agent
        self._graph: AgentGraph | None = None
        self._hands: list[InHand] = []
        self._problem = ""

    def compose(self) -> ComposeResult:
        """The graph, and below it what is in hand."""
        yield self.canvas
        yield self.page

    def begin(self) -> None:
        """Ask, and show it."""
        self.canvas.styles.height = "2fr"
        self.canvas.focus()
        self.page.show(self._layout)
        self.run_worker(self._follow(), name="graph")

    async def _follow(self) -> None:
        import nats.errors

        from sparkplug.client import cancelling, threads

        while True:
            try:
                client = self.centre.client
                if self._graph is None:
                    self._graph = await threads.graph(client, self._agent)
                    if self._graph is None:
                        self._problem = "its work has no shape that could be shown"
                self._hands = await cancelling.in_hand(client, self._agent)
                if self._graph is not None:
                    self._problem = ""
            except (SparkplugError, TimeoutError, nats.errors.Error) as error:
                self._problem = str(error)
            self._show()
            await asyncio.sleep(_LOOK_S)

    def _show(self) -> None:
        if self._graph is not None:
            self.canvas.show(graph_of(self._graph, self._lit()))
        self.page.show(self._layout)

    def _lit(self) -> set[str]:
        requests = [one for hand in self._hands for one in hand.requests or ()]
        return {step for one in requests for step in one.steps}

    def _layout(self, width: int) -> Sequence[Line]:
        if self._problem:
            return [(("warn", line),) for line in wrap(self._problem, width)]
        lines: list[Line] = []
        for hand in self._hands:
            for one in hand.requests or ():
                steps = ", ".join(one.steps) or one.action
                thread = f"  thread {one.thread}" if one.thread else ""
                lines.append(
                    (
                        ("active", "● "),
                        ("text", f"{self._agent}/{hand.replica} {steps}"),
                        ("dim", f"  {one.age_seconds:.0f} s{thread}"),
                    )
                )
        return lines or [(("dim", "it works on nothing now"),)]


def graph_of(found: AgentGraph, running: set[str]) -> Graph:
    """The nodes as boxes, those that run lit; what is conditional is a lighter arrow."""
    return Graph(
        tuple(_box(node.id, node.label or node.id, node.id in running) for node in found.nodes),
        tuple(
            Edge(
                edge.source,
                edge.target,
                name=edge.label,
                pen="active" if edge.target in running else "dim" if edge.conditional else "line",
                label=edge.label,
            )
            for edge in found.edges
        ),
    )


def _box(name: str, label: str, lit: bool) -> Box:
    parent = name.rpartition(":")[0]
    pen, symbol = ("active", "●") if lit else ("dim", "○")
    inside: Line = ((pen, f"{symbol} {'runs' if lit else parent or ' '}"),)
    return Box(name, label, (inside,), pen if lit else "line", symbol)
