"""Overview: the one screen to leave open all day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from sparkplug.tui import symbols
from sparkplug.tui.panes import overview_lines as boxes
from sparkplug.tui.panes.agents import agent_key
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.rows import Row, Rows
from sparkplug.tui.widgets.steps import step_boxes, took

if TYPE_CHECKING:
    from sparkplug.schema.run import RunView
    from sparkplug.tui.store import Topics


class RunBox(Lines, can_focus=True):
    """The run that goes, or the last one. Posts `Opened` on enter or a click."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "read the run", show=False, id="run.open"),
    ]

    class Opened(Message):
        """Read this run."""

        def __init__(self, run: str) -> None:
            super().__init__()
            self.run = run

    run: RunView | None = None

    def action_open(self) -> None:
        """Read the run."""
        if self.run is not None:
            self.post_message(self.Opened(self.run.id))

    def on_click(self) -> None:
        """As enter."""
        self.action_open()


class Overview(Pane):
    """Hosts and GPUs, agents, who talks to whom, the run, what needs a person, events."""

    TOPICS: ClassVar[frozenset[str]] = frozenset(
        {"agents", "hosts", "telemetry", "topology", "runs", "events", "link"}
    )

    def __init__(self) -> None:
        super().__init__(id="overview")
        self._hosts = Lines("hosts", id="overview-hosts")
        self._agents = Rows("agents", id="overview-agents")
        self._talk = Lines("conversation", id="overview-talk")
        self._run = RunBox("run", id="overview-run")
        self._needs = Rows("needs you", leads=False, id="overview-needs")
        self._events = Rows("events", leads=False, id="overview-events")

    def compose(self) -> ComposeResult:
        """Three rows of two boxes."""
        yield self._hosts
        yield self._agents
        yield self._talk
        yield self._run
        yield self._needs
        yield self._events

    @property
    def main(self) -> Rows:
        """The agents."""
        return self._agents

    def draw(self, topics: Topics) -> None:
        """Show what changed."""
        if topics & {"hosts", "telemetry", "link"}:
            self._draw_hosts()
        if topics & {"agents", "link"}:
            self._draw_agents()
        if topics & {"topology", "hosts", "link"}:
            self._draw_talk()
        if topics & {"runs", "hosts", "link"}:
            self._draw_run()
        if topics & {"agents", "hosts", "link"}:
            self._draw_needs()
        if topics & {"events", "hosts", "link"}:
            self._draw_events()

    def tick(self) -> None:
        """Ages, and the time a run takes."""
        self._draw_agents()
        self._draw_needs()
        if self._run.run is not None and self._run.run.finished is None:
            self._draw_run()

    def on_resize(self) -> None:
        """Every line depends on the width of its box."""
        self.call_after_refresh(self.draw, self.TOPICS)

    def _draw_hosts(self) -> None:
        view = self.store.view
        hosts = self.store.hosts
        history = view.history if view else {}
        gpus = sum(len(host.sample.gpus) for host in hosts if host.sample)
        self._hosts.retitle(f"hosts {len(hosts)} · gpus {gpus}" if hosts else "hosts")
        if not hosts:
            text = waiting(self.store, "no host has told of itself yet")
            self._hosts.set_lines([(("dim", text),)])
            return
        size = self._hosts.size
        self._hosts.set_lines(boxes.strip_lines(hosts, history, size.width, size.height))

    def _draw_agents(self) -> None:
        now, width = datetime.now(UTC), self._agents.size.width - 1
        self._agents.set_empty(
            waiting(
                self.store,
                f"no agents yet: {self.centre.key('agents.deploy') or 'D'} deploys an agent file",
            )
        )
        self._agents.set_rows(
            [Row(agent_key(a), boxes.agent_line(a, width, now), a) for a in self.store.agents]
        )

    def _draw_talk(self) -> None:
        graph = self.store.view.topology if self.store.view else None
        rate = f" {graph.messages_per_second:.1f} msg/s" if graph else ""
        self._talk.retitle(f"conversation{rate}")
        if graph is None or not graph.edges:
            text = waiting(self.store, "nobody has spoken yet")
            self._talk.set_lines([(("dim", text),)])
            return
        self._talk.set_lines(boxes.talk_lines(graph, self._talk.size.width))

    def _draw_run(self) -> None:
        runs = self.store.runs
        run = next((run for run in runs if run.finished is None), runs[0] if runs else None)
        self._run.run = run
        if run is None:
            self._run.retitle("run")
            text = waiting(
                self.store, f"no run yet: {self.centre.key('runs.submit') or 'R'} runs a plan"
            )
            self._run.set_lines([(("dim", text),)])
            return
        now = datetime.now(UTC)
        symbol, pen = symbols.of_step(str(run.state))
        self._run.retitle(f"run {run.id} {took(run.created, run.finished, now)}")
        lines = step_boxes(run, self._run.size.width, now)
        words = f"{symbol} {run.state}"
        hint = ", enter reads it" if run.output is not None else ""
        lines.append(((pen, words), ("dim", hint), ("bad", f" {run.error}" if run.error else "")))
        self._run.set_lines(lines)

    def _draw_needs(self) -> None:
        self._needs.set_empty(waiting(self.store, "nothing needs you"))
        self._needs.set_rows(boxes.needs_rows(self.store.agents, self.store.hosts))

    def _draw_events(self) -> None:
        view = self.store.view
        self._events.set_empty(waiting(self.store, "nothing has happened"))
        events = reversed(view.events) if view else ()
        self._events.set_rows([boxes.event_row(event) for event in events])
