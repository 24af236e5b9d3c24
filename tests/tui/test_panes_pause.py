"""Panes that are not in sight cost nothing: not mounted, not drawn, their figures not made."""

from __future__ import annotations

from typing import Any

import pytest
from tui_centre import centre
from tui_mesh import Mesh, sample

from sparkplug.client.mesh_view import MeshView
from sparkplug.tui.panes.agents import AgentsPane
from sparkplug.tui.panes.hosts import HostsPane
from sparkplug.tui.panes.overview import Overview
from sparkplug.tui.panes.pane import Pane


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of panes as they are drawn or ticked."""
    found: list[str] = []
    for made in (Overview, HostsPane, AgentsPane):

        def watch(made: type[Pane], name: str) -> None:
            real = getattr(made, name)

            def spied(self: Pane, *given: Any) -> None:
                found.append(str(self.id))
                real(self, *given)

            monkeypatch.setattr(made, name, spied)

        watch(made, "draw")
        watch(made, "tick")
    return found


async def test_a_pane_is_mounted_when_it_is_first_seen(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((80, 24)) as seen:
        assert [pane.id for pane in seen.app.query(Pane)] == ["overview"]
        await seen.press("3")
        await seen.shows("rep")
        assert [pane.id for pane in seen.app.query(Pane)] == ["overview", "agents"]


async def test_what_is_hidden_is_not_drawn_and_is_drawn_anew(mesh: Mesh, drawn: list[str]) -> None:
    await mesh.agent("critic")
    async with centre((80, 24)) as seen:
        await seen.press("2", "3")
        await seen.shows("critic", "rep")
        await seen.pilot.pause()
        drawn.clear()
        await mesh.tell(sample("gpu-1"))
        await mesh.agent("critic", "thinking")
        await seen.shows("◐ thinking")
        seen.app._tick()
        await seen.pilot.resize_terminal(100, 30)
        await seen.pilot.pause()
        assert set(drawn) == {"agents"}
        await seen.press("2")
        await seen.shows("38%")
        await seen.press("1")
        await seen.shows("◐ critic", "38%")


async def test_a_page_over_the_pane_pauses_it(mesh: Mesh, drawn: list[str]) -> None:
    await mesh.agent("critic")
    async with centre((80, 24)) as seen:
        await seen.press("d")
        await seen.shows("entrypoint: m:f")
        await seen.pilot.pause()
        drawn.clear()
        await mesh.agent("critic", "thinking")
        await seen.shows("◐ thinking")
        seen.app._tick()
        assert drawn == []
        await seen.press("escape")
        await seen.shows("◐ critic")


async def test_lists_are_made_only_for_who_looks(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def watch(name: str) -> None:
        real = getattr(MeshView, name)

        def spied(view: MeshView) -> Any:
            made.append(name)
            return real(view)

        monkeypatch.setattr(MeshView, name, spied)

    for name in ("agents", "hosts", "newest_runs"):
        watch(name)
    await mesh.agent("critic")
    async with centre((80, 24), pane="hosts") as seen:
        await seen.shows("gpu-1", "1 host")
        await seen.pilot.pause()
        made.clear()
        for state in ("thinking", "idle"):
            await mesh.agent("critic", state)
        await mesh.tell(sample("gpu-1"))
        await seen.shows("38%")
        assert set(made) == {"hosts"}
        await seen.press("3")
        await seen.shows("critic")
        assert "agents" in made
        await seen.pilot.pause()
        made.clear()
        await mesh.tell(sample("gpu-1", 2))
        await seen.until(lambda: len(seen.app.store.view.history["gpu-1"]) == 2)
        await seen.pilot.pause()
        seen.app._tick()
        assert made == []
