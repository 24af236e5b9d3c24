"""How two runs differ: inputs, and of each step its state, agent, attempts, time and output."""

from __future__ import annotations

import difflib
import json
from typing import Any

from pydantic import Field

from sparkplug.schema.base import Record
from sparkplug.schema.run import RunView, StepView


class Difference(Record):
    """One thing that is not the same. `where` is like `steps.write.output`."""

    where: str
    before: Any = None
    after: Any = None


class RunDiff(Record):
    """All that differs between two runs. Times are no difference, and are told apart."""

    before: str
    after: str
    differences: list[Difference] = Field(default_factory=list)
    seconds: dict[str, tuple[float | None, float | None]] = Field(
        default_factory=dict, description="by step, how long it worked in each"
    )


def diff_runs(before: RunView, after: RunView) -> RunDiff:
    """What is not the same in `after` as it was in `before`."""
    found = RunDiff(before=before.id, after=after.id)

    def compare(where: str, old: Any, new: Any) -> None:
        if old != new:
            found.differences.append(Difference(where=where, before=old, after=new))

    compare("plan", before.plan, after.plan)
    compare("state", before.state.value, after.state.value)
    compare("error", before.error, after.error)
    for name in dict.fromkeys((*before.inputs, *after.inputs)):
        compare(f"inputs.{name}", before.inputs.get(name), after.inputs.get(name))
    for name in dict.fromkeys(step.id for step in (*before.steps, *after.steps)):
        old, new = before.step(name), after.step(name)
        if old is None or new is None:
            compare(f"steps.{name}", *(one and one.state.value for one in (old, new)))
            continue
        for field, left, right in zip(_FIELDS, _shown(old), _shown(new), strict=True):
            if field == "attempts" and (old.shared or new.shared):
                continue  # one of both only has what the other did
            compare(f"steps.{name}.{field}", left, right)
        found.seconds[name] = (_seconds(old), _seconds(new))
    compare("output", before.output, after.output)
    return found


def diff_text(found: RunDiff) -> str:
    """The differences as `diff -u` would show them; empty when there are none."""
    lines: list[str] = []
    for one in found.differences:
        old, new = _lines(one.before), _lines(one.after)
        hunk = list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]
        lines += [f"@ {one.where}", *(line for line in hunk if not line.startswith("@@"))]
    if not lines:
        return ""
    return "\n".join([f"--- {found.before}", f"+++ {found.after}", *lines])


_FIELDS = ("state", "agent", "attempts", "error", "fallback", "output")


def _shown(step: StepView) -> tuple[Any, ...]:
    output = step.output if step.stored is None else f"stored apart: {step.stored}"
    return (step.state.value, step.agent, step.attempts, step.error, step.fallback, output)


def _seconds(step: StepView) -> float | None:
    if step.started is None or step.finished is None or step.shared:
        return None
    return (step.finished - step.started).total_seconds()


def _lines(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return value.splitlines() or [""]
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True).splitlines()
