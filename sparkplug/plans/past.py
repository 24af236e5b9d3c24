"""A run that shares the past of another: what was done there is not done again here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from sparkplug.bus.journal import read_journal
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError, SparkplugError
from sparkplug.schema.journal_fold import fold
from sparkplug.schema.plan import Plan
from sparkplug.schema.problems import did_you_mean
from sparkplug.schema.run import RUN_ENDED, RunView, Shared, StepState

if TYPE_CHECKING:
    from sparkplug.plans.execution import Execution


def shared_past(plan: Plan, view: RunView, start: str, edit: Mapping[str, Any]) -> Shared:
    """What a new run takes over from an earlier one, begun again at a step, or where it failed.

    Raises NotFoundError for an unknown step, ConflictError when the run has not ended or there
    is nothing to do again, InvalidError for an edit of a step that has no input.
    """
    if view.state not in RUN_ENDED:
        raise ConflictError(
            f"the run is still {view.state}",
            where=view.id,
            hint="cancel it first, or wait for its end",
        )
    ids = [step.id for step in plan.steps]
    if start and start not in ids:
        raise NotFoundError(f"the run has no step {start}{did_you_mean(start, ids)}", where=view.id)
    if edit and not start:
        raise InvalidError("a changed input is that of the step to begin from: name it")
    undone = {
        step.id
        for step in view.steps
        if step.state not in (StepState.DONE, StepState.SKIPPED)
        or (step.state is StepState.SKIPPED and step.unchosen)
    }
    again = {start} if start else {s.id for s in view.steps if s.state is StepState.FAILED}
    if not again and not undone:
        raise ConflictError(
            "every step of the run is done", where=view.id, hint="name the step to begin from"
        )
    redo = _after(plan, again) | undone | {step.id for step in plan.steps if step.always}
    return Shared(
        run=view.id,
        steps=[step.id for step in view.steps if step.id not in redo],
        start=start,
        edit=dict(edit),
    )


def _after(plan: Plan, names: Collection[str]) -> set[str]:
    """The steps, and all that wait for one of them, directly or through others."""
    graph = plan.dependencies()
    found = set(names)
    todo = list(names)
    while todo:
        before = todo.pop()
        for name, waits in graph.items():
            if before in waits and name not in found:
                found.add(name)
                todo.append(name)
    return found


async def copy_past(run: Execution, past: Shared) -> None:
    """Write into the run what was done in the earlier one, so far as it is not written yet."""
    entries = await read_journal(run.desk.bus, past.run)
    if not entries:
        raise SparkplugError(f"the run {past.run}, whose past this one shares, is no longer kept")
    earlier = fold(entries)
    for name in past.steps:
        before, now = earlier.step(name), run.view.step(name)
        if before is None or now is None or now.state is not StepState.PENDING:
            continue
        if before.state is StepState.SKIPPED:
            await run.record("step-skipped", step=name, unchosen=before.unchosen)
            continue
        output = before.output
        if before.stored is not None:
            # A copy of its own: the earlier run may be forgotten before this one.
            output = await run.desk.results.read(before.stored)
        await run.record_output(
            "step-completed", output, step=name, agent=before.agent, shared=True
        )
