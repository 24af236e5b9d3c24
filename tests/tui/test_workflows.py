"""Workflows: plans and runs, the selected run's steps, and what a person can do about it."""

from __future__ import annotations

from typing import Any

from tui_centre import centre
from tui_mesh import Mesh

from sparkplug.schema.plan import Plan
from sparkplug.schema.run import RunQuestion


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
        await seen.shows("✖ failed", "step write failed: no", "2×", "nightly-gpu-health never run")
        await seen.shows("survey", "write")
        # What cannot be done to a run is told, not tried.
        await seen.press("/", *"brief-2", "enter")
        await seen.shows("■")
        await seen.press("A")
        await seen.shows("it waits for nobody")
        await seen.press("P")
        await seen.shows("Pause run: it is failed already")


async def test_a_small_screen_has_the_runs(mesh: Mesh) -> None:
    await mesh.agent("critic")
    await journal(mesh, "brief-1", *DONE)
    async with centre((60, 14), pane="workflows") as seen:
        await seen.shows("brief-1", "running")
        assert "plans" not in seen.screen
