"""Terminals of few rows and columns: what one came for is in sight, and each box is whole."""

from __future__ import annotations

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh, gpu, plan, sample

from sparkplug.schema.topology import Topology, TopologyEdge

#: What each pane has to show of a mesh, by its key.
PANES = {
    "1": ("scribe",),
    "2": ("gpu-1",),
    "3": ("scribe", "idle"),
    "4": ("research",),
    "6": ("brief-1", "running"),
}


async def fill(mesh: Mesh) -> None:
    """A mesh in which there is one of each."""
    await mesh.agent("scribe")
    await mesh.node("gpu-1")
    await mesh.tell(sample("gpu-1", gpus=[gpu(index) for index in range(8)]))
    await mesh.journal("brief-1", "accepted", plan=plan("survey", "write"))
    await mesh.journal("brief-1", "started", node="gpu-1")


def whole(seen: Centre) -> None:
    """Every box that begins ends, on rows of its own."""
    rows = seen.screen.split("\n")
    for y, row in enumerate(rows):
        for x, character in enumerate(row):
            if character == "╭":
                ends = [r[x] for r in rows[y + 1 :] if r[x : x + 1] in ("╭", "╰")]
                assert ends[:1] == ["╰"], f"the box at {x},{y}:\n{seen.screen}"


@pytest.mark.parametrize("size", [(40, 10), (60, 12), (60, 15), (50, 20)])
async def test_a_row_of_each_list_is_in_sight(mesh: Mesh, size: tuple[int, int]) -> None:
    await fill(mesh)
    async with centre(size) as seen:
        store = seen.app.store
        edges = [TopologyEdge(from_="research", to="scribe", messages=4, rate_per_second=0.01)]
        await seen.until(lambda: store.view and store.runs)
        await mesh.topology(Topology(edges=edges, messages_per_second=0.01))
        await seen.until(lambda: store.view and store.view.topology)
        await seen.until(lambda: store.hosts and store.hosts[0].sample)
        for key, words in PANES.items():
            await seen.press(key)
            await seen.shows(*words)
            whole(seen)
        await seen.press("5")
        await seen.shows("no task")
        whole(seen)


async def test_what_needs_one_is_told_where_there_are_rows_for_two_boxes(mesh: Mesh) -> None:
    await fill(mesh)
    await mesh.agent("indexer", "error", reason="gave up")
    async with centre((70, 10)) as seen:
        await seen.shows("needs you 1", "indexer", "gave up", "events")
        assert "conversation" not in seen.screen
        await seen.pilot.resize_terminal(70, 16)
        await seen.shows("needs you 1", "gave up", "conversation")


async def test_where_one_is_goes_before_which_mesh_it_is(mesh: Mesh) -> None:
    await fill(mesh)
    async with centre((40, 10)) as seen:
        await seen.press("3")
        await seen.shows("SparkPlug ▸ agents ▸ scribe")
        assert "mesh home" not in seen.screen


async def test_bars_give_way_to_their_figures(mesh: Mesh) -> None:
    await fill(mesh)
    async with centre((60, 16)) as seen:
        await seen.until(lambda: seen.app.store.hosts and seen.app.store.hosts[0].sample)
        await seen.shows("gpu-1 cpu", "mem")
        row = next(row for row in seen.screen.split("\n") if "gpu-1 cpu" in row)
        assert row[:30].count("%") == 2, row
