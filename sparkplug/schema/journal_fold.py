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
LAST_WORDS = frozenset({"completed", "failed", "cancelled", "compacted"})

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
    begun = next((one for one in entries if one.view is not None), entries[0] if entries else None)
    if begun is None or (begun.plan is None and begun.view is None):
        raise NotFoundError(
            "the journal has no beginning of this run",
            where=entries[0].run if entries else None,
            hint="`sparkplug runs list` shows the runs that are kept",
        )
    view = begin(begun)
    for entry in entries:
        if entry is not begun:
            advance(view, entry)
    return view


def begin(accepted: JournalEntry) -> RunView:
    """The run as it stands once it is accepted, or compacted. The entry must carry its plan or,
    if it was compacted, its view."""
    if accepted.view is not None:
        return accepted.view
    plan = accepted.plan
    if plan is None:
        raise ValueError("the entry that accepts a run carries its plan")
    waits = plan.dependencies()
    view = RunView(
        id=accepted.run,
        plan=plan.name,
        created=accepted.time,
        inputs=dict(accepted.inputs or {}),
        actor=accepted.actor,
        parent=accepted.parent,
        past=accepted.past,
        priority=plan.priority if accepted.priority is None else accepted.priority,
        slots=plan.concurrency,
        steps=[
            StepView(
                id=step.id,
                kind=step.kind,
                # By a template it is known once the step begins.
                agent=step.agent if step.agent and "{" not in step.agent else None,
                depends_on=list(step.depends_on if step.always else waits[step.id]),
            )
            for step in plan.steps
        ],
    )
    view._last = accepted.time  # noqa: SLF001  how far it is replayed is the fold's own
    return view


def advance(view: RunView, entry: JournalEntry) -> None:
    """Take one more entry into the run. Entries after its end change nothing."""
    if view.state in RUN_ENDED:
        return
    _count_time(view, entry)
    match entry.kind:
        case "started" | "resumed":
            view.started = view.started or entry.time
            view.state = RunState.RUNNING
            view.node = entry.node
        case "pause-asked":
            view.paused = True
        case "resume-asked":
            view.paused = False
        case "ending":
            view.ending = RunState.CANCELLED if entry.interrupted else RunState.FAILED
            view.error = entry.error
        case "fallback":
            view.fallback = entry.child
            view.error = entry.error
        case "completed" | "failed" | "cancelled":
            _end(view, entry)
            return
        case _:
            _advance_step_of(view, entry)
    if view.state is not RunState.ACCEPTED:
        view.state = _state(view)


def _count_time(view: RunView, entry: JournalEntry) -> None:
    """The plan's clock goes while the run is worked on: not while it is paused or waits for
    people."""
    last = view._last  # noqa: SLF001
    if last is not None and view.state is RunState.RUNNING:
        view.worked_seconds += max(0.0, (entry.time - last).total_seconds())
    view._last = entry.time  # noqa: SLF001


def _state(view: RunView) -> RunState:
    """How a run that has begun is, by its steps."""
    if view._active is None:  # noqa: SLF001
        counted = [_active(step) for step in view.steps]
        view._active = (sum(r for r, _ in counted), sum(w for _, w in counted))  # noqa: SLF001
    running, waiting = view._active  # noqa: SLF001
    if view.paused and not running:
        return RunState.PAUSED
    return RunState.WAITING if waiting and not running else RunState.RUNNING


def _active(step: StepView) -> tuple[int, int]:
    """How many of a step, or of its values or rounds, run, and whether it waits."""
    if not step.items:
        return int(step.state is StepState.RUNNING), int(step.state is StepState.WAITING)
    running = sum(item.state is StepState.RUNNING for item in step.items)
    return running, int(step.state is StepState.WAITING)


def _end(view: RunView, entry: JournalEntry) -> None:
    view.state = _ENDS[entry.kind]
    view.finished = entry.time
    view.error = entry.error
    view.output = entry.output
    view.stored = entry.stored
    view.paused = False
    for step in view.steps:
        for one in (step, *step.items):
            if one.state not in STEP_ENDED:
                one.state = StepState.CANCELLED
                one.finished = entry.time if one.started else None


