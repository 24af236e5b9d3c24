"""Workflows: plans, their runs and schedules; the selected run's steps as a graph that lives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import DescendantFocus, Resize

from sparkplug.tui import symbols
from sparkplug.tui.cells import Span
from sparkplug.tui.figures import duration
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.schedule_lines import SCHEDULE_COLUMNS, schedule_run, schedule_told
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.run_keys import RUN_KEYS, RunKeys
from sparkplug.tui.widgets.canvas.canvas import Canvas
from sparkplug.tui.widgets.canvas.model import Graph, Key
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.listing import Listing, Row
from sparkplug.tui.widgets.rows import Rows
from sparkplug.tui.widgets.steps import run_graph
from sparkplug.tui.widgets.table import Column, Table

if TYPE_CHECKING:
    from sparkplug.schema.run import RunView
    from sparkplug.schema.schedule import ScheduleView
    from sparkplug.tui.store import Topics

#: Columns of a screen from which the plans stand beside their runs; rows below which no graph is.
_WIDE, _TALL = 90, 18
#: Rows below which nothing is told of the run: the list has them.
_LOW = 12
#: The plans and the schedules beside the runs, and a row of the plans: without the borders,
#: the cells beside them and the mark of the cursor.
_LEFT = 40
_PLAN = _LEFT - 5
#: Rows of a table's box that show none of its rows, and the most of schedules beside the plans.
_AROUND, _SCHEDULES = 3, 8
_NO_GRAPH = Graph((), ())


class WorkflowsPane(RunKeys, Pane):
    """A table of runs and one of plans, and what is run by the clock; below them the selected
    run: its graph, what it waits for, what its time was made of."""

    TOPICS: ClassVar[frozenset[str]] = frozenset({"runs", "schedules", "link"})
    BINDINGS: ClassVar[list[BindingType]] = [
        *RUN_KEYS,
        Binding("W", "schedules", "schedules, and back to the runs", id="run.schedules"),
        Binding("a", "add_schedule", "run a plan by the clock", id="run.add-schedule"),
    ]

    def __init__(self) -> None:
        super().__init__(id="workflows")
        self._plans = Rows("plans", id="workflows-plans")
        self._runs = Table(
            RUN_COLUMNS,
            key=lambda run: run.id,
            title="runs",
            failing=_is_failing,
            id="workflows-runs",
        )
        self._schedules = Table(
            SCHEDULE_COLUMNS,
            key=lambda view: view.name,
            title="schedules",
            id="workflows-schedules",
        )
        self._left = Vertical(self._plans, self._schedules, id="workflows-left")
        #: Whether the schedules have the place of the runs, where there is none for both.
        self._by_clock = False
        self._canvas = Canvas("steps", empty="select a run")
        self._told = Lines("run", id="workflows-told")
        #: The runs that the plans' figures were made of.
        self._seen: tuple[tuple[str, str], ...] | None = None

    def compose(self) -> ComposeResult:
        """Plans beside runs, the graph, and what is told of the run."""
        yield Horizontal(self._left, self._runs, id="workflows-lists")
        yield self._canvas
        yield self._told

    @property
    def main(self) -> Listing:
        """The runs."""
        return self._runs

    def run_view(self) -> RunView | None:
        """The run under the cursor; none while one is at the schedules."""
        row = self._runs.row if self._schedule() is None else None
        return row.value if row is not None else None

    def run_step(self) -> str:
        """The step that is selected in the graph."""
        item = self._canvas.selected
        return (item.source if isinstance(item, Key) else item) or ""

    def _schedule(self) -> ScheduleView | None:
        """The schedule that is selected, while one is at them."""
        row = self._schedules.row if self.app.focused is self._schedules else None
        return row.value if row is not None else None

    def on_resize(self, event: Resize) -> None:
        """Where there is little room the runs have it."""
        self._canvas.display = event.size.height >= _TALL
        self._told.display = event.size.height >= _LOW
        self._share_room()
        self.call_after_refresh(self._draw_run)

    def _share_room(self) -> None:
        wide = self.size.width >= _WIDE
        self._left.display = wide or self._by_clock
        self._plans.display = wide
        self._runs.display = wide or not self._by_clock
        self._left.styles.width = _LEFT if wide else "1fr"
        rows = min(max(1, self._schedules.total), _SCHEDULES) + _AROUND
        self._schedules.styles.height = rows if wide else "1fr"

    def action_schedules(self) -> None:
        """To what is run by the clock, and back."""
        self._by_clock = self.app.focused is not self._schedules
        self._share_room()
        (self._schedules if self._by_clock else self._runs).focus()

    def leave(self) -> bool:
        """Back from the schedules."""
        if not self._by_clock:
            return False
        self._by_clock = False
        self._share_room()
        self._runs.focus()
        return True

    def on_descendant_focus(self, _event: DescendantFocus) -> None:
        """What is told is of what one is at."""
        self._draw_run()

    def action_pause_run(self) -> None:
        """A schedule, while one is at them; else the run."""
        view = self._schedule()
        if view is None:
            super().action_pause_run()
        elif self.centre.readonly:
            self.centre.tell("this was started with --readonly", "warn")
        else:
            what = "schedules.resume" if view.schedule.paused else "schedules.pause"
            self.centre.ask(what, {"name": view.name})

    def draw(self, topics: Topics) -> None:
        """Show the runs there are."""
        runs = self.store.runs
        self._say_nothing()
        self._runs.set_rows(runs)
        self._draw_schedules()
        self._draw_plans(runs)
        self._draw_run()

    def _say_nothing(self) -> None:
        """What stands where there is nothing; not before the mesh was read whole."""
        told = self.centre.hint_of("no run yet", "runs.submit", "runs a plan")
        nothing = waiting(self.store, told)
        self._runs.set_empty(nothing)
        self._canvas.set_empty("select a run" if self.store.runs else nothing)
        told = self.centre.hint_of("none", "run.add-schedule", "makes one", "a")
        self._schedules.set_empty(waiting(self.store, told))

    def tick(self) -> None:
        """Ages, and the time that steps take."""
        self._say_nothing()
        self._runs.tick()
        self._schedules.tick()
        view = self.run_view()
        if view is not None and view.finished is None:
            self._draw_run()

    def on_listing_moved(self) -> None:
        """Another run."""
        self._draw_run()

    def on_canvas_moved(self, _event: Canvas.Moved) -> None:
        """Another step."""
        self._draw_told(self.run_view())

    def on_canvas_chosen(self, _event: Canvas.Chosen) -> None:
        """Read the run."""
        view = self.run_view()
        if view is not None:
            self.centre.open_run(view.id)

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Enter on a plan runs it; on a run the centre opens it."""
        if isinstance(event.row.value, str):
            event.stop()
            self.run_worker(self._run_plan(event.row.value), exclusive=True)

    async def _run_plan(self, name: str) -> None:
        await self._fill_in_plan("runs.submit", name)

    async def action_add_schedule(self) -> None:
        """Fill in a schedule: of the plan that is selected, or that the run is of."""
        row = self._plans.row if self.app.focused is self._plans else None
        view = self.run_view() if row is None else None
        name = str(row.value) if row is not None else view.plan if view is not None else ""
        await self._fill_in_plan("schedules.add", name if name in self.store.plans else "")

    async def _fill_in_plan(self, action: str, name: str) -> None:
        """Ask for the rest of what is done with a plan, on a form."""
        from sparkplug.actions.registry import ACTIONS
        from sparkplug.tui.commands import Command

        if self.centre.readonly:
            self.centre.tell("this was started with --readonly", "warn")
            return
        found = ACTIONS[action]
        command = Command(found.title, " ".join(found.verb), action=found)
        await self.centre.open_arguments(command, {"plan": name} if name else {})

    def _draw_schedules(self) -> None:
        before = self._schedules.total
        self._schedules.set_rows(self.store.schedules)
        if self._schedules.total != before:
            self._share_room()

    def _draw_plans(self, runs: Sequence[RunView]) -> None:
        seen = tuple((run.id, str(run.state)) for run in runs)
        if seen == self._seen and self._plans.shown:
            return
        self._seen = seen
        names = sorted({*self.store.plans, *(run.plan for run in runs)})
        self._plans.set_empty(waiting(self.store, "no plan has a name"))
        self._plans.set_rows([self._plan(name, runs) for name in names])

    def _plan(self, name: str, runs: Sequence[RunView]) -> Row:
        # Imported when there is something to draw: the first frame does not wait for it.
        from sparkplug.tui.panes.run_lines import plan_line

        return Row(name, plan_line(name, runs, _PLAN), name)

    def _draw_run(self) -> None:
        schedule = self._schedule()
        if schedule is not None:
            self._told.retitle(f"schedule {schedule.name}")
            self._told.set_lines(schedule_told(schedule, self.store.runs))
            if self._canvas.display:
                shown = schedule_run(schedule, self.store.runs)
                self._canvas.show(run_graph(shown, datetime.now(UTC)))
            return
        view = self.run_view()
        if view is None:
            self._canvas.show(_NO_GRAPH)
            self._told.retitle("run")
            self._told.set_lines([])
            return
        if self._canvas.display:
            self._canvas.show(run_graph(view, datetime.now(UTC)))
        self._draw_told(view)

    def _draw_told(self, view: RunView | None) -> None:
        if view is None:
            return
        from sparkplug.tui.panes.run_lines import run_told

        self._told.retitle(f"run {view.id}")
        self._told.set_lines(run_told(view, self.run_step()))


