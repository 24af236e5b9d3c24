"""What runs took and how they went: durations, successes, retries, waiting against working."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from sparkplug.schema.base import Record
from sparkplug.schema.run import RUN_ENDED, RunState, RunView, StepState, StepView


class Spread(Record):
    """A spread of seconds; all None when there is nothing to tell of."""

    count: int = 0
    p50: float | None = None
    p95: float | None = None
    longest: float | None = None


class StepStats(Record):
    """One step over runs. Shares are of 1."""

    id: str
    runs: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    success_share: float | None = None
    retry_share: float | None = Field(None, description="of attempts, those after the first")
    took: Spread = Field(default_factory=Spread)
    working_seconds: float = 0.0
    waiting_seconds: float = Field(
        0.0, description="for people, for places, and for an agent, from when it could begin"
    )
    critical_share: float | None = Field(
        None, description="of the runs that are done, those whose longest way led through it"
    )
    tokens: int = 0


class PlanStats(Record):
    """One plan over runs, the newest last in `trend`."""

    plan: str
    runs: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    going: int = 0
    success_share: float | None = None
    retry_share: float | None = None
    took: Spread = Field(default_factory=Spread)
    working_seconds: float = 0.0
    waiting_seconds: float = 0.0
    tokens: int = 0
    trend: list[float] = Field(
        default_factory=list, description="seconds that each run which is done took, oldest first"
    )
    trend_change: float | None = Field(
        None, description="median of the newer half against the older, as a share of it"
    )
    steps: list[StepStats] = Field(default_factory=list)


class Stretch(Record):
    """One step on the critical path: how long it waited and worked on it."""

    step: str
    waiting_seconds: float
    working_seconds: float


def plan_stats(plan: str, runs: Sequence[RunView]) -> PlanStats:
    """The figures of a plan from its runs, in any order."""
    ordered = sorted((run for run in runs if run.plan == plan), key=lambda run: run.created)
    found = PlanStats(plan=plan, runs=len(ordered))
    steps: dict[str, list[tuple[RunView, StepView]]] = {}
    critical: dict[str, int] = {}
    for run in ordered:
        found.done += run.state is RunState.DONE
        found.failed += run.state is RunState.FAILED
        found.cancelled += run.state is RunState.CANCELLED
        found.going += run.state not in RUN_ENDED
        for step in run.steps:
            steps.setdefault(step.id, []).append((run, step))
        if run.state is RunState.DONE:
            for stretch in critical_path(run):
                critical[stretch.step] = critical.get(stretch.step, 0) + 1
    found.trend = [t for run in ordered if run.state is RunState.DONE and (t := _run_took(run))]
    found.took = _spread(found.trend)
    found.trend_change = _change(found.trend)
    found.success_share = _share(found.done, found.done + found.failed)
    attempts = firsts = 0
    for name, seen in steps.items():
        one = _step_stats(name, seen)
        one.critical_share = _share(critical.get(name, 0), found.done)
        found.steps.append(one)
        found.working_seconds += one.working_seconds
        found.waiting_seconds += one.waiting_seconds
        found.tokens += one.tokens
        attempts += sum(step.attempts for _, step in seen if not step.shared)
        firsts += sum(_firsts(step) for _, step in seen if not step.shared)
    found.retry_share = _share(attempts - firsts, attempts)
    return found


def critical_path(run: RunView) -> list[Stretch]:
    """The chain of steps that the run's time is made of: from the step that ended last, each time
    back to the one of those it waited for that ended last."""
    ended = [s for s in run.steps if s.finished is not None and s.state is not StepState.SKIPPED]
    ended = [s for s in ended if not s.shared and s.started is not None]
    if not ended:
        return []
    by_id = {step.id: step for step in ended}
    path: list[Stretch] = []
    step: StepView | None = max(ended, key=_finished)
    while step is not None:
        before = [by_id[name] for name in step.depends_on if name in by_id]
        latest = max(before, key=_finished, default=None)
        path.append(_stretch(run, step))
        if latest is not None and any(one.step == latest.id for one in path):
            break
        step = latest
    path.reverse()
    return path


def waiting(run: RunView, step: StepView) -> float:
    """Seconds from when all that a step waits for was over until it began, and for people."""
    if step.started is None or step.shared:
        return 0.0
    ends = [
        found.finished
        for name in step.depends_on
        if (found := run.step(name)) is not None and found.finished is not None
    ]
    ready = max(ends, default=run.started or run.created)
    return max(0.0, (step.started - ready).total_seconds()) + step.waited_seconds


def _stretch(run: RunView, step: StepView) -> Stretch:
    assert step.started is not None
    took = (_finished(step) - step.started).total_seconds()
    working = max(0.0, took - step.waited_seconds)
    return Stretch(step=step.id, waiting_seconds=waiting(run, step), working_seconds=working)


def _finished(step: StepView) -> datetime:
    assert step.finished is not None
    return step.finished


def _step_stats(name: str, seen: Sequence[tuple[RunView, StepView]]) -> StepStats:
    own = [(run, step) for run, step in seen if not step.shared]
    took = [
        (step.finished - step.started).total_seconds()
        for _, step in own
        if step.state is StepState.DONE and step.started and step.finished
    ]
    attempts = sum(step.attempts for _, step in own)
    done = sum(step.state is StepState.DONE for _, step in own)
    failed = sum(step.state is StepState.FAILED for _, step in own)
    return StepStats(
        id=name,
        runs=len(own),
        done=done,
        failed=failed,
        skipped=sum(step.state is StepState.SKIPPED for _, step in own),
        success_share=_share(done, done + failed),
        retry_share=_share(attempts - sum(_firsts(step) for _, step in own), attempts),
        took=_spread(took),
        working_seconds=sum(step.worked_seconds for _, step in own),
        waiting_seconds=sum(waiting(run, step) for run, step in own),
        tokens=sum(step.tokens for _, step in own),
    )


def _firsts(step: StepView) -> int:
    """Attempts that are the first of what they are at."""
    if step.items:
        return sum(item.attempts > 0 for item in step.items)
    return int(step.attempts > 0)


def _run_took(run: RunView) -> float | None:
    if run.finished is None:
        return None
    return max(0.0, (run.finished - (run.started or run.created)).total_seconds())


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _spread(values: Sequence[float]) -> Spread:
    if not values:
        return Spread()
    ordered = sorted(values)
    at = min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))
    return Spread(
        count=len(ordered), p50=statistics.median(ordered), p95=ordered[at], longest=ordered[-1]
    )


def _change(trend: Sequence[float]) -> float | None:
    """How the newer half is against the older one; None for fewer than four runs."""
    if len(trend) < 4:
        return None
    half = len(trend) // 2
    older = statistics.median(trend[:half])
    return (statistics.median(trend[half:]) - older) / older if older else None
