"""A run from its journal: folding the entries, in the order of the stream, is the run."""

from __future__ import annotations

from collections.abc import Sequence

from sparkplug.schema.errors import NotFoundError
from sparkplug.schema.run import (
    RUN_ENDED,
    STEP_ENDED,
    JournalEntry,
    RunState,
    RunView,
    StepState,
    StepView,
)

#: The entries after which nothing more happens in a run.
LAST_WORDS = frozenset({"completed", "failed", "cancelled"})

_ENDS: dict[str, RunState] = {
    "completed": RunState.DONE,
    "failed": RunState.FAILED,
    "cancelled": RunState.CANCELLED,
}


def fold(entries: Sequence[JournalEntry]) -> RunView:
    """The run that the entries tell of, in the order given.

    Times are those of the entries. Raises NotFoundError when the first entry is not the one
    that accepted the run: there is no such run, or the stream has dropped its beginning.
    """
    if not entries or entries[0].plan is None:
        raise NotFoundError(
            "the journal has no beginning of this run",
            where=entries[0].run if entries else None,
            hint="`sparkplug runs list` shows the runs that are kept",
        )
    first = entries[0]
    view = begin(first)
    for entry in entries[1:]:
        advance(view, entry)
    return view


def begin(accepted: JournalEntry) -> RunView:
    """The run as it stands once it is accepted. The entry must carry its plan."""
    plan = accepted.plan
    if plan is None:
        raise ValueError("the entry that accepts a run carries its plan")
    waits = plan.dependencies()
    return RunView(
        id=accepted.run,
        plan=plan.name,
        created=accepted.time,
        inputs=dict(accepted.inputs or {}),
        steps=[
            StepView(id=step.id, agent=step.agent, depends_on=waits[step.id]) for step in plan.steps
        ],
    )


def advance(view: RunView, entry: JournalEntry) -> None:
    """Take one more entry into the run. Entries after its end change nothing."""
    if view.state in RUN_ENDED:
        return
    if entry.kind in ("started", "resumed"):
        view.state = RunState.RUNNING
        view.node = entry.node
    elif entry.kind in _ENDS:
        view.state = _ENDS[entry.kind]
        view.finished = entry.time
        view.error = entry.error
        view.output = entry.output
        for step in view.steps:
            if step.state not in STEP_ENDED:
                step.state = StepState.CANCELLED
                step.finished = entry.time if step.started else None
    elif entry.step is not None:
        for step in view.steps:
            if step.id == entry.step:
                _advance_step(step, entry)


def _advance_step(step: StepView, entry: JournalEntry) -> None:
    match entry.kind:
        case "step-started":
            step.state = StepState.RUNNING
            step.attempts = entry.attempt
            step.agent = entry.agent or step.agent
            step.started = step.started or entry.time
        case "step-retried":
            # Waiting for its next attempt; the error stays to be seen meanwhile.
            step.state = StepState.PENDING
            step.error = entry.error
            step.interruptions += entry.interrupted
        case "step-completed":
            step.state = StepState.DONE
            step.finished = entry.time
            step.output = entry.output
            step.error = None
            step.agent = entry.agent or step.agent
        case "step-failed":
            step.state = StepState.FAILED
            step.finished = entry.time
            step.error = entry.error
        case "step-skipped":
            step.state = StepState.SKIPPED
            step.finished = entry.time