def _advance_step_of(view: RunView, entry: JournalEntry) -> None:
    if entry.step is None:
        return
    whole = view.step(entry.step)
    if whole is None:
        return
    before = _active(whole)
    _advance_part(whole, entry)
    if view._active is not None:  # noqa: SLF001
        after, (running, waiting) = _active(whole), view._active  # noqa: SLF001
        counted = (running + after[0] - before[0], waiting + after[1] - before[1])
        view._active = counted  # noqa: SLF001


def _advance_part(whole: StepView, entry: JournalEntry) -> None:
    if entry.item is None:
        _advance_step(whole, entry)
        return
    if entry.item == len(whole.items):
        whole.items.append(StepView(id=f"{whole.id}[{entry.item}]", kind=whole.kind))
    if entry.item >= len(whole.items):
        return
    _advance_step(whole.items[entry.item], entry)
    _sum_up(whole, entry)


def _sum_up(whole: StepView, entry: JournalEntry) -> None:
    """A step that is done for several values, or several times, by how those are."""
    whole.started = whole.started or entry.time
    whole.attempts = sum(one.attempts for one in whole.items)
    whole.interruptions = sum(one.interruptions for one in whole.items)
    whole.tokens = sum(one.tokens for one in whole.items)
    whole.waited_seconds = sum(one.waited_seconds for one in whole.items)
    whole.worked_seconds = sum(one.worked_seconds for one in whole.items)
    whole.agent = entry.agent or whole.agent
    whole.breaker = entry.breaker or whole.breaker
    if whole.state in STEP_ENDED:
        return
    states = {one.state for one in whole.items}
    waits = StepState.WAITING in states and StepState.RUNNING not in states
    whole.state = StepState.WAITING if waits else StepState.RUNNING


def _leave(step: StepView, entry: JournalEntry) -> None:
    """What is not done when a step has ended is not done any more."""
    for one in step.items:
        if one.state not in STEP_ENDED:
            one.state = StepState.CANCELLED
            one.finished = entry.time if one.started else None


def _advance_step(step: StepView, entry: JournalEntry) -> None:
    if entry.kind != "step-answered" and step.state is StepState.RUNNING and step.since is not None:
        step.worked_seconds += max(0.0, (entry.time - step.since).total_seconds())
    if entry.kind != "step-answered":
        step.since = entry.time
        step.tokens += entry.tokens
        step.breaker = entry.breaker or step.breaker
    asked = step.question
    if step.state is StepState.WAITING and asked is not None and asked.kind == "agent":
        step.waited_seconds += max(0.0, (entry.time - asked.asked).total_seconds())
    match entry.kind:
        case "step-started":
            step.state = StepState.RUNNING
            step.attempts = entry.attempt
            step.agent = entry.agent or step.agent
            step.child = entry.child or step.child
            step.started = step.started or entry.time
        case "step-items":
            step.state = StepState.RUNNING
            step.started = step.started or entry.time
            for number, value in enumerate(entry.output or []):
                item = StepView(id=f"{step.id}[{number}]", kind=step.kind, value=value)
                step.items.append(item)
        case "step-waiting":
            step.state = StepState.WAITING
            step.question = entry.question
            step.started = step.started or entry.time
            step.agent = entry.agent or step.agent
        case "step-answered":
            answer = entry.answer
            if step.state is not StepState.WAITING or asked is None or answer is None:
                return
            if answer.question == asked.id:
                step.answer = answer
                step.waited_seconds += max(0.0, (entry.time - asked.asked).total_seconds())
                step.state = StepState.RUNNING
                step.since = entry.time
        case "step-retried":
            # Waiting for its next attempt; the error stays to be seen meanwhile.
            step.state = StepState.PENDING
            step.error = entry.error
            step.interruptions += entry.interrupted
        case "step-fallback":
            step.state = StepState.RUNNING
            step.fallback = entry.agent or entry.child or "instead"
            step.failures_at = step.attempts - step.interruptions
            step.child = entry.child or step.child
            step.error = entry.error
        case "step-completed":
            step.state = StepState.DONE
            step.started = step.started or entry.time
            step.finished = entry.time
            step.output = entry.output
            step.stored = entry.stored
            _leave(step, entry)
            step.shared = entry.shared
            step.error = None
            step.agent = entry.agent or step.agent
        case "step-failed":
            step.state = StepState.FAILED
            step.finished = entry.time
            step.error = entry.error
            _leave(step, entry)
        case "step-skipped":
            step.state = StepState.SKIPPED
            step.finished = entry.time
            step.unchosen = entry.unchosen
