"""A local model, made on the spot: loaded, asked by many at once, through its HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import torch
from pydantic import BaseModel

from fakes.models import Kept, model_at
from fakes.node import eventually
from fakes.openai_server import Reply, openai_server
from fakes.tiny_model import REPLIES, TOOL_CALL, make_tiny_model
from sparkplug.llm.chat import ChatModel
from sparkplug.llm.errors import MalformedAnswerError
from sparkplug.llm.local.energy import EnergyMeter
from sparkplug.llm.local.engine import Engine
from sparkplug.llm.local.job import ModelJob, ModelWord
from sparkplug.llm.local.loading import Loaded, load, usable
from sparkplug.llm.local.server import ModelServer, conversation
from sparkplug.llm.port import Message, Tool
from sparkplug.schema.errors import InvalidError

TOKEN = "let-me-in"
ADD = Tool("add", "adds", {"type": "object", "properties": {"a": {}, "b": {}}})


#: The same is tested on a GPU, where torch can use one.
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
    ),
]


class City(BaseModel):
    name: str


#: What the tiny model answers where JSON is wanted, the first time and when it is asked again.
ANSWERS = {
    "which city?": ['Here it is: {"name": "Bern",}'],
    "which other?": ['{"name": 3}', '{"name": "Basel"}'],
    "which none?": ['{"nam', '{"name"'],
}


async def told(asked: str, answers: list[str]) -> list[tuple[list[dict[str, Any]], str]]:
    """What a local model is told each time it is asked, and what it answers to that."""
    async with openai_server(*map(Reply.text, answers)) as server:
        model = model_at(server.endpoint, "m", repairs=len(answers) - 1)
        with contextlib.suppress(MalformedAnswerError):
            await model.answer(asked, schema=City)
        talks = [conversation(request) for request in server.requests]
    return list(zip(talks, answers, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    async def learn() -> list[tuple[list[dict[str, Any]], str]]:
        return [talk for one in ANSWERS.items() for talk in await told(*one)]

    talks = asyncio.run(learn())
    return make_tiny_model(tmp_path_factory.mktemp("tiny"), talks=talks)


@pytest.fixture(scope="module", params=DEVICES)
def loaded(folder: Path, request: pytest.FixtureRequest) -> Loaded:
    return load(folder, request.param, "auto")


@contextlib.asynccontextmanager
async def serving(
    loaded: Loaded, *, batch: int = 8, energy: EnergyMeter | None = None
) -> AsyncIterator[tuple[str, Engine]]:
    engine = Engine(loaded, batch, energy)
    engine.start()
    counts = energy is not None
    server = ModelServer("tiny", loaded, engine, TOKEN, counts_energy=counts)
    listening, port = await server.start()
    try:
        yield f"http://127.0.0.1:{port}/v1", engine
    finally:
        listening.close()
        engine.stop()


def asking(url: str, kept: Kept | None = None, **settings: Any) -> ChatModel:
    section = {"endpoint": url, "model": "tiny", "api_key_env": "TINY_TOKEN"}
    return model_at(models={"tiny": section}, sink=kept, **settings)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_TOKEN", TOKEN)


async def test_eight_at_once_are_answered_together_and_right(loaded: Loaded) -> None:
    kept = Kept()
    async with serving(loaded) as (url, engine):
        model = asking(url, kept)
        asked = [*REPLIES, *REPLIES]

        async def one(text: str, wait: float) -> list[str]:
            await asyncio.sleep(wait)
            return [piece async for piece in model.stream(text)]

        found = await asyncio.gather(*(one(text, at * 0.01) for at, text in enumerate(asked)))
        assert ["".join(pieces) for pieces in found] == [REPLIES[text] for text in asked]
        assert any(len(pieces) > 3 for pieces in found)
        assert sum(r.tokens_in for r in kept.records) == engine.tokens_in
        assert sum(r.tokens_out for r in kept.records) == engine.tokens_out


async def test_more_than_fit_wait_their_turn(loaded: Loaded) -> None:
    async with serving(loaded, batch=2) as (url, engine):
        model = asking(url)
        answers = await asyncio.gather(*(model.answer("count to five") for _ in range(7)))
        assert {answer.text for answer in answers} == {REPLIES["count to five"]}
        await eventually(lambda: (engine.running, engine.waiting) == (0, 0), 30)


async def test_tools_stop_words_and_limits(loaded: Loaded) -> None:
    async with serving(loaded) as (url, _):
        model = asking(url)
        answer = await model.answer("add one and two", tools=[ADD])
        assert (answer.calls[0].name, answer.calls[0].arguments) == tuple(TOOL_CALL.values())
        answer = await model.answer("count to five", stop=["four"])
        assert answer.text == "one two three "
        answer = await model.answer("count to five", max_tokens=2)
        assert (answer.finish, answer.usage.tokens_out) == ("length", 2)
        sampled = await model.answer("count to five", temperature=0.01, seed=1)
        assert sampled.text == REPLIES["count to five"]


async def test_json_is_repaired_or_asked_for_again_within_a_bound_or_the_call_fails(
    loaded: Loaded,
) -> None:
    kept = Kept()
    async with serving(loaded) as (url, _):
        model = asking(url, kept, repairs=1)
        assert (await model.answer("which city?", schema=City)).value == City(name="Bern")
        assert len(kept.records) == 1, "what leaves no doubt is not asked for again"
        assert (await model.answer("which other?", schema=City)).value == City(name="Basel")
        assert len(kept.records) == 3
        with pytest.raises(MalformedAnswerError, match="not JSON"):
            await model.answer("which none?", schema=City)
        assert len(kept.records) == 5
        # It knows one tool, and that is none of these.
        other = Tool("subtract", "subtracts", ADD.schema)
        with pytest.raises(MalformedAnswerError, match=r"no tool 'add'|has to be called"):
            await model.answer(
                "add one and two", tools=[other], tool_choice="required", max_tokens=40
            )
        assert len(kept.records) == 7
        assert all(record.outcome == "ok" for record in kept.records), "all are accounted for"


async def test_one_that_goes_makes_room(loaded: Loaded) -> None:
    async with serving(loaded, batch=1) as (url, engine):
        model = asking(url)
        async with contextlib.aclosing(model.stream("say it long")) as pieces:
            async for _ in pieces:
                break
        assert (await model.answer("count to five")).text == REPLIES["count to five"]
        await eventually(lambda: engine.waiting == 0, 30)


async def test_without_the_token_nothing_is_told(loaded: Loaded) -> None:
    async with serving(loaded) as (url, _), httpx.AsyncClient() as client:
        for path in ("/models", "/chat/completions", "/../status"):
            assert (await client.get(url + path)).status_code == 401
        wrong = {"Authorization": "Bearer guess"}
        assert (await client.get(f"{url}/models", headers=wrong)).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/chat/completions", b"{not json", 400),
        ("/chat/completions", b"[]", 400),
        ("/chat/completions", b'{"messages": []}', 400),
        ("/chat/completions", b'{"messages": [{"role": 3}]}', 400),
        ("/chat/completions", b"[" * 100_000, 400),
        ("/nothing", b"{}", 404),
    ],
)
async def test_rubbish_is_refused_and_it_serves_on(
    loaded: Loaded, path: str, body: bytes, status: int
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with serving(loaded) as (url, _), httpx.AsyncClient(headers=headers) as client:
        assert (await client.post(url + path, content=body)).status_code == status
        assert (await client.get(f"{url}/models")).json()["data"][0]["max_model_len"] == 512


async def test_what_is_too_long_is_told_as_that(loaded: Loaded) -> None:
    from sparkplug.llm.errors import ContextLengthError

    async with serving(loaded) as (url, _):
        with pytest.raises(ContextLengthError, match="512"):
            await asking(url).answer("word " * 600)


async def test_the_models_own_tokenizer_counts(loaded: Loaded) -> None:
    async with serving(loaded) as (url, _):
        model = asking(url)
        (view,) = await model.models.views()
        view.server = "sparkplug"
        tokens = await model.count([Message("user", "count to five")])
        assert tokens.exact
        assert tokens.number == len(loaded.tokenizer.encode("count to five")) + 4


async def test_joules_are_shared_among_those_who_are_answered(loaded: Loaded) -> None:
    spent = [0.0]

    def counter() -> float:
        spent[0] += 1.0
        return spent[0]

    kept = Kept()
    async with serving(loaded, energy=EnergyMeter(counter)) as (url, _):
        model = asking(url, kept)
        await model.answer("what is your name?")
        assert not kept.records[0].joules_estimated
        assert kept.records[0].joules
        await asyncio.gather(*(model.answer("say it long") for _ in range(3)))
    assert any(record.joules_estimated for record in kept.records)
    assert sum(record.joules or 0 for record in kept.records) <= spent[0]


def test_a_folder_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"no config\.json"):
        load(tmp_path, "cpu", "auto")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidError, match="cannot be read"):
        load(tmp_path, "cpu", "auto")


def test_a_torch_without_cuda_says_so_or_takes_the_processor() -> None:
    assert usable("cpu", or_cpu=False) == "cpu"
    if torch.cuda.is_available():
        assert usable("cuda", or_cpu=True) == "cuda"
        return
    assert usable("cuda", or_cpu=True) == "cpu"
    with pytest.raises(InvalidError, match=r"torch .* (is built without CUDA|finds no GPU)"):
        usable("cuda", or_cpu=False)


@pytest.mark.parametrize("device", DEVICES)
def test_its_process_ends_when_nobody_asks(folder: Path, device: Literal["cpu", "cuda"]) -> None:
    job = ModelJob(name="tiny", folder=str(folder), device=device, idle=0.2, token=TOKEN)
    with subprocess.Popen(
        [sys.executable, "-m", "sparkplug.llm.local.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(job.model_dump_json() + "\n")
        process.stdin.flush()
        word = ModelWord.model_validate_json(process.stdout.readline())
        wide = {"float32": 4, "bfloat16": 2, "float16": 2}[word.dtype]
        assert (word.kind, word.device) == ("ready", device)
        assert (wide == 4) == (device == "cpu")
        assert word.memory_bytes == wide * word.parameters
        assert word.tools
        assert process.wait(60) == 0
