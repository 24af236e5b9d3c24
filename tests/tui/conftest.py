"""A private server in a state directory of its own, with a node's services on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tui_mesh import Mesh

from fakes.mesh_server import started
from sparkplug.bus.service import Services


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own, named in the environment."""
    monkeypatch.setenv("SPARKPLUG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("TMUX", "STY"):  # what is copied in a test stays in it
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
async def mesh(home: Path) -> AsyncIterator[Mesh]:
    """A private server in the state directory, and one node's services on it."""
    async with started(home) as server:
        bus = await server.connect("writer")
        services = Services(bus)
        found = Mesh(server, bus, services)
        await found.serve("gpu-1")
        await found.node("gpu-1")
        try:
            yield found
        finally:
            await services.close()
