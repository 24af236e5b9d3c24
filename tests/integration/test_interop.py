"""The Synadia Agent Protocol in both directions, by its stock SDKs in unrelated processes."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fakes.node import Node, wait_until

CALLER = """
import asyncio, json, sys
import nats
from synadia_ai.agents import Agents, ResponseChunk


async def main(url, creds):
    nc = await nats.connect(url, user_credentials=creds)
    agents = Agents(nc=nc)
    await agents.start_tracking()
    found = await agents.discover(timeout=1.5)
    report = {}

    async def try_out(agent):
        beat = asyncio.Event()
        agents.on_heartbeat(agent.instance_id, lambda payload: beat.set())
        text, statuses = "", []
        async for chunk in agent.prompt("In one line: how is this host?", timeout=60):
            if isinstance(chunk, ResponseChunk):
                text += chunk.text
            else:
                statuses.append(chunk.status)
        await asyncio.wait_for(beat.wait(), 10)
        report[agent.agent] = {
            "text": text,
            "statuses": statuses,
            "session": agent.session_name,
            "protocol": agent.protocol_version,
            "status": (await agent.status()).agent,
        }

    await asyncio.gather(*map(try_out, found))
    print(json.dumps(report))
    await agents.close()
    await nc.close()


asyncio.run(main(*sys.argv[1:]))
"""

HOST = """
import asyncio, sys
import nats
from synadia_ai.agent_service import AgentService


async def echo(envelope, stream):
    await stream.send("foreign ")
    await stream.send(f"echo: {envelope.prompt}")


async def main(url, creds):
    nc = await nats.connect(url, user_credentials=creds)
    service = AgentService(
        agent="cc", owner="ana", session_name="laptop", nc=nc, description="somebody else's"
    )
    service.on_prompt(echo)
    await service.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
"""


def access(node: Node) -> tuple[str, str]:
    """URL and credentials as `sparkplug env` gives them to any NATS client."""
    exports = dict(
        line.removeprefix("export ").split("=", 1)
        for line in node.cli("env").stdout.splitlines()
        if line.startswith("export ")
    )
    return exports["NATS_URL"].strip("'\""), exports["NATS_CREDS"].strip("'\"")


@pytest.mark.slow
def test_the_stock_client_finds_prompts_and_hears_the_demo_agents(node: Node) -> None:
    agents = Path(__file__).resolve().parents[2] / "config" / "agents"
    for name in ("sentinel", "scribe", "critic"):
        node.cli("agents", "deploy", str(agents / f"{name}.yaml"))
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CALLER), *access(node)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert set(report) == {"sentinel", "scribe", "critic"}
    for name, seen in report.items():
        assert seen["text"].strip(), name
        assert "ack" in seen["statuses"]
        assert seen["protocol"] == "0.3"
        assert seen["session"] == "0"
        assert seen["status"] == name


def test_a_foreign_agent_appears_and_answers(node: Node) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOST), *access(node)],
        stdout=subprocess.PIPE,
        text=True,
    ) as host:
        try:
            assert host.stdout is not None
            assert host.stdout.readline().strip() == "ready"

            def row() -> dict[str, object]:
                rows = [r for r in node.json("agents", "list") if r["name"] == "cc"]
                return rows[0] if rows else {}

            assert wait_until(row)
            assert row()["foreign"] is True
            assert row()["owner"] == "ana"
            assert row()["replica"] == "laptop"
            assert node.cli("prompt", "cc", "hi").stdout.strip() == "foreign echo: hi"
            refused = node.cli("agents", "restart", "cc", "--yes", check=False)
            assert refused.returncode in (3, 4)
            edges = node.json("topology")["edges"]
            assert wait_until(
                lambda: any(e["to"] == "cc" for e in node.json("topology")["edges"])
            ), edges
        finally:
            host.kill()


def test_an_agent_cannot_serve_as_another_nor_read_the_control_plane(
    node: Node, tmp_path: Path
) -> None:
    code = textwrap.dedent("""
        import asyncio


        async def handle(ctx, request):
            nc = ctx._bus.nc
            refused = []
            old = nc._error_cb

            async def on_error(error):
                refused.append(str(error))

            nc._error_cb = on_error
            for subject in (
                "agents.prompt.other.root.0",
                "_INBOX.sp.agent.other=0.>",
                "_INBOX.>",
                "$KV.>",
                "sparkplug.>",
                "$JS.>",
            ):
                await nc.subscribe(subject)
            for subject in (
                "$KV.sparkplug-specs.other",
                "sparkplug.state.other.0",
                "agents.hb.other.root.0",
                "$JS.API.STREAM.LIST",
                "sparkplug.event.agent.ready.x",
            ):
                await nc.publish(subject, b"forged")
            await nc.flush()
            await asyncio.sleep(0)
            async with asyncio.timeout(60):
                while len(refused) < 11:
                    await asyncio.sleep(0.02)
            nc._error_cb = old
            return {"refused": len(refused)}
    """)
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "prowler", code)))
    answer = json.loads(node.cli("prompt", "prowler", "try everything").stdout)
    assert answer == {"refused": 11}
