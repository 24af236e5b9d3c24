"""Runs and who talks to whom, drawn as graphs from a real bus."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tui_centre import centre
from tui_mesh import Mesh

from sparkplug.schema.base import utc_now
from sparkplug.schema.plan import Plan, Step
from sparkplug.schema.run import RunView, StepState, StepView
from sparkplug.schema.topology import Topology, TopologyEdge, TopologyNode
from sparkplug.tui.cells import joined, length, plain
from sparkplug.tui.dialogs.run import RunPage
from sparkplug.tui.panes.talk import pair_lines, talk_graph, talk_lines
from sparkplug.tui.widgets.canvas.model import Key
from sparkplug.tui.widgets.steps import run_graph, run_lines


def branched() -> Plan:
    """One step, two after it, and one after both."""

    def step(name: str, *after: str) -> Step:
        return Step(id=name, agent="echo", prompt="go", depends_on=list(after))

    return Plan(
        name="fan",
        steps=[
            step("ask"),
            step("left", "ask"),
            step("right", "ask"),
            step("join", "left", "right"),
        ],
    )


async def begun(mesh: Mesh) -> None:
    """A run of it, as far as its second step."""
    await mesh.agent("echo")
    await mesh.journal("fan-1", "accepted", plan=branched())
    await mesh.journal("fan-1", "started", node="gpu-1")
    await mesh.journal("fan-1", "step-started", step="ask", attempt=1)
    await mesh.journal("fan-1", "step-completed", step="ask", output="# Asked\n\nwell")
    await mesh.journal("fan-1", "step-started", step="left", attempt=2)


async def test_overview_draws_a_run_with_its_branches(mesh: Mesh) -> None:
    await begun(mesh)
    async with centre((160, 50)) as seen:
        await seen.shows("╭ ask ", "╭ left ", "╭ right ", "╭ join ", "─┴─▶", "◌ pending")
        await seen.pilot.resize_terminal(80, 24)
        await seen.until(lambda: "╭ ask " not in seen.screen)
        await seen.shows("ask", "left", "right", "join", "◐ running")


async def test_the_steps_of_a_run_are_walked_and_read(mesh: Mesh) -> None:
    await begun(mesh)
    async with centre((120, 36)) as seen:
        await seen.shows("fan-1")
        seen.app.open_run("fan-1")
        await seen.until(lambda: isinstance(seen.app.screen, RunPage))
        page = seen.app.screen
        assert isinstance(page, RunPage)
        await seen.shows("╭ ask ", "╭ join ", "fan", "on gpu-1")
        page.canvas.focus()
        await seen.press("n")
        await seen.shows("▸ask", "Asked", "well")
        await seen.press("right", "greater_than_sign")
        assert isinstance(page.canvas.selected, Key)
        page.canvas.select("left")
        await seen.shows("after ask", "2 attempts")
        await mesh.journal("fan-1", "step-failed", step="left", error="no figures")
        await seen.shows("✖ no figures", "failed echo")
        await seen.press("enter")
        assert seen.app.focused is page.page
        page.canvas.focus()
        await seen.press("escape")
        await seen.until(lambda: page.canvas.selected is None)
        assert seen.app.screen is page, "the first esc selects nothing, the next goes back"
        await seen.pilot.resize_terminal(60, 12)
        await seen.until(lambda: not page.canvas.display)
        await seen.shows("ask", "done")
        await seen.pilot.resize_terminal(20, 5)
        await seen.press("escape")
        await seen.until(lambda: seen.app.screen is not page)


async def test_a_run_that_is_not_known_yet_opens_empty(mesh: Mesh) -> None:
    await mesh.agent("echo")
    async with centre((100, 30)) as seen:
        seen.app.open_run("fan-1")
        await seen.shows("waiting for its journal")
        await begun(mesh)
        await seen.shows("╭ ask ")


TALK = Topology(
    nodes=[
        TopologyNode(name="research", kind="agent", queue_depth=3),
        TopologyNode(name="ana", kind="face"),
    ],
    edges=[
        TopologyEdge(from_="ana", to="research", messages=9, rate_per_second=0.5),
        TopologyEdge(from_="research", to="writer", messages=100, rate_per_second=12.0, errors=2),
        TopologyEdge(from_="research", to="indexer", messages=10, rate_per_second=4.5, errors=5),
        TopologyEdge(from_="writer", to="research", messages=1),
    ],
    messages_per_second=17.0,
)


async def test_overview_draws_who_talks_to_whom(mesh: Mesh) -> None:
    await mesh.agent("research")
    async with centre((160, 50)) as seen:
        await mesh.topology(TALK)
        await seen.shows("17 msg/s", "❯ ana", "3 research", "12/s ✖2", "4.5/s ✖5")
        await seen.until(lambda: "━▶" in seen.screen)
        await seen.until(lambda: "═▶" in seen.screen)


def test_rates_and_errors_decide_how_an_edge_is_drawn() -> None:
    edges = {key[:2]: edge for key, edge in talk_graph(TALK).by_key.items()}
    look = {ends: (edge.pen, edge.weight) for ends, edge in edges.items()}
    assert look == {
        ("ana", "research"): ("active", "light"),
        ("research", "writer"): ("warn", "double"),
        ("research", "indexer"): ("bad", "heavy"),
        ("writer", "research"): ("dim", "light"),
    }


def test_the_graph_of_talk_stays_while_rates_change_and_gives_way_to_lines() -> None:
    wide = talk_lines(TALK, 100, 20)
    assert 1 < len(wide) < len(TALK.edges)
    assert joined(wide).count("research") == 1, "it is a graph"
    other = TALK.model_copy(
        update={"edges": [e.model_copy(update={"rate_per_second": 99.9}) for e in TALK.edges]}
    )
    names = ("ana", "research", "writer", "indexer")
    for one, two in zip(wide, talk_lines(other, 100, 20), strict=True):
        for name in names:
            assert joined([one]).find(name) == joined([two]).find(name)
    narrow = talk_lines(TALK, 40, 20)
    assert len(narrow) == len(TALK.edges)
    assert "writer" in joined(narrow[:1]), "the busiest first"
    assert all(length(line) <= 100 for line in wide)
    assert joined(talk_lines(TALK, 100, 1)).count("/s") == len(TALK.edges), "no room: lines"


@pytest.mark.parametrize(("width", "height"), [(100, 20), (60, 3), (30, 20), (8, 2), (1, 1)])
def test_a_run_fits_its_room_or_is_lines(width: int, height: int) -> None:
    now = utc_now()
    steps = [
        StepView(
            id=step.id,
            depends_on=step.depends_on,
            state=StepState.DONE,
            started=now - timedelta(seconds=75),
            finished=now,
        )
        for step in branched().steps
    ]
    run = RunView(id="fan-1", plan="fan", steps=steps)
    assert len(run_graph(run, now).by_key) == 4
    lines = run_lines(run, width, height, now)
    if len(lines) != len(steps):
        assert len(lines) <= height
        assert max(map(len, joined(lines).split("\n"))) <= width
    assert all(step.id[:4] in joined(lines) for step in steps)
    assert "1m15s" in joined(lines)


def test_of_very_many_pairs_the_busiest_are_told_and_the_rest_counted() -> None:
    edges = [
        TopologyEdge.model_validate(
            {"from": f"a{n}", "to": f"b{n}", "messages": n, "rate_per_second": float(n)}
        )
        for n in range(200)
    ]
    lines = [plain(line) for line in pair_lines(Topology(nodes=[], edges=edges), 80)]
    assert len(lines) == 61
    assert lines[0].split()[0] == "a199"
    assert "140 quieter pairs" in lines[-1]
