"""Usage of agents: through the command line, and followed by a face that asks for it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes.node import ECHO, Node, eventually, wait_until
from sparkplug.bus import subjects
from sparkplug.client.live import LiveMesh


@pytest.fixture
def node(shared_node: Node) -> Node:
    """One node for all of these: each begins with none of another's agents."""
    return shared_node


def deploy(node: Node, folder: Path, name: str, **spec: Any) -> None:
    node.cli("agents", "deploy", str(node.write_agent(folder, name, ECHO, **spec)))


def taken(node: Node, name: str) -> dict[str, Any]:
    rows = node.json("agents", "usage", name)
    return rows[0] if rows else {}


def test_usage_is_told_by_the_command_line(node: Node, tmp_path: Path) -> None:
    deploy(node, tmp_path, "alone")
    deploy(node, tmp_path, "light", isolation="shared", replicas=2)
    node.cli("prompt", "alone", "hi")
    node.cli("prompt", "alone", "", "--action", "boom", check=False)
    assert wait_until(lambda: taken(node, "alone").get("prompts") == 2)
    alone = taken(node, "alone")
    assert alone["errors"] == 1
    assert alone["shared"] == 0
    assert alone["received"] >= 2
    assert alone["latency_p95_ms"] > 0
    process = psutil.Process(alone["pid"])
    assert wait_until(
        lambda: abs(process.memory_info().rss - taken(node, "alone")["rss_bytes"]) < 8 << 20
    )
    assert 0 < alone["pss_bytes"] <= alone["rss_bytes"]
    light = node.json("agents", "usage", "light")
    assert [row["shared"] for row in light] == [2, 2]
    wide = node.cli("agents", "list", "-o", "wide").stdout.splitlines()
    assert {"CPU", "MEMORY", "SHARED"} <= set(wide[0].split())
    assert "memory" in node.cli("agents", "describe", "alone").stdout
    assert len(node.json("agents", "describe", "light")["usage"]) == 2
    node.cli("agents", "restart", "alone", "--yes")
    node.cli("prompt", "alone", "hi")
    assert wait_until(lambda: taken(node, "alone").get("prompts") == 3)
    assert wait_until(
        lambda: node.json("agents", "usage", "alone", "--since", "1m")[0]["points"], 30
    )
    assert node.cli("agents", "usage", "nobody", check=False).returncode == 3


async def test_a_face_receives_usage_while_it_wants_it(node: Node, tmp_path: Path) -> None:
    await asyncio.to_thread(deploy, node, tmp_path, "other")
    async with node.client() as client:
        live = LiveMesh(client)
        following = asyncio.create_task(live.follow())
        subscribed = client.bus.nc._subs

        def receives() -> bool:
            return any(sub.subject == subjects.ALL_USAGE for sub in subscribed.values())

        try:
            await eventually(lambda: live.view.complete)
            assert not receives()
            with live.wanting_usage():
                await eventually(lambda: ("other", "0") in live.view.usage)
                assert receives()
            await eventually(lambda: not receives())
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
