"""Another mesh by `:ctx`, and a server that comes back elsewhere; on real servers."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from tui_centre import centre
from tui_mesh import Mesh

from fakes.mesh_server import started
from sparkplug.bus.server import ServerSettings
from sparkplug.bus.service import Services
from sparkplug.tui import store


async def test_ctx_goes_to_another_mesh_and_leaves_nothing_of_the_first(
    mesh: Mesh, tmp_path: Path
) -> None:
    (tmp_path / "lab").mkdir(mode=0o700)
    async with started(tmp_path / "lab") as server:
        bus = await server.connect("writer")
        lab = Mesh(server, bus, Services(bus))
        await lab.node("lab-1")
        await lab.agent("painter", host="lab-1")
        await mesh.agent("critic")
        creds = tmp_path / "lab" / "keys" / "face.creds"
        (tmp_path / "contexts.toml").write_text(
            f'[contexts.lab]\nurl = "{server.url}"\ncreds = "{creds}"\n'
            '[contexts.nowhere]\nurl = "nats://127.0.0.1:1"\ndescription = "not there"\n'
        )
        async with centre((120, 30)) as seen:
            await seen.shows("critic", "mesh home")
            first = seen.app.store.client
            assert first is not None
            await seen.press("colon")
            await seen.type("ctx l")
            await seen.shows("lab")
            await seen.press("tab", "enter")
            await seen.shows("painter", "mesh lab")
            assert first.bus.nc.is_closed
            assert "critic" not in seen.screen
            await seen.press("2")
            await seen.shows("lab-1")
            assert "gpu-1" not in seen.screen
            await seen.press("colon")
            await seen.type("ctx")
            await seen.press("enter")
            await seen.shows("this host", "not there", "● lab")
            await seen.press("j", "enter")
            await seen.shows("mesh nowhere", "no mesh")
            await seen.shows("connection refused", ":ctx goes to another mesh")
            assert "lab-1" not in seen.screen
            at = seen.screen.splitlines()[0].index("mesh nowhere")
            await seen.pilot.click(offset=(at + 6, 0))
            await seen.shows("this host")
            await seen.press("g", "enter")
            await seen.shows("mesh home", "gpu-1")
        async with centre((120, 30), context="lab", live=False) as seen:
            await seen.shows("lab-1", "mesh lab", "▸ hosts")
        async with centre((120, 30), context="lbb", live=False) as seen:
            await seen.shows("no context lbb, did you mean lab?")


async def test_a_server_that_comes_back_on_another_port_is_found(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_LOOK_AGAIN_S", 1.0)
    await mesh.agent("critic")
    async with centre((120, 30)) as seen:
        server = mesh.server.server
        before = mesh.server.url
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGKILL)
        await seen.shows("the connection is lost: what you see is", "critic")
        await server.wait_ended()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        await server.start(ServerSettings("test", port, 256 << 20, 4 << 30, 8 << 20))
        assert mesh.server.url != before
        await seen.until(lambda: "the connection is lost" not in seen.screen)
        bus = await mesh.server.connect("again")
        mesh.bus = bus
        await mesh.agent("critic", "thinking")
        await seen.shows("◐ critic")
