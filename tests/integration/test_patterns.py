"""How agents speak to each other, on a real node: each pattern a few lines of an agent."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.node import Node, wait_until
from sparkplug.bus import synadia as wire
from sparkplug.client import agents as client_agents
from sparkplug.client import prompts
from sparkplug.schema.errors import InvalidError, RefusedError, SparkplugError

_LONG_S = 90.0

#: Does what it is told; writes what happens to it into its folder.
WORKER = """
import asyncio
import pathlib

HERE = pathlib.Path(__file__).parent


def note(ctx, word):
    with open(HERE / "notes", "a") as file:
        file.write(f"{ctx.agent} {word}\\n")


async def handle(ctx, request):
    word, _, rest = request.text.partition(" ")
    if request.action == "trail":
        return {"correlation": ctx.correlation, "causation": ctx.causation,
                "trace": ctx.traceparent, "left": ctx.deadline}
    if word == "hang":
        note(ctx, "begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            note(ctx, "cancelled")
            raise
    if word == "pass":
        return await ctx.ask(rest.split()[0], " ".join(rest.split()[1:]), timeout=30)
    if word == "fail":
        raise RuntimeError("broken")
    if word == "loop":
        return await ctx.ask("left" if ctx.agent == "right" else "right", "loop")
    if word == "deeper":
        # Something is changed each time: no loop, and too long all the same.
        to = "left" if ctx.agent == "right" else "right"
        return await ctx.ask(to, f"deeper {int(rest) + 1}")
    if word == "noted":
        note(ctx, rest)
    return f"{ctx.agent}: {request.text}"
"""

BOSS = """
import asyncio

from sparkplug.agents import Job, action, on


class Boss:
    heard = []

    @action
    async def stream(self, ctx) -> list[str]:
        return [piece async for piece in ctx.stream("teller", "x")]

    @action
    async def gather(self, ctx) -> list:
        replies = await ctx.delegate(["left", "right", Job("left", "fail")], "hello")
        return sorted(r.answer or f"error {r.error.message}" for r in replies)

    @action
    async def first(self, ctx) -> list:
        jobs = [Job("left", "hang"), Job("right", "quick")]
        return [r.answer for r in await ctx.delegate(jobs, want="first") if r.ok]

    @action
    async def quorum(self, ctx, bad: int) -> int:
        jobs = [Job("left", "fail")] * bad + [Job("right", "yes")] * (5 - bad)
        return sum(r.ok for r in await ctx.delegate(jobs, want=3))

    @action
    async def everybody(self, ctx, group: str = "", capability: str = "") -> list:
        replies = await ctx.broadcast(
            "all", group=group or None, capability=capability or None
        )
        return sorted(r.agent for r in replies if r.ok)

    @action
    async def tell(self, ctx) -> str:
        return await ctx.tell("left", "noted told")

    @action
    async def trail(self, ctx) -> list:
        mine = {"correlation": ctx.correlation, "trace": ctx.traceparent}
        return [mine, await ctx.ask("left", action="trail", timeout=20)]

    @action
    async def expect(self, ctx, topic: str, count: int) -> list:
        found = []
        async for said in ctx.on(topic, timeout=20):
            found.append([said.agent, said.topic, said.data])
            if len(found) == count:
                break
        return found

    @on("news.>")
    async def news(self, ctx, said):
        self.heard.append([said.agent, said.topic, said.data])

    @action
    async def what_was_heard(self, ctx) -> list:
        return self.heard

    @action
    async def queue(self, ctx) -> list:
        key = await ctx.tasks.submit("work", "by task", key="only")
        bad = await ctx.tasks.submit("work", "fail", tries=1)
        try:
            await ctx.tasks.result(bad, 20)
            why = ""
        except Exception as error:
            why = error.message
        return [await ctx.tasks.result(key, 20), why]

    @action
    async def not_mine(self, ctx, task: str) -> str:
        try:
            return await ctx.tasks.result(task, 5)
        except Exception as error:
            return error.message
"""

TELLER = """
async def handle(ctx, request):
    for word in ("one", "two", "three"):
        yield word
"""

SPEAKER = """
async def handle(ctx, request):
    for number in range(3):
        await ctx.publish(request.text, {"n": number})
    return "said"
"""


@pytest.fixture(scope="module")
def talkers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Path]]:
    """A node with agents that speak to each other."""
    folder = tmp_path_factory.mktemp("talk")
    node = Node(folder / "state")
    node.up()
    try:
        agents = folder / "agents"
        for name, group in (("left", "a"), ("right", "b")):
            node.write_agent(
                agents, name, WORKER, labels={"group": group}, capabilities=["work"], concurrency=20
            )
        node.write_agent(agents, "teller", TELLER, labels={"group": "a"})
        node.write_agent(agents, "speaker", SPEAKER)
        (agents / "boss_module.py").write_text(BOSS)
        (agents / "boss.yaml").write_text("name: boss\nentrypoint: boss_module:Boss\n")
        node.cli("apply", str(agents))
        for name in ("boss", "left", "right", "speaker", "teller"):
            node.cli("wait", f"agent/{name}", "--for", "ready")
        yield node, agents
    finally:
        node.close()


def asked(node: Node, agent: str, text: str, action: str = "", **given: Any) -> Any:
    """What an agent answers; raises as its caller is told."""

    async def ask() -> Any:
        async with node.client() as client:
            target = await client_agents.target(client, agent)
            wire.use_inbox(client.bus.inbox_prefix)
            if action:
                return await wire.call(client.bus, target, action, given, deadline=60)
            chunks = prompts.prompt(client, target, text, deadline=60)
            return await prompts.answer(chunks)

    return asyncio.run(ask())


def boss(node: Node, action: str, **given: Any) -> Any:
    """What the boss answers."""
    return asked(node, "boss", "", action, **given)


def notes(agents: Path) -> list[str]:
    """What happened to the workers."""
    path = agents / "notes"
    return path.read_text().splitlines() if path.exists() else []


def test_an_answer_streams(talkers: tuple[Node, Path]) -> None:
    assert boss(talkers[0], "stream") == ["one", "two", "three"]


def test_sub_agents_work_at_once(talkers: tuple[Node, Path]) -> None:
    node, agents = talkers
    assert boss(node, "gather") == [
        "error RuntimeError: broken",
        "left: hello",
        "right: hello",
    ]
    before = notes(agents).count("left cancelled")
    assert boss(node, "first") == ["right: quick"]
    assert wait_until(lambda: notes(agents).count("left cancelled") == before + 1, _LONG_S)
    assert boss(node, "quorum", bad=2) >= 3
    with pytest.raises(SparkplugError, match="of 5 answered, 3 were wanted"):
        boss(node, "quorum", bad=3)


def test_a_broadcast_reaches_who_is_meant(talkers: tuple[Node, Path]) -> None:
    node, _ = talkers
    assert boss(node, "everybody") == ["left", "right", "speaker", "teller"]
    assert boss(node, "everybody", group="a") == ["left", "teller"]
    assert boss(node, "everybody", capability="work") == ["left", "right"]
    assert boss(node, "everybody", group="nobodys") == []


def test_telling_waits_for_no_answer(talkers: tuple[Node, Path]) -> None:
    node, agents = talkers
    assert boss(node, "tell") == "left"
    assert wait_until(lambda: "left told" in notes(agents), _LONG_S)


def test_a_cancel_reaches_the_children_of_children(talkers: tuple[Node, Path]) -> None:
    node, agents = talkers
    before = notes(agents).count("left cancelled")
    begun = notes(agents).count("left begun")
    with subprocess.Popen(
        node.command("-m", "sparkplug", "prompt", "right", "pass left hang"),
        env=node.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as caller:
        assert wait_until(lambda: notes(agents).count("left begun") == begun + 1, _LONG_S)
        node.cli("agents", "cancel", "right", "--yes")
        assert wait_until(lambda: notes(agents).count("left cancelled") == before + 1, _LONG_S)
        assert caller.wait(_LONG_S) == 1


def test_a_deadline_reaches_the_children(talkers: tuple[Node, Path]) -> None:
    node, agents = talkers
    before = notes(agents).count("left cancelled")
    begun = notes(agents).count("left begun")
    for seconds in (1, 5, 25):  # on a busy host its time may be over before it is there
        done = node.cli("prompt", "right", "pass left hang", f"--timeout={seconds}s", check=False)
        assert done.returncode == 124
        if notes(agents).count("left begun") > begun:
            break
    assert wait_until(lambda: notes(agents).count("left cancelled") == before + 1, _LONG_S)


def test_a_loop_and_a_long_chain_are_refused(talkers: tuple[Node, Path]) -> None:
    node, _ = talkers
    with pytest.raises(RefusedError, match="a loop: right was asked the same before"):
        asked(node, "left", "loop")
    with pytest.raises(RefusedError, match="has passed 16 agents"):
        asked(node, "left", "deeper 1")


def test_a_chain_has_one_trace(talkers: tuple[Node, Path]) -> None:
    mine, theirs = boss(talkers[0], "trail")
    assert theirs["correlation"] == mine["correlation"]
    assert theirs["causation"]
    assert theirs["trace"].split("-")[1] == mine["trace"].split("-")[1]
    assert theirs["trace"].split("-")[2] != mine["trace"].split("-")[2]
    assert 0 < theirs["left"] <= 20


def test_what_is_published_is_heard(talkers: tuple[Node, Path]) -> None:
    node, _ = talkers
    asked(node, "speaker", "news.local")
    asked(node, "speaker", "other.news")
    expected = [["speaker", "news.local", {"n": n}] for n in range(3)]
    assert wait_until(lambda: sorted(boss(node, "what_was_heard"), key=str) == expected, _LONG_S)
    with pytest.raises(InvalidError, match="'no topic' is no topic"):
        asked(node, "speaker", "no topic")


def test_an_agent_hands_in_tasks_and_sees_its_own(talkers: tuple[Node, Path]) -> None:
    node, _ = talkers
    done, why = boss(node, "queue")
    assert done in ("left: by task", "right: by task")
    assert "RuntimeError: broken" in why
    mine = node.cli("tasks", "submit", "work", "mine", "-o", "name").stdout.strip()
    assert "of yours" in boss(node, "not_mine", task=mine)
    (dead,) = [t for t in node.json("tasks", "dead") if t["error"] == "RuntimeError: broken"]
    assert dead["by"] == "boss/0"
