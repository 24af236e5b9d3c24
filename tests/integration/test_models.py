"""Models on a real node: agents think with a local model and a named one, and all is accounted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from fakes.node import Node, eventually
from fakes.openai_server import OpenAiServer, Reply, openai_server
from fakes.tiny_model import REPLIES, make_tiny_model
from sparkplug.client import agents, prompts
from sparkplug.client import models as room
from sparkplug.client.events import read_events
from sparkplug.client.readiness import wait_ready
from sparkplug.client.session import Client
from sparkplug.client.usage import read_usage
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.errors import NotFoundError, SparkplugError
from sparkplug.schema.llm import ModelState, ModelUsage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KEY = "sk-not-to-be-seen-anywhere-1234567890"

THINKER = """\
from sparkplug.llm.port import Tool

async def handle(ctx, request):
    model = ctx.llm
    if request.action == "whole":
        answer = await model.answer(request.input["ask"])
        yield {"text": answer.text, "model": answer.model, "out": answer.usage.tokens_out,
                "in": answer.usage.tokens_in, "estimated": answer.usage.estimated}
    elif request.action == "tool":
        schema = {"type": "object", "properties": {"a": {}, "b": {}}}
        answer = await model.answer("add one and two", tools=[Tool("add", "adds", schema)])
        yield {"calls": [[c.name, c.arguments] for c in answer.calls]}
    elif request.action == "count":
        from sparkplug.llm.port import Message
        tokens = await model.count([Message("user", "count to five")])
        yield {"number": tokens.number, "exact": tokens.exact}
    else:
        async for piece in ctx.llm.stream(request.text):
            yield piece
"""

GRAPH = """\
from langgraph.graph import END, START, MessagesState, StateGraph
from sparkplug.llm.langchain import SparkplugChatModel

thinking = SparkplugChatModel()

async def think(state):
    return {"messages": [await thinking.ainvoke(state["messages"])]}

made = StateGraph(MessagesState)
made.add_node("think", think)
made.add_edge(START, "think")
made.add_edge("think", END)
graph = made.compile()
"""

CREW = """\
agents:
  teller: {role: Teller, goal: tell, backstory: Short.}
tasks:
  tell: {description: "{prompt}", expected_output: text, agent: teller}
"""


#: A crew's words are many: a model learns of few of its questions.
TOLD_TO_CREWS = ["what is your name?", "say it long"]


class Serving:
    """A scripted server in a thread: the tests drive a node by processes and block."""

    def __init__(self, *replies: Reply) -> None:
        self.server: OpenAiServer
        self._ready = threading.Event()
        self._replies = replies
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(30)

    def _run(self) -> None:
        async def serve() -> None:
            async with openai_server(*self._replies) as server:
                self.server = server
                self._ready.set()
                await self._end.wait()

        self._loop.run_until_complete(serve())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)


@pytest.fixture(scope="module")
def remote() -> Iterator[Serving]:
    serving = Serving(Reply(["far ", "away"]))
    yield serving
    serving.close()


@pytest.fixture(scope="module")
def busy() -> Iterator[Serving]:
    serving = Serving(Reply(status=429, headers=["Retry-After: 50"]))
    yield serving
    serving.close()


@pytest.fixture(scope="module")
def host(
    remote: Serving, busy: Serving, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node with a local model, and one at an endpoint that costs money.

    The local one learns its replies to what people ask, and to what a crew makes of that.
    """
    base = tmp_path_factory.mktemp("models")
    tiny = base / "tiny"
    with tempfile.TemporaryDirectory(prefix="sp-") as short:
        node = Node(Path(short) / "state", {"FAR_KEY": KEY})
        node.home.mkdir()
        (node.home / "config.toml").write_text(
            f"[llm.models.tiny]\nfolder = '{tiny}'\n"
            f"[llm.models.far]\nendpoint = '{remote.server.endpoint}'\nmodel = 'scripted'\n"
            "api_key_env = 'FAR_KEY'\nprice_in = 1000000\nprice_out = 2000000\n"
            f"[llm.models.listens]\nendpoint = '{remote.server.endpoint}'\nmodel = 'scripted'\n"
            f"[llm.models.broken]\nfolder = '{base}'\n"
            f"[llm.models.busy]\nendpoint = '{busy.server.endpoint}'\nmodel = 'busy'\n"
        )
        node.up()
        try:
            asyncio.run(_deploy(node, base))
            asked = asyncio.run(_heard_of_a_crew(node, base, remote.server))
            make_tiny_model(tiny, talks=[(asked[text], REPLIES[text]) for text in TOLD_TO_CREWS])
            yield node
        finally:
            node.close()


