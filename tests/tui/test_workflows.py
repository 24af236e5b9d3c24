"""Workflows: plans and runs, the selected run's steps, and what a person can do about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tui_centre import centre
from tui_mesh import Mesh

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.journal import list_runs
from sparkplug.bus.service import Services
from sparkplug.client import live_runs
from sparkplug.plans.schedules import Schedules
from sparkplug.plans.showing import show
from sparkplug.schema.base import utc_now
from sparkplug.schema.plan import Plan
from sparkplug.schema.run import RunQuestion, StepBreaker
from sparkplug.schema.schedule import Schedule
from sparkplug.tui.widgets.rows import Rows


async def journal(mesh: Mesh, run: str, *entries: dict[str, Any]) -> None:
    """Write what happened in a run of three steps."""
    plan = Plan.model_validate(
        {
            "name": "brief",
            "steps": [
                {"id": "survey", "agent": "sentinel", "action": "survey"},
                {"id": "ask", "human": {"ask": "Which host?"}, "depends_on": ["survey"]},
                {"id": "write", "agent": "scribe", "prompt": "go", "depends_on": ["ask"]},
            ],
        }
    )
    first = {"kind": "accepted", "plan": plan, "actor": "user ann"}
    for entry in (first, {"kind": "started", "node": "gpu-1"}, *entries):
        await mesh.journal(run, **entry)


SLEEPS = Plan.model_validate({"name": "sleeps", "steps": [{"id": "a", "wait": 60}]})
DONE = (
    {"kind": "step-started", "step": "survey", "attempt": 1, "agent": "sentinel"},
    {"kind": "step-completed", "step": "survey", "attempt": 1, "output": {"n": 1}},
)


async def test_runs_are_seen_with_their_steps_and_what_they_wait_for(mesh: Mesh) -> None:
    await mesh.agent("critic")
    question = RunQuestion(id="q1", kind="answer", text="Which host?")
    waits = {"kind": "step-waiting", "step": "ask", "question": question}
    await journal(mesh, "brief-1", *DONE, waits)
    await journal(mesh, "brief-2", *DONE, {"kind": "failed", "error": "step write failed: no"})
    async with centre((140, 44), pane="workflows") as seen:
        await seen.shows("plans", "runs 2", "brief-1", "? waiting", "ask waits for a pers")
        await seen.shows(
            "✖ failed", "step write failed: no", "2×", "nightly-gpu-health", "never run"
        )
        await seen.shows("survey", "write")
        # What cannot be done to a run is told, not tried.
        await seen.press("/", *"brief-2", "enter")
        await seen.shows("■")
        await seen.press("A")
        await seen.shows("it waits for nobody")
        await seen.press("P")
        await seen.shows("Pause run: it is failed already")


async def test_the_row_of_a_run_changes_with_it(mesh: Mesh) -> None:
    await mesh.agent("critic")
    await journal(mesh, "brief-1")
    async with centre((140, 44), pane="workflows") as seen:
        await seen.shows("brief-1", "◐ running", "0/3")
        for entry in DONE:
            await mesh.journal("brief-1", **entry)
        await seen.shows("1/3")
        await mesh.journal("brief-1", kind="failed", error="enough")
        await seen.shows("✖ failed", "enough")
        await mesh.journal("brief-2", kind="accepted", plan=SLEEPS, actor="user ann")
        await seen.shows("runs 2", "brief-2", "◌ accepted")


async def test_a_run_that_waits_stays_in_sight_however_many_end_after_it(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_runs, "RUNS_KEPT", 3)
    await mesh.agent("critic")
    question = RunQuestion(id="q1", kind="answer", text="Which host?")
    waits = {"kind": "step-waiting", "step": "ask", "question": question}
    await journal(mesh, "brief-1", *DONE, waits)
    for number in range(2, 7):
        await journal(mesh, f"brief-{number}", {"kind": "failed", "error": "no"})
    async with centre((140, 44), pane="workflows") as seen:
        await seen.shows("runs 4", "brief-1", "brief-4", "brief-5", "brief-6")
        assert "brief-3" not in seen.screen
        await journal(mesh, "brief-7", {"kind": "failed", "error": "no"})
        await seen.shows("runs 4", "brief-1", "brief-7")
        await seen.until(lambda: "brief-4" not in seen.screen)


async def test_what_a_step_asks_is_opened_with_its_options(mesh: Mesh) -> None:
    await mesh.agent("critic")
    asked = RunQuestion(id="q1", kind="answer", text="Which host?", options=["gpu-1", "gpu-2"])
    waits = {"kind": "step-waiting", "step": "ask", "question": asked}
    await journal(mesh, "brief-1", *DONE, waits)
    await show(mesh.bus, "brief-1", "ask", asked)
    async with centre((100, 30), pane="workflows") as seen:
        await seen.shows("? waiting")
        await seen.press("A")
        await seen.shows("run brief-1, step ask", "Which host?", "1 gpu-1", "a number chooses")


async def test_a_small_screen_has_the_runs(mesh: Mesh) -> None:
    await mesh.agent("critic")
    await journal(mesh, "brief-1", *DONE)
    async with centre((60, 14), pane="workflows") as seen:
        await seen.shows("brief-1", "running")
        assert "plans" not in seen.screen


async def test_whom_a_step_does_not_ask_for_now_is_told(mesh: Mesh) -> None:
    await mesh.agent("critic")
    found = {"whom": "agent sentinel", "failures": 3, "until": utc_now() + timedelta(seconds=50)}
    told = {"step": "survey", "attempt": 1, "breaker": StepBreaker(state="open", **found)}
    await journal(mesh, "brief-1", DONE[0], {"kind": "step-retried", "error": "no", **told})
    async with centre((140, 44), pane="workflows") as seen:
        await seen.shows("⊘ survey the circuit breaker of agent sentinel is open after 3 failures")
        await seen.press("enter")
        await seen.shows("run brief-1", "is open after 3 failures: nobody is asked for")
        closed = StepBreaker(state="closed", whom="agent sentinel")
        end = {"kind": "step-completed", "step": "survey", "attempt": 2, "breaker": closed}
        await mesh.journal("brief-1", **end)
        await seen.until(lambda: "circuit breaker" not in seen.screen)


async def test_a_schedule_is_filled_in_for_the_plan_that_is_selected(mesh: Mesh) -> None:
    for name in ("sentinel", "scribe"):
        await mesh.agent(name)
    services = await scheduled(mesh)

    async def kept() -> object:
        found = await Bucket(mesh.bus, subjects.BUCKET_SCHEDULES).read_all(Schedule, "s.>")
        made = found.get("s.often")
        return made is not None and (made.plan.name, made.every) == ("nightly-gpu-health", 600)

    async with centre((140, 44), live=False, pane="workflows") as seen:
        await seen.shows("schedules 1", "nightly-gpu-health")
        plans = seen.app.query_one("#workflows-plans", Rows)
        plans.focus()
        plans.select("nightly-gpu-health")
        await seen.press("a")
        await seen.shows("Add schedule", "nightly-gpu-health", "timezone")
        await seen.type("often")
        await seen.press("tab", "tab", "tab")
        await seen.type("10m")
        await seen.press("ctrl+s")
        await seen.becomes(kept)
        await seen.shows("schedules 2", "often")
    await services.close()


async def scheduled(mesh: Mesh) -> Services:
    """A schedule, and a node that answers for schedules."""

    async def known() -> set[str]:
        return {"sentinel", "scribe"}

    plan = {"name": "sweep", "steps": [{"id": "a", "value": 1}]}
    nightly = Schedule.model_validate(
        {"name": "nightly", "plan": plan, "cron": "0 3 * * *", "timezone": "Europe/Berlin"}
    )
    services = Services(mesh.bus)
    await Schedules(mesh.bus, "gpu-1", "gpu-1.x", known).serve(services)
    await Bucket(mesh.bus, subjects.BUCKET_SCHEDULES).put("s.nightly", nightly)
    return services


async def test_schedules_are_seen_and_steered(mesh: Mesh) -> None:
    await mesh.agent("critic")
    services = await scheduled(mesh)

    async def kept() -> Schedule | None:
        found = await Bucket(mesh.bus, subjects.BUCKET_SCHEDULES).read_all(Schedule, "s.>")
        return found.get("s.nightly")

    async def is_paused() -> bool:
        found = await kept()
        return found is not None and found.paused

    async def is_gone() -> bool:
        return await kept() is None

    async with centre((140, 44), live=False, pane="workflows") as seen:
        await seen.shows("schedules 1", "nightly", "0 3 * * *", "no run yet")
        await seen.press("W")
        await seen.shows("runs sweep 0 3 * * * Europe/Berlin", "of times missed one is made good")
        await seen.shows("╭ a ────", "◌ pending")
        await seen.press("P")
        await seen.becomes(is_paused)
        await seen.shows("paused, no run is begun")
        await seen.press("R")
        await seen.shows("of the schedule nightly accepted", "sweep-")
        runs = await list_runs(mesh.bus)
        assert [run.parent.schedule for run in runs if run.parent is not None] == ["nightly"]
        await seen.press("d")
        await seen.shows("schedule nightly", "changed by", "a (value)")
        await seen.press("escape", "x")
        await seen.shows("would remove the schedule nightly")
        await seen.press("y")
        await seen.becomes(is_gone)
        await seen.press("W")
        await seen.shows("none: a makes one", "run sweep-")
    await services.close()


async def test_a_small_screen_has_schedules_in_the_place_of_the_runs(mesh: Mesh) -> None:
    await mesh.agent("critic")
    services = await scheduled(mesh)
    async with centre((60, 14), live=False, pane="workflows") as seen:
        await seen.shows("no run yet")
        assert "nightly" not in seen.screen
        await seen.press("W")
        await seen.shows("schedules 1", "nightly")
        assert "no run yet" not in seen.screen
        await seen.press("escape")
        await seen.shows("no run yet")
    await services.close()
