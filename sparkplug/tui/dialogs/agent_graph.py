"""The shape of an agent's work, with the nodes lit that run now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.dialog import Reading
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.canvas.canvas import Canvas
from sparkplug.tui.widgets.canvas.model import Box, Edge, Graph

if TYPE_CHECKING:
    from sparkplug.client.cancelling import InHand
    from sparkplug.schema.thread import AgentGraph, ThreadState

_LOOK_S = 0.5


class AgentGraphPage(Reading):
    """Asks the agent while it is open: for its graph once, for what runs twice a second.

    `t` reads the state of its threads below the graph, the newest first, one after the other.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "thread", "state of the next thread", id="graph.thread"),
    ]

    def __init__(self, agent: str) -> None:
        super().__init__(f"{agent} ▸ graph", Opened("graph", "agent", agent))
        self.add_class("run")
        self.canvas = Canvas("nodes", empty="asking the agent for its graph")
        self._agent = agent
        self._graph: AgentGraph | None = None
        self._hands: list[InHand] = []
        self._problem = ""
        self._threads: list[str] = []
        self._state: ThreadState | None = None

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

    def action_thread(self) -> None:
        """Read the state of the next thread; after the last, what is in hand again."""
        self.run_worker(self._next_thread(), name="thread", exclusive=True, group="thread")

    async def _next_thread(self) -> None:
        from sparkplug.client import threads

        async with self.centre.telling("State of a thread"):
            client = self.centre.client
            if self._state is None:
                found = await threads.list_threads(client, self._agent)
                self._threads = [one.thread for one in found]
                if not self._threads:
                    self.centre.tell(f"{self._agent} keeps no threads yet", "dim")
            self._state = (
                await threads.state(client, self._agent, self._threads.pop(0))
                if self._threads
                else None
            )
            self.page.scroll_lines(-len(self.page.lines))
            self._show()

    def _state_lines(self, state: ThreadState, width: int) -> list[Line]:
        following = f"next: {', '.join(state.next)}" if state.next else "at rest"
        head: Line = (
            ("focus", f"thread {one_line(state.thread)}"),
            ("dim", f"  step {state.step}  {following}"),
        )
        text = json.dumps(state.values, indent=2, ensure_ascii=False)
        return [head, *((("text", line),) for line in wrap(text, width))]

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
        if self._state is not None:
            return self._state_lines(self._state, width)
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
