"""Overview: the one screen to leave open all day."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from operator import is_not
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Click
from textual.message import Message

from sparkplug.schema.host_needs import HostNeed, host_needs
from sparkplug.tui import symbols
from sparkplug.tui.figures import age_lasts
from sparkplug.tui.panes import overview_lines as boxes
from sparkplug.tui.panes.agent_columns import SHORT_COLUMNS, agent_key, is_failing
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.question_lines import question_rows
from sparkplug.tui.panes.shares import Need, share
from sparkplug.tui.panes.talk import talk_lines
from sparkplug.tui.panes.talk_marks import rate_words
from sparkplug.tui.panes.talk_needs import deadlocks, open_need, talk_needs
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.rows import Rows
from sparkplug.tui.widgets.selecting import RIGHT
from sparkplug.tui.widgets.steps import run_lines, took
from sparkplug.tui.widgets.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.run import RunView
    from sparkplug.schema.topology import WaitRing
    from sparkplug.tui.panes.mesh_plot import MeshPlot
    from sparkplug.tui.store import Topics

#: As long as nothing has an age.
_NEVER_S = 86400.0


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

    takes_right = True
    run: RunView | None = None

    def action_open(self) -> None:
        """Read the run."""
        if self.run is not None:
            self.post_message(self.Opened(self.run.id))

    def on_click(self, event: Click) -> None:
        """As enter; the right button asks what can be done with the run."""
        if event.button != RIGHT:
            self.action_open()
        elif self.run is not None:
            self.ask(event)


_BORDER = 2
_LEAST = 1 + _BORDER
#: So many of the last events are shown before any other box gets more than it needs.
_EVENTS = 8
#: Rows the plot has at least, or there is none.
_LEAST_PLOT = 8
#: Rows that a graph may have.
_ROOM = 24


class Overview(Pane):
    """Hosts and GPUs, agents, who talks to whom, the run, what needs a person, events."""

    TOPICS: ClassVar[frozenset[str]] = frozenset(
        {
            *("agents", "hosts", "telemetry", "topology", "runs", "questions"),
            *("decisions", "events", "link", "tasks"),
        }
    )

    def __init__(self) -> None:
        super().__init__(id="overview")
        self._hosts = Lines("hosts", id="overview-hosts")
        self._agents = Table(
            SHORT_COLUMNS,
            key=agent_key,
            title="agents",
            failing=is_failing,
            header=False,
            id="overview-agents",
        )
        self._left = Vertical()
        #: Made when there is something to plot: the first frame does not wait for its import.
        self._plot: MeshPlot | None = None
        self._talk = Lines("conversation", id="overview-talk")
        self._run = RunBox("run", id="overview-run")
        self._needs = Rows("needs you", leads=False, id="overview-needs")
        self._events = Rows("events", leads=False, id="overview-events")
        #: When one of the ages on it reads otherwise (time.monotonic).
        self._due = 0.0
        #: Rows in which the graphs of who talks and of the run show all there is.
        self._talk_rows = self._run_rows = 1
        #: What the rows were shared by.
        self._shared: tuple[object, ...] = ()
        self._stuck: Sequence[WaitRing] = ()
        #: What needs a person, as it was drawn last.
        self._needing: tuple[object, ...] = ()
        #: What its hosts need of one, by host.
        self._ailing: dict[str, list[HostNeed]] = {}

    def compose(self) -> ComposeResult:
        """Two columns of three boxes."""
        with self._left:
            yield from (self._hosts, self._talk, self._needs)
        with Vertical():
            yield from (self._agents, self._run, self._events)

    @property
    def main(self) -> Listing:
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
        if topics & {"runs", "hosts", "link", "tasks"}:
            self._draw_run()
        stuck = "topology" in topics and deadlocks(self.store.view) != self._stuck
        needs = topics & {"hosts", "questions", "decisions", "link"} or stuck
        others = "agents" in topics and self._need_others()
        ailing = "telemetry" in topics and self._ailments() != self._ailing
        if needs or others or ailing:
            self._draw_needs()
        if topics & {"events", "hosts", "link"}:
            self._draw_events()
        self._share_rows()

    def _share_rows(self) -> None:
        """Give each box the rows it has something to show in; what is empty is small."""
        shared = (
            self.size.height,
            boxes.strip_rows(self.store.hosts),
            bool(self.store.hosts),
            self._talk_rows,
            self._run_rows,
            self._needs.shown,
            self._agents.total,
        )
        if shared == self._shared:
            return
        self._shared = shared
        hosts = Need(_LEAST, boxes.strip_rows(self.store.hosts) + _BORDER)
        # Where there are rows for two boxes, those are shown that something is to be done about.
        low = self.size.height < 3 * _LEAST
        talk = Need(0, 0) if low else Need(_LEAST, self._talk_rows + _BORDER)
        needs = Need(_LEAST, max(1, self._needs.shown) + _BORDER)
        rows = share(self.size.height, [hosts, Need(0, 0, 1), talk, needs])
        if not self.store.hosts or rows[1] < _LEAST_PLOT:
            rows = share(self.size.height, [replace(hosts, grows=1), replace(talk, grows=1), needs])
            rows.insert(1, 0)
        plot = self._made_plot() if rows[1] else self._plot
        left = zip((self._hosts, plot, self._talk, self._needs), rows, strict=True)
        agents = Need(_LEAST, max(1, self._agents.total) + _BORDER)
        run = Need(0, 0) if low else Need(_LEAST, self._run_rows + _BORDER)
        rows = share(self.size.height, [agents, run, Need(_LEAST, _EVENTS + _BORDER, 1)])
        right = zip((self._agents, self._run, self._events), rows, strict=True)
        moved = False
        for box, height in (*left, *right):
            if box is None:
                continue
            if box.styles.height is None or box.styles.height.value != height:
                box.styles.height = height
                box.display = height > 0
                moved = True
        if moved:
            self.call_after_refresh(self._draw_all)

    def _made_plot(self) -> MeshPlot:
        if self._plot is None:
            from sparkplug.tui.panes.mesh_plot import MeshPlot

            self._plot = MeshPlot(id="overview-plot")
            self._plot.display = False
            self._left.mount(self._plot, after=self._hosts)
        return self._plot

    def tick(self) -> None:
        """Ages, when one of them reads otherwise now, and the time a run takes."""
        self._agents.tick()
        if time.monotonic() >= self._due:
            self.store.forget_ages()
            self._draw_needs()
            if any(view.state == "stale" for view in self.store.hosts):
                self._draw_hosts()
        if self._run.run is not None and self._run.run.finished is None:
            self._draw_run()

    def on_resize(self) -> None:
        """Every line depends on the width of its box."""
        self.call_after_refresh(self._draw_all)

    def _draw_all(self) -> None:
        if self.in_sight:
            self.draw(self.TOPICS)

    async def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Into what needs one: a deadlock is looked at, a decision settled, of a host it is told
        what is wrong with it."""
        if await open_need(self.centre, event.row.value):
            event.stop()

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
        if self._plot is not None and self._plot.display:
            self._plot.draw_mesh(hosts, history)

    def _draw_agents(self) -> None:
        self._agents.set_empty(
            waiting(
                self.store,
                f"no agents yet: {self.centre.key('agents.deploy') or 'D'} deploys one",
            )
        )
        self._agents.set_rows(self.store.agents)

    def _draw_talk(self) -> None:
        graph = self.store.view.topology if self.store.view else None
        rate = rate_words(graph.messages_per_second) if graph else ""
        self._talk.retitle(
            f"conversation {rate.removesuffix('/s')} msg/s" if rate else "conversation"
        )
        if graph is None or not graph.edges:
            text = "nobody has spoken yet"
            if self.store.agents:
                key = self.centre.key("agents.prompt") or "t"
                text = f"nobody spoke yet: {key} prompts an agent"
            text = waiting(self.store, text)
            self._talk.set_lines([(("dim", text),)])
            return
        size = self._talk.size
        lines = talk_lines(graph, size.width, _ROOM)
        self._talk_rows = len(lines)
        # What takes more than that are pairs, and so they are where there is less room.
        if size.height > _ROOM or size.height < self._talk_rows <= _ROOM:
            lines = talk_lines(graph, size.width, size.height)
        self._talk.set_lines(lines)

    def _draw_run(self) -> None:
        runs = self.store.runs
        run = next((run for run in runs if run.finished is None), runs[0] if runs else None)
        self._run.run = run
        queues = boxes.queue_words(self.store.view.tasks if self.store.view else None)
        if run is None:
            self._run.retitle("run", queues)
            text = waiting(
                self.store, f"no run yet: {self.centre.key('runs.submit') or 'R'} runs a plan"
            )
            self._run.set_lines([(("dim", text),)])
            return
        now = datetime.now(UTC)
        symbol, pen = symbols.of_step(str(run.state))
        self._run.retitle(f"run {run.id} {took(run.created, run.finished, now)}", queues)
        size = self._run.size
        lines = run_lines(run, size.width, size.height - 1, now)
        words = f"{symbol} {run.state}"
        hint = ", enter reads it" if run.output is not None else ""
        lines.append(((pen, words), ("dim", hint), ("bad", f" {run.error}" if run.error else "")))
        self._run_rows = len(run_lines(run, size.width, _ROOM, now)) + 1
        self._run.set_lines(lines)

    def _need_others(self) -> bool:
        """Whether other agents need a person than those that were drawn."""
        before, now = self._needing, self._in_need()
        return len(before) != len(now) or any(map(is_not, before, now))

    def _in_need(self) -> list[ObservedAgent]:
        # Of hundreds, five times a second: so without a call for each.
        return [a for a in self.store.agents if a.state == "error" or a.state == "waiting-human"]

    def _ailments(self) -> dict[str, list[HostNeed]]:
        return {view.name: needs for view in self.store.hosts if (needs := host_needs(view))}

    def _draw_needs(self) -> None:
        self._needs.set_empty(waiting(self.store, "nothing needs you"))
        agents = self._in_need()
        self._needing = tuple(agents)
        hosts = self.store.hosts
        self._ailing = self._ailments()
        self._stuck = deadlocks(self.store.view)
        now = datetime.now(UTC)
        asked = self.store.questions
        rows = question_rows(asked, now)
        asking = {one.asked_by for one in asked}
        unasked = [a for a in agents if f"{a.name}/{a.replica}" not in asking]
        rows += talk_needs(self.store.view)
        self._needs.set_rows([*rows, *boxes.needs_rows(unasked, hosts)])
        ages = [(now - agent.state_since).total_seconds() for agent in agents]
        ages += [(now - one.asked).total_seconds() for one in asked]
        ages += [view.age_seconds for view in hosts if str(view.state) == "stale"]
        told = [need.since for needs in self._ailing.values() for need in needs if need.since]
        ages += [(now - moment).total_seconds() for moment in told]
        self._due = time.monotonic() + min(map(age_lasts, ages), default=_NEVER_S)

    def _draw_events(self) -> None:
        view = self.store.view
        self._events.set_empty(waiting(self.store, "nothing has happened"))
        events = reversed(view.events) if view else ()
        self._events.set_rows([boxes.event_row(event) for event in events])
