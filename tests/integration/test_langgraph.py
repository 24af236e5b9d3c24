"""LangGraph on a node: threads, kill and resume, interrupts, state from outside, the graph."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes.chains import ALL, DONE, Place
from fakes.node import Node, eventually
from sparkplug.client import agents, cancelling, node_orders, prompts, questions, threads
from sparkplug.client.session import Client
from sparkplug.schema.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    SparkplugError,
    WaitingError,
)

_DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    found = Place(folder)
    try:
        found.node.up()
        found.deploy("chain")
        found.deploy("chain-sqlite", checkpoints="sqlite")
        found.deploy("chain-none", checkpoints="none")
        yield found
    finally:
        found.node.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def client(place: Place) -> AsyncIterator[Client]:
    place.go()
    async with place.node.client() as connected:
        yield connected


async def ask(client: Client, agent: str, text: str, thread: str = "") -> str:
    async def ready() -> Any:
        with contextlib.suppress(SparkplugError):
            return await agents.target(client, agent)
        return None

    target = await eventually(ready, _DEADLINE_S)
    stream = prompts.prompt(client, target, text, thread=thread, deadline=_DEADLINE_S)
    return await prompts.answer(stream)


async def pid_of(client: Client, agent: str) -> int:
    found = await agents.list_agents(client)
    pid = next(one.pid for one in found if one.name == agent)
    assert pid is not None
    return pid


async def steps(client: Client, agent: str) -> list[str]:
    hands = await cancelling.in_hand(client, agent)
    return [step for one in hands for request in one.requests or () for step in request.steps]


@pytest.mark.parametrize("agent", ["chain", "chain-sqlite"])
async def test_killed_in_mid_graph_it_goes_on_and_runs_no_finished_node_again(
    place: Place, client: Client, agent: str
) -> None:
    for number in range(3):
        what, thread = f"{agent}-{number}", f"kill {number}"
        place.go(on=False)
        asking = asyncio.create_task(ask(client, agent, what, thread))

        async def slow_runs() -> bool:
            return "slow" in await steps(client, agent)

        await eventually(slow_runs, _DEADLINE_S)
        pid = await pid_of(client, agent)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(SparkplugError, match=r"restarted|ended|SIGKILL"):
            await asking
        place.go()
        answer = await ask(client, agent, what, thread)
        assert answer.split() == DONE[:-1]
        assert place.ran(what) == ALL
        assert not psutil.pid_exists(pid)


@pytest.mark.slow
async def test_killed_on_one_host_it_goes_on_on_another(place: Place, client: Client) -> None:
    env = await asyncio.to_thread(place.node.json, "env")
    other = Node(
        place.folder / "other",
        {
            "SPARKPLUG_NODE_NAME": "other",
            "SPARKPLUG_NATS_URL": env["NATS_URL"],
            "SPARKPLUG_NATS_CREDS": env["NATS_CREDS"],
        },
    )
    try:
        await asyncio.to_thread(other.up)
        place.go(on=False)
        await asyncio.to_thread(place.deploy, "wanderer")
        asking = asyncio.create_task(ask(client, "wanderer", "wander", "far"))

        async def slow_runs() -> bool:
            return "slow" in await steps(client, "wanderer")

        await eventually(slow_runs, _DEADLINE_S)
        (before,) = [a for a in await agents.list_agents(client) if a.name == "wanderer"]
        assert before.host is not None
        assert before.pid is not None
        await node_orders.drain(client, before.host)
        os.kill(before.pid, signal.SIGKILL)
        with pytest.raises(SparkplugError, match=r"restarted|ended|SIGKILL|removed"):
            await asking

        async def moved() -> bool:
            found = [a for a in await agents.list_agents(client) if a.name == "wanderer"]
            return bool(found) and found[0].host != before.host and found[0].takes_prompts

        await eventually(moved, _DEADLINE_S)
        place.go()
        assert (await ask(client, "wanderer", "wander", "far")).split() == DONE[:-1]
        assert place.ran("wander") == ALL
    finally:
        for host in (place.node.json("status")["node"]["name"], "other"):
            await node_orders.uncordon(client, host)
        await asyncio.to_thread(place.node.cli, "agents", "remove", "wanderer", "--yes")
        await asyncio.to_thread(other.close)


async def test_the_graph_is_drawn_with_what_runs(place: Place, client: Client) -> None:
    graph = await threads.graph(client, "chain")
    assert graph is not None
    names = {node.id for node in graph.nodes}
    assert {"__start__", "first", "under:inner", "slow", "ask", "last", "__end__"} <= names
    assert ("first", "under:inner") in {(edge.source, edge.target) for edge in graph.edges}
    place.go(on=False)
    asking = asyncio.create_task(ask(client, "chain", "drawn", "drawn"))

    async def slow_runs() -> bool:
        return await steps(client, "chain") == ["slow"]

    await eventually(slow_runs, _DEADLINE_S)
    with pytest.raises(ConflictError, match="at work"):
        await threads.update(client, "chain", "drawn", {"text": "x"})
    place.go()
    await asking
    assert set(ALL) - names <= {"inner", "unasked"}


async def test_two_interrupts_are_two_questions_over_every_process_restarted(
    place: Place, client: Client
) -> None:
    with pytest.raises(WaitingError) as told:
        await ask(client, "chain", "please ask", "asked")
    (first,) = told.value.questions
    with pytest.raises(WaitingError) as again:
        await ask(client, "chain", "please ask", "asked")
    assert again.value.questions == [first]
    with pytest.raises(ConflictError, match="waits for a person"):
        await ask(client, "chain", "something else", "asked")
    with pytest.raises(InvalidError, match="approve or reject"):
        await questions.answer(client, first, "perhaps")
    os.kill(await pid_of(client, "chain"), signal.SIGKILL)
    await questions.decide(client, first, True)

    async def second() -> str:
        return (await questions.describe(client, first)).next

    following = await eventually(second, _DEADLINE_S)
    assert (await questions.describe(client, following)).text == "Under which name?"
    await questions.answer(client, following, "Ada")
    async with asyncio.timeout(_DEADLINE_S):
        outcome = await questions.outcome(client, first)
    assert outcome == "True Ada first first inner slow asked"
    assert place.ran("please ask") == ["first", "inner", "slow", "asked", "last"]


async def test_a_withdrawn_question_fails_what_waits_for_it(client: Client) -> None:
    with pytest.raises(WaitingError) as told:
        await ask(client, "chain", "ask in vain", "vain")
    await questions.withdraw(client, told.value.questions[0])
    async with asyncio.timeout(_DEADLINE_S):
        with pytest.raises(SparkplugError, match="withdrawn by"):
            await questions.outcome(client, told.value.questions[0])
    # The thread is free again.
    assert (await ask(client, "chain", "go", "vain")).endswith("first inner slow unasked")


async def test_the_state_of_a_thread_is_read_and_changed_from_outside(client: Client) -> None:
    await ask(client, "chain", "outside", "told")
    state = await threads.state(client, "chain", "told")
    assert state.values["done"] == DONE
    assert state.next == []
    history = await threads.history(client, "chain", "told")
    assert [one.next for one in history][:3] == [[], ["last"], ["ask"]]
    before = next(one for one in history if one.next == ["ask"])
    changed = await threads.update(
        client, "chain", "told", {"done": ["by hand"]}, checkpoint=before.checkpoint, as_node="slow"
    )
    assert changed.values["done"] == [*DONE[:4], "by hand"]
    assert changed.next == ["ask"]
    listed = [one.thread for one in await threads.list_threads(client, "chain")]
    assert listed[0] == "told"
    with pytest.raises(InvalidError, match="no_such_node"):
        await threads.update(client, "chain", "told", {"text": "x"}, as_node="no_such_node")
    with pytest.raises(NotFoundError, match="no thread nowhere"):
        await threads.state(client, "chain", "nowhere")
    await threads.forget(client, "chain", "told")
    with pytest.raises(NotFoundError):
        await threads.state(client, "chain", "told")


async def test_without_checkpoints_there_are_no_threads(client: Client) -> None:
    assert (await ask(client, "chain-none", "none", "x")).split() == DONE[:-1]
    with pytest.raises(NotFoundError, match="no checkpoints"):
        await threads.list_threads(client, "chain-none")


def test_the_verbs(place: Place) -> None:
    place.go()
    node = place.node
    node.cli("prompt", "chain", "by verb", "--thread", "verbs")
    assert node.json("threads", "get", "chain", "verbs")["values"]["done"] == DONE
    node.cli("threads", "set", "chain", "verbs", "--value", "text=changed", "--as-node", "last")
    assert node.json("threads", "history", "chain", "verbs")[0]["values"]["text"] == "changed"
    assert "○ slow → ask" in node.cli("agents", "graph", "chain").stdout
    refused = node.cli("prompt", "chain", "ask the verbs", check=False)
    assert refused.returncode == 1
    assert "waits for a person" in refused.stderr
    (asked,) = [q for q in node.json("questions", "list") if "ask the verbs" in q["text"]]
    more = ("--note", "fine", "--wait")
    approved = node.cli("questions", "approve", asked["id"], *more, check=False)
    assert approved.returncode == 1
    assert "Under which name?" in approved.stderr
    (second,) = [q for q in node.json("questions", "list") if q["subject"]["agent"] == "chain"]
    done = node.cli("questions", "answer", second["id"], "Grace", "--wait")
    assert done.stdout.strip() == "True Grace first first inner slow asked"