def _is_failing(run: Any) -> bool:
    return str(run.state) in ("failed", "waiting")


def _steps(run: RunView) -> str:
    from sparkplug.schema.run import STEP_ENDED

    return f"{sum(step.state in STEP_ENDED for step in run.steps)}/{len(run.steps)}"


def _draw_state(state: Any) -> Span:
    symbol, pen = symbols.of_step(str(state))
    return pen, f"{symbol} {state}"


def _took(run: RunView) -> float | None:
    if run.finished is None:
        return None
    return (run.finished - run.created).total_seconds()


def _said(run: RunView) -> str | None:
    if run.questions:
        return f"{run.questions[0][0].id} waits for a person"
    return run.error


RUN_COLUMNS = (
    Column("run", 18, lambda run: run.id, grows=True, full=30),
    Column("plan", 12, lambda run: run.plan, rank=4, pen="dim", full=24),
    Column("state", 11, lambda run: run.state, draw=_draw_state, order=str),
    Column("steps", 7, _steps, align="right", rank=2),
    Column("took", 6, _took, kind="number", rank=3, draw=lambda v: ("dim", _span(v)), pen="dim"),
    Column("age", 4, lambda run: run.created, kind="age", pen="dim"),
    Column("by", 10, lambda run: run.actor or None, extra=True, rank=8, pen="dim"),
    Column("says", 12, _said, rank=6, grows=True, pen="warn", none=""),
)


def _span(seconds: Any) -> str:
    return "—" if seconds is None else duration(seconds)
