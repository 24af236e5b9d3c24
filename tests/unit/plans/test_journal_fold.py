"""A run is what its journal says, entry by entry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sparkplug.schema.errors import NotFoundError
from sparkplug.schema.journal_fold import fold
from sparkplug.schema.plan import Plan
from sparkplug.schema.run import JournalEntry, RunState, StepState

PLAN = Plan.model_validate(
    {"name": "p", "steps": [{"id": name, "agent": "a", "prompt": "x"} for name in ("x", "y", "z")]}
)
START = datetime(2026, 1, 1, tzinfo=UTC)


def entries(*kinds: str | tuple[str, dict[str, Any]]) -> list[JournalEntry]:
    """Entries a second apart, after the one that accepts the run."""
    made = [JournalEntry(run="r", kind="accepted", plan=PLAN, inputs={"i": 1}, time=START)]
    for second, one in enumerate(kinds, 1):
        kind, more = one if isinstance(one, tuple) else (one, {})
        moment = START + timedelta(seconds=second)
        made.append(JournalEntry(run="r", kind=kind, time=moment, **more))
    return made


def test_an_accepted_run_waits_with_all_its_steps() -> None:
    view = fold(entries())
    assert (view.id, view.plan, view.state) == ("r", "p", RunState.ACCEPTED)
    assert view.created == START
    assert view.inputs == {"i": 1}
    assert [(step.id, step.state, step.attempts) for step in view.steps] == [
        ("x", StepState.PENDING, 0),
        ("y", StepState.PENDING, 0),
        ("z", StepState.PENDING, 0),
    ]


def test_steps_say_what_they_wait_for() -> None:
    steps = [{"id": name, "agent": "a", "prompt": "x"} for name in ("x", "y", "z")]
    steps[2]["depends_on"] = ["x"]  # type: ignore[assignment]
    waits = {}
    for strategy in ("graph", "sequential"):
        plan = Plan.model_validate({"name": "p", "strategy": strategy, "steps": steps})
        view = fold([JournalEntry(run="r", kind="accepted", plan=plan, time=START)])
        waits[strategy] = [step.depends_on for step in view.steps]
    assert waits == {"graph": [[], [], ["x"]], "sequential": [[], ["x"], ["x", "y"]]}


def test_an_agent_that_a_template_names_is_told_once_it_is_known() -> None:
    steps = [
        {"id": "x", "agent": "{{ inputs.who }}", "prompt": "p"},
        {"id": "y", "agent": "b", "prompt": "p"},
    ]
    plan = Plan.model_validate({"name": "p", "inputs": {"who": {}}, "steps": steps})
    accepted = JournalEntry(run="r", kind="accepted", plan=plan, time=START)
    assert [step.agent for step in fold([accepted]).steps] == [None, "b"]
    begun = JournalEntry(run="r", kind="step-started", step="x", agent="a", attempt=1, time=START)
    assert [step.agent for step in fold([accepted, begun]).steps] == ["a", "b"]


def test_attempts_interruptions_and_outputs() -> None:
    view = fold(
        entries(
            ("started", {"node": "n1"}),
            ("step-started", {"step": "x", "attempt": 1}),
            ("step-retried", {"step": "x", "attempt": 1, "error": "e1"}),
            ("step-started", {"step": "x", "attempt": 2}),
            ("resumed", {"node": "n2"}),
            ("step-retried", {"step": "x", "attempt": 2, "error": "e2", "interrupted": True}),
            ("step-started", {"step": "x", "attempt": 3}),
            ("step-completed", {"step": "x", "attempt": 3, "output": [1], "agent": "b"}),
            ("step-skipped", {"step": "y"}),
            ("step-started", {"step": "z", "attempt": 1}),
            ("step-completed", {"step": "z", "attempt": 1, "output": "end"}),
            ("completed", {"output": "all"}),
        )
    )
    assert (view.state, view.node, view.output) == (RunState.DONE, "n2", "all")
    assert view.finished == START + timedelta(seconds=12)
    x, y, z = view.steps
    assert (x.state, x.attempts, x.interruptions, x.output) == (StepState.DONE, 3, 1, [1])
    assert (x.agent, x.error) == ("b", None)
    assert (x.started, x.finished) == (START + timedelta(seconds=2), START + timedelta(seconds=8))
    assert (y.state, y.output) == (StepState.SKIPPED, None)
    assert (z.state, z.output) == (StepState.DONE, "end")


def test_a_step_between_attempts_waits_and_shows_why() -> None:
    started = ("step-started", {"step": "x", "attempt": 1})
    retried = ("step-retried", {"step": "x", "attempt": 1, "error": "why"})
    step = fold(entries("started", started, retried)).steps[0]
    assert (step.state, step.error, step.attempts) == (StepState.PENDING, "why", 1)


@pytest.mark.parametrize(
    ("kind", "state"), [("failed", RunState.FAILED), ("cancelled", RunState.CANCELLED)]
)
def test_a_run_that_ends_early_ends_its_steps(kind: str, state: RunState) -> None:
    view = fold(
        entries(
            "started",
            ("step-started", {"step": "x", "attempt": 1}),
            ("step-failed", {"step": "x", "error": "broke"}),
            ("step-started", {"step": "y", "attempt": 1}),
            (kind, {"error": "because"}),
            # What an old holder might still say changes nothing.
            ("step-completed", {"step": "y", "output": 1}),
            "completed",
        )
    )
    assert (view.state, view.error) == (state, "because")
    assert [step.state for step in view.steps] == [
        StepState.FAILED,
        StepState.CANCELLED,
        StepState.CANCELLED,
    ]
    assert view.steps[0].error == "broke"
    assert view.steps[1].finished == START + timedelta(seconds=5)
    assert view.steps[2].finished is None


def test_a_journal_without_its_beginning_is_no_run() -> None:
    with pytest.raises(NotFoundError):
        fold([])
    with pytest.raises(NotFoundError):
        fold(entries("started")[1:])
