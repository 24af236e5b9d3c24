"""The observer on a real node: what agents say, what they wait for, and who asks to see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.node import Node, eventually, wait_until
from sparkplug.bus import synadia
from sparkplug.client import agents, events
from sparkplug.client.session import Client
from sparkplug.client.tap import TapFilter, tap
from sparkplug.client.topology import read_topology
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.tap import TappedMessage
from sparkplug.schema.topology import Topology, TopologyEdge

_DEADLINE_S = 60.0

#: Asks the agent it is told to, which asks the next, and so on; or all others; or one that fails.
RING = """\
import contextlib


async def handle(ctx, request):
    names = request.text.split()
    if names == ["end"]:
        return "done"
    if names == ["fail"]:
        raise RuntimeError("no")
    if names[0] == "all":
        return str(sum(reply.ok for reply in await ctx.broadcast("end")))
    if names[0] == "often":
        for _ in range(20):
            with contextlib.suppress(Exception):
                await ctx.ask(names[1], "fail")
        return "done"
    return await ctx.ask(names[0], " ".join(names[1:]) or "end")
"""


@pytest.fixture(scope="module")
def ring() -> Iterator[Node]:
    """A node with three agents that ask whom they are told to, one request at a time."""
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    node = Node(folder / "state", {"SPARKPLUG_NODE_NAME": "north"})
    try:
        node.up()
        files = [
            node.write_agent(
                folder / "agents",
                name,
                RING,
                concurrency=1,
                placement={"hosts": "north"},
                labels={"group": group},
            )
            for name, group in (("alpha", "outer"), ("beta", "inner"), ("gamma", "outer"))
        ]
        for file in files:
            node.cli("agents", "deploy", str(file))
        yield node
    finally:
        node.close()
        shutil.rmtree(folder, ignore_errors=True)


async def _ask(client: Client, name: str, text: str) -> str:
    target = await agents.target(client, name)
    synadia.use_inbox(client.bus.inbox_prefix)
    parts = []
    async with contextlib.aclosing(synadia.prompt(client.bus, target, text)) as chunks:
        async for chunk in chunks:
            if hasattr(chunk, "text"):
                parts.append(chunk.text)
    return "".join(parts)


async def test_a_planted_ring_of_waits_is_named_with_what_each_waits_for(ring: Node) -> None:
    async with ring.client() as client:
        asked = asyncio.create_task(_ask(client, "alpha", "beta gamma alpha beta"))
        try:

            async def named() -> object:
                return (await read_topology(client)).rings

            (found,) = await eventually(named, _DEADLINE_S)
            assert found.certain
            assert found.agents == ["alpha/0", "beta/0", "gamma/0"]
            assert [(w.from_, w.to, w.action) for w in found.waits] == [
                ("alpha/0", "beta/0", "prompt"),
                ("beta/0", "gamma/0", "prompt"),
                ("gamma/0", "alpha/0", "prompt"),
            ]

            async def told() -> object:
                return [
                    e
                    for e in await events.read_events(client, since=600)
                    if e.name == "agent:deadlocked"
                ]

            (event,) = await eventually(told, _DEADLINE_S)
            assert event.data["agents"] == ["alpha/0", "beta/0", "gamma/0"]
            talk = ring.cli("topology").stderr
            assert "a deadlock: alpha/0 waits for beta/0 to prompt" in talk
            ring.cli("agents", "cancel", "gamma", "--all", "--yes")
        finally:
            with contextlib.suppress(SparkplugError):
                async with asyncio.timeout(_DEADLINE_S):
                    await asked

        async def over() -> bool:
            graph = await read_topology(client)
            return not graph.rings and not any(node.queue_depth for node in graph.nodes)

        assert await eventually(over, _DEADLINE_S)


async def test_counts_are_those_of_who_spoke(ring: Node) -> None:
    async with ring.client() as client:
        before = {(e.from_, e.to): e for e in (await read_topology(client)).edges}
        for _ in range(20):
            assert await _ask(client, "alpha", "beta gamma") == "done"

        async def counted() -> bool:
            edges = {(e.from_, e.to): e for e in (await read_topology(client)).edges}
            pairs = [("alpha", "beta"), ("beta", "gamma")]
            now = {pair: edges[pair].messages for pair in pairs if pair in edges}
            then = {pair: before[pair].messages if pair in before else 0 for pair in pairs}
            return [now.get(pair, 0) - then[pair] for pair in pairs] == [20, 20] and all(
                edges[pair].latency_p95_ms for pair in pairs
            )

        assert await eventually(counted, _DEADLINE_S)
        graph = await read_topology(client)
        assert graph.observer
        assert graph.since is not None
        assert not graph.gaps


async def _edges(client: Client) -> dict[tuple[str, str], TopologyEdge]:
    return {(edge.from_, edge.to): edge for edge in (await read_topology(client)).edges}


async def test_what_is_said_to_all_is_one_message_to_a_hub_and_one_from_it_to_each(
    ring: Node,
) -> None:
    async with ring.client() as client:
        before = await _edges(client)
        assert await _ask(client, "alpha", "all") == "2"

        async def counted() -> bool:
            now = await _edges(client)
            grown = {
                pair: edge.messages - (before[pair].messages if pair in before else 0)
                for pair, edge in now.items()
            }
            grown = {pair: count for pair, count in grown.items() if count}
            wanted = {("alpha", "@all"), ("@all", "beta"), ("@all", "gamma")}
            return {pair for pair in grown if "@all" in pair} == wanted and all(
                grown[pair] == 1 for pair in wanted
            )

        assert await eventually(counted, _DEADLINE_S)
        edges = await _edges(client)
        assert ("alpha", "gamma") not in edges, "it is drawn by way of the hub alone"

        async def timed() -> bool:
            # What is read in one go with its question has no latency: then it is asked again.
            if (await _edges(client))["@all", "beta"].latency_p95_ms is not None:
                return True
            await _ask(client, "alpha", "all")
            return False

        assert await eventually(timed, _DEADLINE_S)
        graph = await read_topology(client)
        assert {node.kind for node in graph.nodes if node.name == "@all"} == {"group"}


async def test_a_tap_shows_what_was_asked_for_without_secrets(ring: Node) -> None:
    async with ring.client() as client:
        seen: list[TappedMessage] = []
        opened = asyncio.Event()

        async def look() -> None:
            stream = tap(client, TapFilter(from_="alpha", to="beta"), max_bytes=40)
            async with contextlib.aclosing(stream) as messages:
                async for message in messages:
                    opened.set()
                    seen.append(message)

        looking = asyncio.create_task(look())
        async with asyncio.timeout(_DEADLINE_S):
            await opened.wait()
        with pytest.raises(SparkplugError, match="no agent"):
            await _ask(client, "alpha", "beta gamma token=abcdefghijkl")
        assert await eventually(lambda: any(m.kind == "error" for m in seen), _DEADLINE_S)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        told = [m for m in seen if m.kind != "open"]
        assert {(m.from_, m.to) for m in told} == {("alpha", "beta"), ("beta", "alpha")}
        request = next(m for m in told if m.kind == "request")
        assert request.text == "gamma token=[redacted]"
        assert request.redacted == 1
        assert "abcdefghijkl" not in "".join(m.text for m in told)
        taps = [
            e
            for e in await events.read_events(client, since=600)
            if e.name == "agent:tapped" and e.data.get("to") == "beta"
        ]
        assert taps[0].actor == client.actor


def test_the_verb_shows_messages_and_ends_cleanly(ring: Node) -> None:
    process = subprocess.Popen(
        ring.command(
            "-m", "sparkplug", "tap", "--match", "gamma|done", "--agent", "gamma", "--json"
        ),
        env=ring.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    try:
        # Nothing says when it is open; what was said before is not shown.
        speaking = wait_until(lambda: _spoken(ring, process, lines), _DEADLINE_S)
        assert speaking
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=_DEADLINE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    message = json.loads(lines[0])
    assert {"kind", "time", "from", "to", "subject", "action", "text", "bytes"} <= set(message)
    assert "gamma" in (message["from"], message["to"])


def _spoken(ring: Node, process: subprocess.Popen[str], lines: list[str]) -> bool:
    import select

    ring.cli("prompt", "beta", "gamma end")
    assert process.stdout is not None
    if select.select([process.stdout], [], [], 0.2)[0]:
        lines.append(process.stdout.readline())
    return bool(lines)


def test_a_tap_with_a_bad_filter_is_refused(ring: Node) -> None:
    wrong = ring.cli("tap", "--match", "(", check=False)
    assert wrong.returncode == 2
    assert "is no expression" in wrong.stderr
    wrong = ring.cli("tap", "--subject", "a..b", check=False)
    assert wrong.returncode == 2
    assert "not a subject" in wrong.stderr
    assert ring.cli("tap", "--for", "1s", "--match", "nothing says this").stdout == ""


def test_messages_are_sent_to_one_to_a_group_and_on_a_topic(ring: Node) -> None:
    assert ring.cli("send", "alpha", "end").stdout == "alpha/0: told\n"
    told = json.loads(ring.cli("send", "all", "end", "--json").stdout)
    assert sorted(told["taken"]) == ["alpha/0", "beta/0", "gamma/0"]
    told = json.loads(ring.cli("send", "group:outer", "end", "--json").stdout)
    assert sorted(told["taken"]) == ["alpha/0", "gamma/0"]
    assert "topic builds.done: told" in ring.cli("send", "topic:builds.done", '{"ok": 1}').stdout
    for words, code, why in (
        (("nobody", "hi"), 3, "no agent nobody"),
        (("capability:none", "hi"), 3, "no agent of capability none"),
        (("group:none", "hi"), 3, "no agent of group none"),
        (("team:x", "hi"), 2, "names no group"),
        (("topic:$SYS.>", "hi"), 2, "is no topic"),
        (("--readonly", "alpha", "hi"), 4, "readonly"),
    ):
        wrong = ring.cli("send", *words, check=False)
        assert wrong.returncode == code, (words, wrong.stderr)
        assert why in wrong.stderr
    assert wait_until(
        lambda: any(e["to"] == "#builds.done" for e in ring.json("topology")["edges"]),
        _DEADLINE_S,
    )


async def test_a_circuit_breaker_that_opened_is_seen(ring: Node) -> None:
    async with ring.client() as client:
        assert await _ask(client, "gamma", "often beta") == "done"

        async def opened() -> object:
            edge = (await _edges(client)).get(("gamma", "beta"))
            return edge is not None and edge.breaker != "closed"

        assert await eventually(opened, _DEADLINE_S)
        (one,) = (await read_topology(client)).breakers
        assert (one.from_, one.to, one.failures) == ("gamma/0", "beta/0", 5)
    talk = ring.cli("topology")
    assert "gamma/0 leaves beta/0 alone: its circuit breaker is" in talk.stderr
    assert "beta/0 is left alone" in ring.cli("agents", "describe", "gamma").stdout


async def test_another_node_observes_when_the_one_that_did_dies(ring: Node, tmp_path: Path) -> None:
    env = ring.json("env")
    other = Node(
        tmp_path / "state",
        {
            "SPARKPLUG_NODE_NAME": "south",
            "SPARKPLUG_NATS_URL": env["NATS_URL"],
            "SPARKPLUG_NATS_CREDS": env["NATS_CREDS"],
        },
    )
    try:
        other.up()
        async with other.client() as client:
            before = await read_topology(client)
            assert before.observer == "north"
            # Held first: either of the two would start the other again.
            pids = [int(ring.run_file(file)["pid"]) for file in ("node.json", "parent.json")]
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    os.kill(pid, number)

            async def taken() -> Topology | None:
                with contextlib.suppress(SparkplugError):
                    graph = await read_topology(client)
                    return graph if graph.observer == "south" else None
                return None

            after: Topology = await eventually(taken, _DEADLINE_S)
            assert after.since and before.since
            assert after.since > before.since, "it says from when on it has counted"
            assert await _ask(client, "alpha", "beta gamma") == "done"

            async def counted() -> bool:
                edges = await _edges(client)
                pairs = [("alpha", "beta"), ("beta", "gamma")]
                return [edges[pair].messages for pair in pairs if pair in edges] == [1, 1]

            assert await eventually(counted, _DEADLINE_S)
    finally:
        ring.up()
        other.close()