async def _deploy(node: Node, base: Path) -> None:
    (base / "thinking.py").write_text(THINKER)
    (base / "graphs.py").write_text(GRAPH)
    specs = [
        AgentSpec(name="thinker", entrypoint="thinking:handle", model="tiny"),
        AgentSpec(name="payer", entrypoint="thinking:handle", model="far"),
        AgentSpec(name="drawn", entrypoint="graphs:graph", runtime="langgraph", model="tiny"),
    ]
    async with node.client() as client:
        for spec in specs:
            await agents.deploy(client, spec, base)
        await wait_ready(client, [spec.name for spec in specs], 60)


async def _heard_of_a_crew(
    node: Node, base: Path, server: OpenAiServer
) -> dict[str, list[dict[str, Any]]]:
    """What a model hears from a crew that is asked, by what it is asked."""
    (base / "crew.yaml").write_text(CREW)
    specs = [
        AgentSpec(name=name, entrypoint="crew.yaml", runtime="crewai", model=model)
        for name, model in (("listener", "listens"), ("teller", "tiny"))
    ]
    heard: dict[str, list[dict[str, Any]]] = {}
    async with node.client() as client:
        for spec in specs:
            await agents.deploy(client, spec, base)
        await wait_ready(client, [spec.name for spec in specs], 120)
        for text in TOLD_TO_CREWS:
            await say(client, "listener", text)
            heard[text] = server.requests[-1]["messages"]
    return heard


async def say(client: Client, agent: str, text: str) -> str:
    return "".join(await pieces(client, agent, text))


async def pieces(client: Client, agent: str, text: str) -> list[str]:
    """An answer, in the pieces in which it came."""
    target = await agents.target(client, agent)
    async with contextlib.aclosing(prompts.prompt(client, target, text)) as chunks:
        return [chunk.text async for chunk in chunks if chunk.kind == "text"]


async def ask(client: Client, agent: str, action: str, **given: Any) -> Any:
    target = await agents.target(client, agent)
    asked = prompts.prompt(client, target, ".", action=action, input=given or {"x": 1})
    return json.loads(await prompts.answer(asked))


async def used_by(client: Client, by: room.By = "agent") -> dict[str, ModelUsage]:
    return {one.key: one for one in room.add_up(await room.read_calls(client), by)}


async def test_models_of_a_host_are_told_and_a_broken_one_says_why(host: Node) -> None:
    found = {row["name"]: row for row in host.json("models")}
    assert set(found) >= {"tiny", "far", "broken"}
    assert found["far"]["price_out"] == 2000000
    assert found["tiny"]["source"] == "local"
    described = host.cli("models", "describe", "far").stdout
    assert "from FAR_KEY" in described
    assert "it is named" in described
    async with host.client() as client:
        with pytest.raises(SparkplugError, match=r"it has no config\.json"):
            await room.load(client, "broken")
        with pytest.raises(NotFoundError, match="no local model"):
            await room.load(client, "far")
        with pytest.raises(NotFoundError, match="did you mean tiny"):
            await room.describe(client, "tinny")


async def test_agents_think_with_a_local_model_eight_at_once(host: Node) -> None:
    async with host.client() as client:
        # A function, a LangGraph graph that was made at import, a CrewAI crew.
        for agent, asked in (
            ("thinker", [*REPLIES] * 2),
            ("drawn", [*REPLIES] * 2),
            ("teller", TOLD_TO_CREWS * 4),
        ):
            found = await asyncio.gather(*(pieces(client, agent, text) for text in asked))
            assert ["".join(one).strip() for one in found] == [REPLIES[text] for text in asked]
            assert max(map(len, found)) > 2, f"{agent} does not stream"
        answer = await ask(client, "thinker", "whole", ask="what is your name?")
        assert answer["text"] == REPLIES["what is your name?"]
        assert answer["model"] == "tiny"
        assert answer["out"] > 3
        assert not answer["estimated"]
        assert await ask(client, "thinker", "tool") == {"calls": [["add", {"a": 1, "b": 2}]]}
        assert (await ask(client, "thinker", "count"))["exact"]
        (view,) = await room.describe(client, "tiny")
        # On a GPU where there is one that torch can use.
        gpu = torch.cuda.is_available()
        assert view.state is ModelState.READY
        assert view.device.split(":")[0].split(" ")[0] == ("cuda" if gpu else "cpu")
        assert view.dtype in (("bfloat16", "float16") if gpu else ("float32",))
        assert view.context == 512
        assert view.memory_bytes is not None
        assert view.memory_bytes > 1_000_000

        async def counted() -> bool:
            used = await used_by(client)
            calls = {name: used[name].calls for name in used}
            return calls == {"listener": 2, "thinker": 10, "drawn": 8, "teller": 8}

        assert await eventually(counted, 30)
        ledger = await used_by(client)

        async def accounted() -> bool:
            """What agents tell of themselves is what the ledger has, whoever carried it."""
            taken = await read_usage(client)
            return all(
                (one.tokens_in, one.tokens_out) == (ledger[name].tokens_in, ledger[name].tokens_out)
                for name in ledger
                if (one := taken.get((name, "0"))) is not None
            ) and len(taken) >= len(ledger)

        assert await eventually(accounted, 30)


