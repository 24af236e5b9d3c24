"""A task, read whole: what is asked, its tries, its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui import symbols
from sparkplug.tui.dialogs.describe import fact
from sparkplug.tui.dialogs.described import Described
from sparkplug.tui.figures import duration
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.data_tree import data_nodes
from sparkplug.tui.widgets.tree_nodes import Node

if TYPE_CHECKING:
    from sparkplug.schema.task import Attempt, Task


class TaskPage(Described):
    """A task as it is; read again when the queues have changed, until it is over."""

    def __init__(self, task: str) -> None:
        self._found: Task | None = None
        self._wanted = task
        opened = Opened("task", "task", task)
        super().__init__(f"task {task}", self._lines, frozenset({"tasks"}), opened)

    def draw(self) -> None:
        """As it is known, and asked for anew."""
        super().draw()
        if self._found is None or not self._found.ended:
            self.run_worker(self._read(), group="task", exclusive=True)

    async def _read(self) -> None:
        from sparkplug.client import tasks

        client = self.centre.store.client
        if client is None:
            return
        try:
            self._found = await tasks.describe(client, self._wanted)
        except SparkplugError as error:
            self.centre.tell(error.message, "warn")
            return
        super().draw()

    def _lines(self) -> Sequence[Node]:
        return task_nodes(self._found) if self._found is not None else []


def _try(one: Attempt) -> dict[str, str]:
    """What is known of a try."""
    took = one.ended and f"{(one.ended - one.started).total_seconds():.2f}s"
    told = {
        "agent": f"{one.agent}/{one.replica}",
        "outcome": str(one.outcome or "running"),
        "started": f"{one.started.astimezone():%H:%M:%S.%f}"[:-3],
        "took": took,
        "error": one.error,
    }
    return {name: words for name, words in told.items() if words}


def task_nodes(task: Task) -> list[Node]:
    """A task with all that happened to it."""
    _, pen = symbols.of_task(str(task.state))
    facts: list[tuple[str, object, str]] = [
        ("task", task.id, "text"),
        ("state", str(task.state), pen),
        ("capability", task.capability, "text"),
        ("priority", str(task.priority), "text"),
        ("text", task.text, "text"),
        ("action", task.action or "", "text"),
        ("submitted", f"{task.submitted.astimezone():%Y-%m-%d %H:%M:%S %Z}", "text"),
        ("by", task.by, "text"),
        ("key", task.key, "text"),
        ("tries", f"{task.spent} of {task.tries} spent, {duration(task.timeout)} each", "text"),
        ("requeued", task.requeued or "", "text"),
        ("error", task.error or "", "bad"),
    ]
    found = [fact(label, value, pen) for label, value, pen in facts if value not in ("", None)]
    tries = {f"try {one.number}": _try(one) for one in task.attempts}
    more = {"tries": tries} if tries else {}
    if task.input:
        more["input"] = task.input
    if task.result is not None:
        more["answer"] = task.result
    return [*found, *data_nodes(more)]
