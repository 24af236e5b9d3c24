"""Tasks: the queues by capability and priority, the tasks of the selected one, and above them
what waits for a person.

The queues come as figures that are published once a second while they change; the tasks of the
selected queue are asked for when these have changed, and only while the pane is in sight.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import Resize
from textual.worker import Worker

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.text import one_line
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.question_lines import question_rows
from sparkplug.tui.panes.task_columns import (
    QUEUE_COLUMNS,
    TASK_COLUMNS,
    queue_is_failing,
    task_is_failing,
)
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.units import Unit
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.plot.picture import Series
from sparkplug.tui.widgets.plot.plot import Plot
from sparkplug.tui.widgets.plot.record import Record
from sparkplug.tui.widgets.rows import Rows
from sparkplug.tui.widgets.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparkplug.schema.task_services import QueueFigures, TaskFigures
    from sparkplug.tui.store import Topics

#: Tasks of a queue that are shown: the newest of each kind.
_SHOWN = 300
#: Between two looks at the tasks of a queue, in seconds.
_ASK_EVERY_S = 1.0
#: Rows of a table's box that show no row: its border and the names of the columns.
_AROUND = 3
#: Questions that are in sight at once, and the border around them.
_QUESTIONS, _BORDER = 5, 2
#: Queues in sight at once, and the rows of the plot beside them.
_MOST_QUEUES, _PLOT_ROWS = 8, 9
#: Cells and rows from which on the plot stands beside the queues.
_WIDE, _TALL = 110, 20
#: Rows from which on questions are shown, and from which on queues: tasks come first.
_LOW, _LEAST = 12, 7
_KEPT, _JOINS = 3600, 6.0
_RATES = (
    Series("done", "done", "d"),
    Series("queued", "queued", "q"),
    Series("failed", "failed", "f"),
)
_PER_SECOND = Unit("/s", prefixed=True)


class TasksPane(Pane):
    """Queues, the plot of what they do, below them what people are asked, while there is anything,
    and the tasks of the selected queue."""

    TOPICS: ClassVar[frozenset[str]] = frozenset({"tasks", "questions", "link"})

    def __init__(self) -> None:
        super().__init__(id="tasks")
        self._queues = Table(
            QUEUE_COLUMNS,
            key=attrgetter("capability"),
            title="queues",
            failing=queue_is_failing,
            id="tasks-queues",
        )
        self._plot = Plot("throughput", unit=_PER_SECOND, id="tasks-plot")
        self._rows = Table(
            TASK_COLUMNS,
            key=attrgetter("id"),
            title="tasks",
            failing=task_is_failing,
            id="tasks-rows",
        )
        self._needs = Rows("needs you", leads=False, id="tasks-needs")
        self._record = Record(_KEPT, _JOINS)
        self._asked_for: str | None = None
        self._asked = 0.0
        self._asking: Worker[None] | None = None
        self._again = False

    def compose(self) -> ComposeResult:
        """The queues beside the plot, the tasks below."""
        yield Horizontal(self._queues, self._plot, id="tasks-area")
        yield self._needs
        yield self._rows

    @property
    def main(self) -> Listing:
        """The tasks: what one does something about."""
        return self._rows

    def on_resize(self, event: Resize) -> None:
        """Where there is no room the plot goes."""
        self._plot.display = event.size.width >= _WIDE and event.size.height >= _TALL
        self.query_one("#tasks-area").display = event.size.height >= _LEAST
        self._draw_needs()
        self._share_rows(self._queues.total)
        self.call_after_refresh(self._draw_plot)

    def draw(self, topics: Topics) -> None:
        """Show the queues there are, and ask for the tasks of the selected one."""
        self._draw_needs()
        if not topics & {"tasks", "link"}:
            return
        figures = self.store.view.tasks if self.store.view is not None else None
        queues = figures.queues if figures is not None else []
        self._say_nothing()
        first = not self._queues.total and self._queues.row is None
        self._queues.set_rows(queues)
        if first:
            self._begin_at(queues)
        self._share_rows(len(queues))
        if figures is not None:
            self._note(figures)
        self._ask()

    def _begin_at(self, queues: Sequence[QueueFigures]) -> None:
        """The first queue that has anything to show, where none was chosen before."""
        busy = [q for q in queues if q.dead or q.running or q.waiting or q.done or q.failed]
        if busy and self._selected() == queues[0].capability:
            self._queues.select(busy[0].capability)

    def _share_rows(self, queues: int) -> None:
        """The queues have the rows they need, and beside the plot what that needs."""
        height = max(1, min(queues, _MOST_QUEUES)) + _AROUND
        if self._plot.display:
            height = max(height, _PLOT_ROWS)
        area = self.query_one("#tasks-area")
        if area.styles.height is None or area.styles.height.value != height:
            area.styles.height = height

    def _say_nothing(self) -> None:
        """What stands where there is nothing; not before the mesh was read whole."""
        told = self.centre.hint_of("no task yet", "tasks.submit", "queues one")
        self._queues.set_empty(waiting(self.store, told))
        chosen = self._selected()
        of = f" of {one_line(chosen)}" if chosen else ""
        told = self.centre.hint_of(f"no task{of}", "tasks.submit", "queues one")
        self._rows.set_empty(waiting(self.store, told))

    def _draw_needs(self) -> None:
        """Questions of plans, of agents and of graphs: answered from here as from Overview."""
        asked = self.store.questions
        self._needs.set_rows(question_rows(asked, datetime.now(UTC)))
        self._needs.display = bool(asked) and self.size.height >= _LOW
        self._needs.styles.height = min(len(asked), _QUESTIONS) + _BORDER

    def _note(self, figures: TaskFigures) -> None:
        node = f"kept by {figures.node}" if figures.node else ""
        self._queues.retitle(
            f"queues · {figures.waiting} wait · {figures.running} running · {figures.dead} dead",
            node,
        )
        now = time.time()
        newest = self._record.newest
        if newest is None or now - newest >= 0.5:
            self._record.add(
                now,
                {
                    "done": figures.done_per_second,
                    "queued": figures.queued_per_second,
                    "failed": figures.failed_per_second,
                },
            )
        self._draw_plot()

    def _draw_plot(self) -> None:
        if self._plot.display:
            self._plot.show(self._record, _RATES)

    def tick(self) -> None:
        """Ages; and a queue in which nothing changes has its place in the plot."""
        self._say_nothing()
        self._queues.tick()
        self._rows.tick()
        if self._needs.display:
            self._draw_needs()

    def on_listing_moved(self) -> None:
        """Another queue."""
        if self._selected() != self._asked_for:
            self._ask()

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Into the queue: its tasks. A task is described."""
        if event.listing is self._queues:
            event.stop()
            self._rows.focus()

    def _selected(self) -> str | None:
        row = self._queues.row
        queue: QueueFigures | None = row.value if row else None
        return queue.capability if queue is not None else None

    def _ask(self) -> None:
        """Ask for the tasks of the selected queue, unless that is under way: then once more."""
        if self._asking is not None and self._asking.is_running:
            self._again = True
            return
        if self.in_sight:
            self._asking = self.run_worker(self._read(), group="tasks", exclusive=True)

    async def _read(self) -> None:
        while True:
            self._again = False
            chosen = self._selected()
            if chosen == self._asked_for:
                await asyncio.sleep(max(0.0, self._asked + _ASK_EVERY_S - time.monotonic()))
            client = self.store.client
            if client is None or not self.in_sight:
                return
            # Not before there is a client: the first frame does not wait for it.
            from sparkplug.client import tasks
            from sparkplug.schema.task import TaskState

            self._asked, self._asked_for = time.monotonic(), chosen
            try:
                dead = await tasks.list_tasks(
                    client, states=[TaskState.DEAD], capability=chosen, limit=_SHOWN
                )
                others = await tasks.list_tasks(client, capability=chosen, limit=_SHOWN)
            except SparkplugError:
                return  # the next figures ask again
            shown = len(dead.tasks) + len(others.tasks)
            left = dead.total + others.total - shown
            self._rows.set_rows([*dead.tasks, *others.tasks])
            of = f" of {chosen}" if chosen else ""
            self._rows.name_it(f"tasks{of}")
            self._rows.tell_below(f"{left:,} more" if left else "")
            if not self._again:
                return
