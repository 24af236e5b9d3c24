"""How a run ends: with its output, with what its fallback gave, or with the reason it failed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sparkplug.plans.children import child_id
from sparkplug.plans.templates import render
from sparkplug.schema.errors import InvalidError, NotFoundError, SparkplugError
from sparkplug.schema.run import RunState, StepState

if TYPE_CHECKING:
    from sparkplug.plans.execution import Execution


async def end_run(run: Execution, state: RunState, reason: str | None) -> None:
    """Write the last entry of a run whose steps are over."""
    if state is RunState.DONE:
        try:
            await run.record_output("completed", _output(run))
        except (InvalidError, NotFoundError) as error:
            state, reason = RunState.FAILED, str(error)
        else:
            return
    if state is RunState.CANCELLED:
        await run.record("cancelled", error=reason)
        return
    if run.plan.fallback is not None:
        try:
            output = await _fall_back(run, reason or "")
        except SparkplugError as error:
            if run.cancelled is not None:
                await run.record("cancelled", error=run.cancelled)
                return
            reason = f"{reason}; and the fallback: {error.message}"
        else:
            await run.record_output("completed", output)
            return
    await run.record("failed", error=reason)


async def _fall_back(run: Execution, reason: str) -> Any:
    """Run the plan that stands in for this one, with its own time."""
    fallback = run.plan.fallback
    assert fallback is not None
    plan = run.plan.plans[fallback.plan]
    if fallback.input is None:
        inputs = {k: v for k, v in run.view.inputs.items() if k in plan.inputs}
    else:
        inputs = render(fallback.input, {**run.names, "error": reason}, "fallback.input")
    child = child_id(fallback.plan, run.run_id, "fallback", 0)
    if run.view.fallback is None:
        await run.record("fallback", child=child, error=reason)
    waiting = asyncio.ensure_future(run.child(fallback.plan, inputs, child, ""))
    cancelled = asyncio.ensure_future(run.until_cancelled())
    try:
        await asyncio.wait({waiting, cancelled}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            await run.cancel_child(child)
        return await waiting
    finally:
        cancelled.cancel()
        waiting.cancel()


def _output(run: Execution) -> Any:
    if run.plan.output is not None:
        return render(run.plan.output, run.names, "output")
    ordinary = [s for s in run.view.steps if not run.plan.step(s.id).always]
    if run.plan.strategy == "conditional":
        return next((s.output for s in ordinary if s.state is StepState.DONE), None)
    return (ordinary or run.view.steps)[-1].output
