"""The ready set: what may start, what is skipped, and when a run is over."""

from __future__ import annotations

from typing import Any

from sparkplug.plans.scheduler import Moves, Scheduler, decide
from sparkplug.schema.plan import Plan
from sparkplug.schema.run import RunState, RunView, StepState, StepView


def plan(steps: dict[str, Any], strategy: str = "graph") -> Plan:
    """Steps by id, each with what it depends on or with further keys."""
    made = []
    for name, more in steps.items():
        extra = more if isinstance(more, dict) else {"depends_on": more}
        made.append({"id": name, "agent": "a", "prompt": "go", **extra})
    return Plan.model_validate({"name": "p", "strategy": strategy, "steps": made})


def view(**states: StepState | tuple[StepState, Any]) -> RunView:
    steps = []
    for name, state in states.items():
        state, output = state if isinstance(state, tuple) else (state, None)
        error = "broke" if state is StepState.FAILED else None
        steps.append(StepView(id=name, state=state, output=output, error=error))
    return RunView(id="r", plan="p", steps=steps)


P, R, D, S, F = (
    StepState.PENDING,
    StepState.RUNNING,
    StepState.DONE,
    StepState.SKIPPED,
    StepState.FAILED,
)
DIAMOND: dict[str, Any] = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def test_a_graph_starts_what_is_met_and_not_in_hand() -> None:
    diamond = plan(DIAMOND)
    assert decide(diamond, view(a=P, b=P, c=P, d=P), []).start == ["a"]
    assert decide(diamond, view(a=R, b=P, c=P, d=P), ["a"]) == Moves()
    assert decide(diamond, view(a=D, b=P, c=P, d=P), []).start == ["b", "c"]
    assert decide(diamond, view(a=D, b=R, c=D, d=P), ["b"]) == Moves()
    assert decide(diamond, view(a=D, b=D, c=D, d=P), []).start == ["d"]
    assert decide(diamond, view(a=D, b=D, c=D, d=D), []) == Moves(ended=RunState.DONE)


def test_what_begins_with_the_end_of_a_step_is_known_before_it_ends() -> None:
    def after(plan_: Plan, name: str, **states: Any) -> list[str]:
        return Scheduler(plan_, view(**states)).goes_on_with(name)

    diamond = plan(DIAMOND)
    assert after(diamond, "a", a=R, b=P, c=P, d=P) == ["b", "c"]
    assert after(diamond, "b", a=D, b=R, c=R, d=P) == []
    assert after(diamond, "b", a=D, b=R, c=D, d=P) == ["d"]
    assert after(diamond, "b", a=D, b=R, c=F, d=P) == [], "nothing begins after a failure"
    beside: dict[str, Any] = {"a": [], "b": ["a"], "x": []}
    assert after(plan(beside), "a", a=R, b=P, x=R) == ["b"]
    assert after(plan(beside), "a", a=R, b=P, x=F) == [], "nor after one it does not wait for"
    for more in ({"when": "{{ 1 }}"}, {"approve": "human"}, {"budget": {"tokens": 1}}):
        held = plan({"a": [], "b": {"depends_on": ["a"], **more}})
        assert after(held, "a", a=R, b=P) == [], more


def test_sequential_is_one_after_the_other_and_parallel_all_at_once() -> None:
    steps: dict[str, Any] = {"a": [], "b": [], "c": []}
    assert decide(plan(steps, "sequential"), view(a=P, b=P, c=P), []).start == ["a"]
    assert decide(plan(steps, "sequential"), view(a=D, b=P, c=P), []).start == ["b"]
    assert decide(plan(steps, "parallel"), view(a=P, b=P, c=P), []).start == ["a", "b", "c"]


def test_a_step_an_earlier_planner_left_running_is_started_again() -> None:
    assert decide(plan(DIAMOND), view(a=D, b=R, c=D, d=P), []).start == ["b"]


def test_when_skips_and_a_skipped_dependency_counts_as_met() -> None:
    chain = plan(
        {
            "a": [],
            "b": {"depends_on": ["a"], "when": "{{ steps.a.output > 3 }}"},
            "c": ["b"],
        }
    )
    assert decide(chain, view(a=(D, 5), b=P, c=P), []) == Moves(start=["b"])
    assert decide(chain, view(a=(D, 2), b=P, c=P), []) == Moves(skip=["b"])
    assert decide(chain, view(a=(D, 2), b=S, c=P), []) == Moves(start=["c"])
    assert decide(chain, view(a=(D, 2), b=S, c=D), []) == Moves(ended=RunState.DONE)


def test_a_when_that_does_not_hold_fails_its_step() -> None:
    one = plan({"a": {"when": "{{ inputs.absent }}"}})
    moves = decide(one, view(a=P), [])
    assert moves.start == moves.skip == []
    assert "absent" in moves.fail["a"]


def test_after_a_failure_nothing_starts_and_the_run_fails_when_the_others_are_done() -> None:
    wide = plan({"a": [], "b": [], "c": []})
    assert decide(wide, view(a=F, b=R, c=P), ["b"]) == Moves()
    moves = decide(wide, view(a=F, b=D, c=P), [])
    assert moves == Moves(ended=RunState.FAILED, reason="step a failed: broke")


def test_a_wide_graph_is_decided_whole() -> None:
    steps: dict[str, Any] = {f"s{n}": [] for n in range(500)} | {
        "end": [f"s{n}" for n in range(500)]
    }
    states = dict.fromkeys(steps, P)
    assert len(decide(plan(steps), view(**states), []).start) == 500
    states |= {f"s{n}": D for n in range(500)}
    assert decide(plan(steps), view(**states), []).start == ["end"]
