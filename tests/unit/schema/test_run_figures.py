"""What runs took, how two differ, and plans made in code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sparkplug.schema.errors import InvalidError
from sparkplug.schema.plan_builder import PlanBuilder
from sparkplug.schema.plan_check import parse_plan
from sparkplug.schema.run import RunState, RunView, StepState, StepView
from sparkplug.schema.run_diff import diff_runs, diff_text
from sparkplug.schema.run_stats import critical_path, plan_stats

_T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return _T0 + timedelta(seconds=seconds)


def step(name: str, start: float, end: float, *after: str, **more: Any) -> StepView:
    more.setdefault("worked_seconds", end - start)
    return StepView(
        id=name,
        state=more.pop("state", StepState.DONE),
        started=at(start),
        finished=at(end),
        depends_on=list(after),
        attempts=more.pop("attempts", 1),
        **more,
    )


def run(name: str, *steps: StepView, state: RunState = RunState.DONE, took: float = 9) -> RunView:
    return RunView(
        id=name, plan="p", state=state, created=_T0, started=_T0, finished=at(took), steps=[*steps]
    )


def test_the_critical_path_is_what_the_time_was_made_of() -> None:
    view = run(
        "r",
        step("a", 0, 2),
        step("b", 0, 5),
        step("c", 5.5, 7, "a", "b"),
        step("d", 2, 3, "a"),
        step("e", 8, 9, "c", "d", waited_seconds=0.25),
    )
    path = critical_path(view)
    assert [one.step for one in path] == ["b", "c", "e"]
    assert [one.working_seconds for one in path] == [5, 1.5, 0.75]
    assert [one.waiting_seconds for one in path] == [0, 0.5, 1.25]


def test_figures_of_a_plan() -> None:
    runs = [run(f"r{n}", step("a", 0, n + 1), took=n + 1) for n in range(4)]
    runs.append(
        run(
            "bad",
            step("a", 0, 1, state=StepState.FAILED, attempts=3, error="no"),
            state=RunState.FAILED,
        )
    )
    runs.append(RunView(id="other", plan="q"))
    stats = plan_stats("p", runs)
    assert (stats.runs, stats.done, stats.failed) == (5, 4, 1)
    assert stats.success_share == 0.8
    assert stats.retry_share == pytest.approx(2 / 7)
    assert stats.trend == [1, 2, 3, 4]
    assert stats.trend_change == pytest.approx((3.5 - 1.5) / 1.5)
    (only,) = stats.steps
    assert (only.success_share, only.critical_share) == (0.8, 1.0)
    assert only.took.p50 == 2.5
    assert plan_stats("none", runs).success_share is None


def test_two_runs_are_compared_by_what_they_did() -> None:
    before = run("r1", step("a", 0, 1, output="one\ntwo"), step("b", 1, 2, output={"n": 1}))
    after = run("r2", step("a", 0, 9, output="one\n2"), step("b", 1, 2, output={"n": 1}))
    after.inputs = {"x": 3}
    found = diff_runs(before, after)
    assert [one.where for one in found.differences] == ["inputs.x", "steps.a.output"]
    assert found.seconds["a"] == (1, 9)
    assert diff_text(found).splitlines() == [
        "--- r1",
        "+++ r2",
        "@ inputs.x",
        "+3",
        "@ steps.a.output",
        " one",
        "-two",
        "+2",
    ]
    assert diff_text(diff_runs(before, before)) == ""
    # A replay did not do again what it shares with the run before.
    after.steps[1].shared, after.steps[1].attempts = True, 0
    assert "steps.b.attempts" not in {one.where for one in diff_runs(before, after).differences}


def test_a_run_that_is_to_pause_says_so_until_it_does() -> None:
    view = RunView(id="r", plan="p", state=RunState.RUNNING)
    assert view.state_words == "running"
    view.paused = True
    assert view.state_words == "running, pauses when what it has in hand has ended"
    view.state = RunState.PAUSED
    assert view.state_words == "paused"


def test_a_plan_made_in_code_is_the_plan_of_its_file() -> None:
    plan = PlanBuilder("host-brief", timeout="5m")
    host = plan.input("host", required=True)
    survey = plan.step("survey", agent="sentinel", action="survey", input={"host": host})
    plan.step(
        "write",
        agent="scribe",
        action="write",
        after=[survey],
        input={"survey": survey.output, "n": survey.get("findings[0]")},
        retry={"max": 2},
    )
    made = plan.build({"sentinel", "scribe"})
    assert made == parse_plan(
        """\
name: host-brief
timeout: 5m
inputs: {host: {required: true}}
steps:
  - {id: survey, agent: sentinel, action: survey, input: {host: "{{ inputs.host }}"}}
  - id: write
    agent: scribe
    action: write
    depends_on: [survey]
    input:
      survey: "{{ steps['survey'].output }}"
      n: "{{ steps['survey'].output.findings[0] }}"
    retry: {max: 2}
"""
    )
    with pytest.raises(InvalidError, match=r"steps\[1\]\.agent: no agent scribe"):
        plan.build({"sentinel"})
    wrong = PlanBuilder("p")
    wrong.step("a", agent="x", prompt="hi", retry={"max": -1})
    with pytest.raises(InvalidError, match=r"steps\[0\]\.retry\.max: must be at least 0"):
        wrong.build()