async def test_every_call_is_in_the_ledger_with_its_money(host: Node, remote: Serving) -> None:
    before = (remote.server.tokens_in, remote.server.tokens_out)
    async with host.client() as client:
        assert await say(client, "payer", "one two three") == "far away"

        async def written() -> ModelUsage | None:
            return (await used_by(client)).get("payer")

        used: ModelUsage = await eventually(written, 30)
        told = (remote.server.tokens_in - before[0], remote.server.tokens_out - before[1])
        assert (used.tokens_in, used.tokens_out) == told == (3, 2)
        assert (used.cost, used.currency) == (3 * 1 + 2 * 2, "USD")
        assert (await used_by(client, "model"))["far"].tokens_out == 2

        async def accounted() -> bool:
            taken = (await read_usage(client)).get(("payer", "0"))
            return taken is not None and (taken.tokens_out, taken.model_cost) == (2, 7)

        assert await eventually(accounted, 30)
    assert host.json("models", "usage", "--since", "0s") == []
    assert "tokens/s" in host.cli("agents", "list", "-o", "wide").stdout.lower()


async def test_nothing_is_lost_when_an_agent_is_stopped(host: Node) -> None:
    async with host.client() as client:
        before = (await used_by(client))["payer"].calls
        await say(client, "payer", "one")
        await agents.stop(client, "payer")

        async def stopped() -> bool:
            found = (await agents.describe(client, "payer")).replicas
            return all(replica.pid is None for replica in found)

        assert await eventually(stopped, 60)
        assert (await used_by(client))["payer"].calls == before + 1
        await agents.start(client, "payer")
        await wait_ready(client, ["payer"], 60)


def test_the_choice_is_explained(host: Node) -> None:
    told = host.cli("models", "explain", "auto", "--needs", "vision", check=False)
    assert told.returncode == 1
    assert "cannot do vision" in told.stdout
    assert host.cli("models", "explain", "auto", "--needs", "juggling", check=False).returncode == 2
    assert host.cli("models", "explain", "auto", "--host", "nowhere", check=False).returncode == 3
    shown = host.cli("models", "show").stdout
    assert "a million" in shown
    assert "free" in shown
    assert "MODEL" in shown


async def test_a_model_that_an_agent_leaves_alone_says_so(host: Node, tmp_path: Path) -> None:
    (tmp_path / "hasty_thinking.py").write_text(THINKER)
    spec = AgentSpec(name="hasty", entrypoint="hasty_thinking:handle", model="busy")
    async with host.client() as client:
        await agents.deploy(client, spec, tmp_path)
        await wait_ready(client, ["hasty"], 60)
        asked = asyncio.create_task(say(client, "hasty", "now"))

        async def told() -> bool:
            (choice,) = (await room.explain(client, "busy")).choices
            return any(why.startswith("left alone by hasty/0 for ") for why in choice.reasons)

        assert await eventually(told, 60)
        assert "left alone by hasty/0" in host.cli("models", "explain", "busy").stdout
        (choice,) = (await room.explain(client, "far")).choices
        assert not any("left alone" in why for why in choice.reasons)
        await agents.remove(client, "hasty", agents.Why(drain=0.0))
        with pytest.raises(SparkplugError):
            await asked


async def test_a_key_is_nowhere_to_be_seen(host: Node, remote: Serving) -> None:
    async with host.client() as client:
        await say(client, "payer", "one two three")
        (view,) = await room.describe(client, "tiny")
        assert view.state is ModelState.READY
        events = await read_events(client)
    assert KEY in remote.server.keys
    shown = [
        *(event.model_dump_json() for event in events),
        host.cli("config", "show", "--json").stdout,
        host.cli("config", "export").stdout,
        host.cli("models", "--json").stdout,
        host.cli("models", "describe", "far").stdout,
        host.cli("agents", "logs", "payer").stdout,
    ]
    assert not any(KEY in text for text in shown)
    for path in host.home.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
    tokens = [path.read_text() for path in (host.paths.run / "models").glob("*.key")]
    assert tokens
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = " ".join(process.cmdline())
            assert KEY not in words
            assert not any(token in words for token in tokens)


async def test_a_model_process_that_is_killed_is_started_by_the_next_call(host: Node) -> None:
    async with host.client() as client:
        (view,) = await room.describe(client, "tiny")
        assert view.pid is not None
        os.kill(view.pid, signal.SIGKILL)
        assert await say(client, "thinker", "count to five") == REPLIES["count to five"]
        (again,) = await room.describe(client, "tiny")
        assert again.pid is not None
        assert again.pid != view.pid
        # One that takes long to end is ended by force, and is unloaded for all that.
        os.kill(again.pid, signal.SIGSTOP)
        assert await room.unload(client, "tiny")
        assert await eventually(lambda: not psutil.pid_exists(again.pid or 0))
        (view,) = await room.describe(client, "tiny")
        assert view.state is ModelState.UNLOADED
