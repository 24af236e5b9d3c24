"""The longest that random keys, clicks and sizes make the control centre's screen wait."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tui"))

from tui_mesh import Mesh
from tui_monkey import Monkey, Monkeyed, live

from bench.figures import Figure, p95
from fakes.mesh_server import started
from sparkplug.bus.service import Services

_EVENTS = 20_000
_SEED = 3


async def _play(folder: Path) -> list[float]:
    async with started(folder) as server:
        bus = await server.connect("writer")
        services = Services(bus)
        mesh = Mesh(server, bus, services)
        await mesh.serve("gpu-1")
        app = Monkeyed()
        async with app.run_test(size=(120, 36)):
            monkey = Monkey(app, _SEED)
            world = asyncio.create_task(live(mesh, _SEED))
            try:
                await monkey.play(_EVENTS)
            finally:
                world.cancel()
        await services.close()
        return monkey.waits


def run() -> list[Figure]:
    """All figures of this file."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="sp-monkey-") as folder:
        state = Path(folder) / "state"
        state.mkdir(mode=0o700)
        os.environ.update(SPARKPLUG_HOME=str(state), XDG_CONFIG_HOME=str(Path(folder) / "c"))
        try:
            waits = asyncio.run(_play(state))
        finally:
            os.environ.clear()
            os.environ.update(before)
    name = f"{_EVENTS} random keys, clicks and sizes"
    return [
        Figure(f"{name}: wait, p95", 1000 * p95(waits), "ms"),
        Figure(f"{name}: longest wait", 1000 * max(waits), "ms", 250),
    ]
