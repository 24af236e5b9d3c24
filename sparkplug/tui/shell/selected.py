"""What is selected: the thing under the cursor, as the registry names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkplug.tui.shell.part import Part
from sparkplug.tui.widgets.listing import Listing

if TYPE_CHECKING:
    from sparkplug.actions.registry import Subject


class Selected(Part):
    """What the keys of actions are about."""

    @property
    def subject(self) -> Subject | None:
        """What is under the cursor, as the registry names it."""
        app = self._centre
        if not app.action_keys or app.pane is None:
            return None
        from sparkplug.actions.registry import Subject

        focused = app.focused
        run = getattr(focused, "run", None)
        if run is not None:
            return Subject("run", run.id, run)
        thing = getattr(focused, "thing", None)
        if thing is not None:
            return subject_of(thing)
        rows = self.listing
        return subject_of(rows.row.value if rows is not None and rows.row else None)

    @property
    def listing(self) -> Listing | None:
        """The list one is in."""
        app = self._centre
        if isinstance(app.focused, Listing):
            return app.focused
        return app.pane.main if app.pane is not None else None

    @property
    def marked(self) -> tuple[Subject, ...]:
        """What is marked in the list one is in; an agent once, however many of its replicas."""
        rows = self.listing if self._centre.action_keys else None
        found: dict[tuple[str, str], Subject] = {}
        for row in rows.marked if rows is not None else ():
            subject = subject_of(row.value)
            if subject is not None:
                found.setdefault((subject.kind, subject.name), subject)
        return tuple(found.values())


def subject_of(value: Any) -> Subject | None:
    """A row's record as the registry names it."""
    if value is None:
        return None
    from sparkplug.actions.registry import Subject
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.memory import MemoryItem
    from sparkplug.schema.memory_pruning import Proposal
    from sparkplug.schema.memory_timeline import Happening
    from sparkplug.schema.node_services import HostView
    from sparkplug.schema.question import Question
    from sparkplug.schema.run import RunView
    from sparkplug.schema.schedule import ScheduleView
    from sparkplug.schema.task import TaskRow

    if isinstance(value, ObservedAgent):
        return Subject("agent", value.name, value)
    if isinstance(value, RunView):
        return Subject("run", value.id, value)
    if isinstance(value, HostView):
        return Subject("host", value.name, value)
    if isinstance(value, MemoryItem):
        return Subject("memory", value.id, value)
    if isinstance(value, Happening):
        return Subject("memory", value.id, value)
    if isinstance(value, Proposal):
        return Subject("proposal", value.id, value)
    if isinstance(value, TaskRow):
        return Subject("task", value.id, value)
    if isinstance(value, ScheduleView):
        return Subject("schedule", value.name, value)
    if isinstance(value, Question):
        return Subject("question", value.id, value)
    return None
