"""The same research team three ways, on one folder of documents: what comes of it is alike."""

from __future__ import annotations

import asyncio
import json
import queue
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.node import Node, eventually
from fakes.openai_server import OpenAiServer, Reply, openai_server
from fakes.shipped import AGENTS
from fakes.tiny_model import make_tiny_model
from sparkplug.bus import synadia as wire
from sparkplug.client import agents
from sparkplug.client.session import Client
from sparkplug.schema.errors import SparkplugError

DEADLINE_S = 120.0
DOCS = Path(__file__).parents[2] / "docs"
WAYS = {"research-graph": "graph", "research-crew": "crew", "research-lead": "mesh"}
QUESTION = "How does a node cut off from its lease treat its movable agents?"


def think(request: dict[str, Any]) -> Reply:
    """A model that does each member's part from what it is told, in whichever words."""
    told = "\n".join(str(message.get("content") or "") for message in request["messages"])
    places = [word for word in told.split() if word.startswith("[") and ".md:" in word]
    place = places[0].rstrip(".,") if places else "[nothing.md:1]"
    if "Write notes" in told:
        answer = f"A node stops them. {place}"
    elif "Write a brief" in told:
        answer = f"Movable agents are stopped {place}."
    else:
        answer = "ACCEPT. It says what the notes say."
    if "Final Answer" in told:
        answer = f"Thought: I now can give a great answer\nFinal Answer: {answer}"
    return Reply.text(answer)


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAiServer]:
    """The model, in a thread of its own for as long as the node lives."""
    ready: queue.Queue[OpenAiServer] = queue.Queue()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with openai_server() as server:
            server.script = think
            ready.put(server)
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    yield ready.get(timeout=30)
    loop.call_soon_threadsafe(ended.set)
    thread.join(30)


@pytest.fixture(scope="module")
def team() -> Iterator[Path]:
    """The shipped files, in a folder where they can be changed."""
    with tempfile.TemporaryDirectory(prefix="sp-team-") as folder:
        shutil.copytree(AGENTS / "research", Path(folder) / "agents" / "research")
        shutil.copytree(AGENTS.parent / "crews", Path(folder) / "crews")
        yield Path(folder)


def think_with(team: Path, name: str) -> Path:
    """Have all members think with a model; the folder to apply."""
    folder = team / "agents" / "research"
    for file in folder.glob("*.yaml"):
        lines = [line for line in file.read_text().splitlines() if "model:" not in line]
        file.write_text("\n".join([*lines, f"model: {name}", ""]))
    return folder


@pytest.fixture(scope="module")
def node(model: OpenAiServer, team: Path) -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    running = Node(folder / "state")
    running.home.mkdir()
    (running.home / "config.toml").write_text(
        f"[llm.models.scripted]\nendpoint = '{model.endpoint}'\nmodel = 'scripted'\n"
        f"[llm.models.tiny]\nfolder = '{team / 'tiny'}'\n"
    )
    try:
        running.up()
        running.cli("agents", "deploy", str(think_with(team, "scripted")))
        yield running
    finally:
        running.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def client(node: Node) -> AsyncIterator[Client]:
    async with node.client() as connected:
        yield connected


async def research(client: Client, name: str, folder: Path, question: str = QUESTION) -> Any:
    async def ready() -> bool:
        names = {one.name for one in await agents.list_agents(client) if one.takes_prompts}
        return names >= {*WAYS, "research-researcher", "research-writer", "research-reviewer"}

    await eventually(ready, DEADLINE_S)
    target = await agents.target(client, name)
    given = {"folder": str(folder), "question": question}
    return await wire.call(client.bus, target, "brief", given, context={}, deadline=DEADLINE_S)


async def test_three_ways_one_result(client: Client, model: OpenAiServer) -> None:
    found = {}
    for name, way in WAYS.items():
        before = (len(model.requests), model.tokens_in, model.tokens_out)
        result = found[way] = await research(client, name, DOCS)
        taken = len(model.requests) - before[0]
        assert result["team"] == way
        assert result["tokens"] == {
            "calls": taken,
            "input": model.tokens_in - before[1],
            "output": model.tokens_out - before[2],
        }
        assert taken == 3
    shapes = {way: shape(result) for way, result in found.items()}
    assert shapes["graph"] == shapes["crew"] == shapes["mesh"]
    for result in found.values():
        assert result["verdict"] == {
            "accepted": True,
            "text": "ACCEPT. It says what the notes say.",
            "problems": [],
        }
        (cited,) = result["citations"]
        lines = (DOCS / cited["file"]).read_text().splitlines()
        assert cited["quote"] == lines[cited["line"] - 1].strip()[:200]
        assert result["brief"] == f"Movable agents are stopped [{cited['file']}:{cited['line']}]."
    same = {(r["notes"], r["brief"]) for r in found.values()}
    assert len(same) == 1, "the three are told the same passages"


def shape(value: Any) -> Any:
    """A value with its leaves replaced by their types."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(one) for one in value[:1]]
    return type(value).__name__


@pytest.mark.parametrize("name", WAYS)
async def test_a_citation_that_does_not_hold_is_told(
    client: Client, model: OpenAiServer, tmp_path: Path, name: str
) -> None:
    (tmp_path / "one.txt").write_text("The lease of a node lasts ten seconds.\n")
    result = await research(client, name, tmp_path, "How long does a lease last?")
    assert not result["verdict"]["accepted"]
    assert result["verdict"]["problems"] == ["it cites nothing.md:1, and there is no nothing.md"]
    assert result["citations"] == []


@pytest.mark.parametrize("name", WAYS)
async def test_a_folder_that_is_not_there_is_named(
    client: Client, tmp_path: Path, name: str
) -> None:
    with pytest.raises(SparkplugError, match="no such folder"):
        await research(client, name, tmp_path / "none")


@pytest.mark.slow
async def test_a_real_model_that_knows_little_makes_the_same_of_it(
    node: Node, client: Client, team: Path, tmp_path: Path
) -> None:
    """A tiny one trained on the spot: it rambles, and what comes of it has the same fields."""
    folder = await asyncio.to_thread(make_tiny_model, team / "tiny", {"Does it hold?": "ACCEPT."})
    config = json.loads((folder / "config.json").read_text())
    # Positions are rotations: it takes more of them than it was trained on.
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8192}))
    node.cli("apply", str(think_with(team, "tiny")))
    (tmp_path / "one.txt").write_text("The lease of a node lasts ten seconds.\n")
    found = [await research(client, name, tmp_path, "How long is a lease?") for name in WAYS]
    for result in found:
        assert result["tokens"]["calls"] >= 3
        assert result["tokens"]["input"] > 0
        assert result["tokens"]["output"] > 0
        assert not result["verdict"]["accepted"], "what cites nothing is not accepted"
    assert len({json.dumps(shape(result), sort_keys=True) for result in found}) == 1
