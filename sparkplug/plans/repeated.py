"""A step of a run: done once, once for each value of a list, or again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sparkplug.plans.templates import holds, render
from sparkplug.plans.unit import Unit
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.plan import Step
from sparkplug.schema.plan_policies import MOST_ITEMS, Join
from sparkplug.schema.run import STEP_ENDED, StepState, StepView

if TYPE_CHECKING:
    from sparkplug.plans.execution import Execution


async def do_step(run: Execution, step: Step) -> None:
    """Do a step to its end, which is in the journal then."""
    if step.map is not None:
        await _map(run, step)
    elif step.loop is not None:
        await _loop(run, step)
    else:
        await Unit(run, step).do()


async def _map(run: Execution, step: Step) -> None:
    assert step.map is not None
    view = _view(run, step)
    if not view.items:
        try:
            values = render(step.map.over, run.names, f"steps.{step.id}.map.over")
            _check_values(values)
            await run.record("step-items", step=step.id, output=values)
        except InvalidError as error:
            await run.record("step-failed", step=step.id, error=str(error))
            return
    need = _need(step.map.join, len(view.items))
    todo = [n for n, item in enumerate(view.items) if item.state not in STEP_ENDED]
    todo.reverse()

    def enough() -> bool:
        done = sum(item.state is StepState.DONE for item in view.items)
        left = sum(item.state not in STEP_ENDED for item in view.items)
        some = step.map is not None and step.map.join != "all"
        return done + left < need or (some and done >= need)

    async def work() -> None:
        while todo and not enough():
            number = todo.pop()
            extra = {step.map.name: view.items[number].value, "index": number} if step.map else {}
            await Unit(run, step, number, extra).do()

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(min(step.map.concurrency, len(todo)))]
        while any(not worker.done() for worker in workers):
            await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
            if enough() and step.map.join != "all":
                for worker in workers:
                    worker.cancel()
                await asyncio.wait(workers)
    done = sum(item.state is StepState.DONE for item in view.items)
    if done < need:
        errors = "; ".join(f"{i.id}: {i.error}" for i in view.items if i.error)[:2000]
        text = f"{done} of {len(view.items)} came through, it needs {need}: {errors}"
        await run.record("step-failed", step=step.id, error=text)
        return
    await _completed(
        run, step, [i.output if i.state is StepState.DONE else None for i in view.items]
    )


async def _loop(run: Execution, step: Step) -> None:
    assert step.loop is not None
    view = _view(run, step)
    while True:
        ended = [item for item in view.items if item.state in STEP_ENDED]
        last = ended[-1] if ended else None
        if last is not None and last.state is not StepState.DONE:
            text = f"round {len(ended)}: {last.error or last.state}"
            await run.record("step-failed", step=step.id, error=text)
            return
        if last is not None:
            try:
                over = _over(run, step, last.output, len(ended))
            except InvalidError as error:
                await run.record("step-failed", step=step.id, error=str(error))
                return
            if over:
                await _completed(run, step, last.output)
                return
            if step.loop.pause:
                await asyncio.sleep(step.loop.pause)
        extra = {"round": len(ended) + 1, "last": last.output if last is not None else None}
        await Unit(run, step, len(ended), extra).do()


def _over(run: Execution, step: Step, output: Any, rounds: int) -> bool:
    """Whether the last round was the last one. Raises InvalidError when the plan does not say."""
    loop = step.loop
    assert loop is not None
    names = {**run.names, "output": output, "round": rounds, "last": output}
    if loop.until is not None and holds(loop.until, names, f"steps.{step.id}.loop.until"):
        return True
    if loop.while_ is not None and not holds(loop.while_, names, f"steps.{step.id}.loop.while"):
        return True
    return rounds >= loop.max


async def _completed(run: Execution, step: Step, output: Any) -> None:
    try:
        await run.record_output("step-completed", output, step=step.id)
    except InvalidError as error:
        await run.record("step-failed", step=step.id, error=str(error))


def _view(run: Execution, step: Step) -> StepView:
    view = run.view.step(step.id)
    assert view is not None
    return view


def _check_values(values: Any) -> None:
    if not isinstance(values, list):
        raise InvalidError("what a map goes over is a list")
    if len(values) > MOST_ITEMS:
        raise InvalidError(f"a map goes over at most {MOST_ITEMS} values, not {len(values)}")


def _need(join: Join, count: int) -> int:
    if join == "all":
        return count
    return 1 if join == "any" else int(join)
