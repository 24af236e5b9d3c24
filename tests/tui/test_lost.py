"""What one does while the mesh does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import Any

import pytest
from tui_centre import centre
from tui_mesh import Mesh

from sparkplug.actions.registry import ACTIONS


async def test_nothing_is_done_later_that_was_refused_meanwhile(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 24)) as seen:
        generation = (await mesh.desired("critic")).generation
        server = mesh.server.server.process
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        await seen.shows("the connection is lost")
        await seen.press("r")
        await seen.shows("there is no connection to the mesh; nothing was done")
        await seen.press("escape", "colon")
        await seen.type("agents stop nobody")
        await seen.shows("no connection: it is not known whether there is agent nobody")
        await seen.press("escape")
        await mesh.server.restart()
        await seen.until(lambda: seen.app.store.link.state == "live")
        await seen.until(lambda: "the connection is lost" not in seen.screen)
        assert (await mesh.desired("critic")).generation == generation


@pytest.mark.parametrize(
    ("silent_in", "told"),
    [("check", "nothing was done"), ("run", "may have been done all the same")],
)
async def test_what_is_under_way_is_told_and_a_silence_is_in_words(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch, silent_in: str, told: str
) -> None:
    waits = asyncio.Event()

    async def silent(client: Any, agent: str, **_: Any) -> str:
        await waits.wait()
        raise TimeoutError

    changes: dict[str, Any] = {silent_in: silent}
    restart = replace(ACTIONS["agents.restart"], **changes, danger=silent_in == "check")
    monkeypatch.setitem(ACTIONS, restart.id, restart)
    await mesh.agent("critic")
    async with centre((100, 24)) as seen:
        await seen.press("r")
        await seen.until(lambda: "Restart agent …" in seen.screen.splitlines()[-1])
        waits.set()
        await seen.shows("did not answer in time", told)
        await seen.press("escape")
        await seen.until(lambda: "? help" in seen.screen.splitlines()[-1])
