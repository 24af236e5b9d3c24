"""What the port to models adds to the bare client, what the ledger misses, and local tokens/s."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from openai import AsyncOpenAI

from bench.figures import Figure, p50
from fakes.mesh_server import started
from fakes.models import Kept, model_at
from fakes.openai_server import Reply, openai_server
from fakes.tiny_model import make_tiny_model
from sparkplug.client.models import add_up, read_calls
from sparkplug.llm.chat import ChatModel
from sparkplug.llm.errors import NoModelError
from sparkplug.llm.ledger import Ledger
from sparkplug.llm.metering import Labels
from sparkplug.llm.models import Models
from sparkplug.llm.port import Tool
from sparkplug.schema.settings import LlmSection

_SHORT, _LONG = 4, 2000
_CALLS, _ROUNDS, _STREAMS = 20, 15, 12
_LEDGER_CALLS = 1000
_AT_ONCE = 8
_WORDS = 150
#: A server of its own process: what it costs is on neither side.
_SERVER = """
import asyncio, sys
from fakes.openai_server import Reply, openai_server

async def main():
    async with openai_server() as server:
        replies = {n: Reply(["tok "] * n) for n in (%d, %d)}
        server.script = lambda request: replies[int(request["messages"][-1]["content"])]
        print(server.endpoint, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def _bare(client: AsyncOpenAI, pieces: int) -> int:
    """The bare client, asked for the same."""
    stream = await client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": str(pieces)}],
        stream=True,
        stream_options={"include_usage": True, "continuous_usage_stats": True},  # type: ignore[typeddict-unknown-key]
    )
    count = 0
    async for chunk in stream:
        count += bool(chunk.choices and chunk.choices[0].delta.content)
    return count


async def _ours(model: ChatModel, pieces: int) -> int:
    count = 0
    async for _ in model.stream(str(pieces)):
        count += 1
    return count


async def added(endpoint: str) -> list[Figure]:
    """Time a call takes through the port, and through the bare client."""
    client = AsyncOpenAI(base_url=endpoint, api_key="none", max_retries=0)
    model = model_at(endpoint, "m", sink=Kept())
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(_ROUNDS):
        for times, call in (
            (bare, lambda: _bare(client, _SHORT)),
            (ours, lambda: _ours(model, _SHORT)),
        ):
            for _ in range(_CALLS):
                began = time.perf_counter()
                await call()
                times.append((time.perf_counter() - began) * 1000)
    # The server sends as fast as it can, in a process of its own: what is slower is seen.
    took: dict[str, list[tuple[float, float]]] = {"ours": [], "bare": []}
    for number in range(_STREAMS):
        calls = [("bare", _bare, client), ("ours", _ours, model)]
        for name, call, by in calls[:: 1 if number % 2 else -1]:
            began, worked = time.perf_counter(), time.process_time()
            assert await call(by, _LONG) == _LONG  # type: ignore[operator]
            spent = (time.perf_counter() - began, time.process_time() - worked)
            took[name].append((spent[0] * 1e6 / _LONG, spent[1] * 1e6 / _LONG))
    whole = {name: statistics.median(one for one, _ in took[name]) for name in took}
    work = {name: statistics.median(one for _, one in took[name]) for name in took}
    rates = f"{1e6 / whole['ours']:,.0f}/s to {1e6 / whole['bare']:,.0f}/s"
    return [
        Figure("added to a call of a model, p50", p50(ours) - p50(bare), "ms", 1.0),
        # Lower is better in figures: the time of a token, ours over the bare client's.
        Figure(
            f"time of a token of {_LONG} streamed ({rates})",
            whole["ours"],
            "us",
            None,
            "the bare client",
            whole["bare"],
            1 / 0.97,
        ),
        Figure(
            "processor time of that",
            work["ours"],
            "us",
            None,
            "the bare client",
            work["bare"],
            1.03,
        ),
    ]


_ADD = Tool("add", "adds", {"type": "object", "properties": {"a": {"type": "integer"}}})
_RIGHT = Reply(calls=[("add", '{"a": 1}')])
_FAULTS = (
    Reply(status=429, raw=b"{}", headers=["Retry-After: 0.02"]),
    Reply(status=500, raw=b"{}"),
    Reply(["th"], hang=True),
    Reply(["half ", "a "], cut=True),
    Reply(calls=[("add", '{"a": ')]),
    Reply(calls=[("subtract", '{"a": 1}')]),
)


async def accounted(folder: Path) -> list[Figure]:
    """A thousand calls, a fifth of their tries with a fault, a tenth cancelled in their middle."""
    rng = random.Random(11)

    def script(request: dict[str, Any]) -> Reply:
        if "cancelled" in str(request["messages"][0]["content"]):
            return Reply(["one ", "two "], hang=True)
        return _RIGHT if rng.random() >= 0.2 else rng.choice(_FAULTS)

    async with openai_server() as server, started(folder) as mesh:
        server.script = script
        bus = await mesh.connect()
        ledger = Ledger(bus, "bench", "0")
        settings = LlmSection(
            endpoint=server.endpoint, model="m", token_timeout=0.5, first_token_timeout=5
        )
        models = Models(settings, host="bench", sink=ledger)
        model = ChatModel(models).bound(Labels(agent="bench"), _nothing)
        limit = asyncio.Semaphore(24)
        right = failed = 0

        async def one(number: int) -> None:
            nonlocal right, failed
            async with limit:
                if number % 10 == 0:
                    came = asyncio.Event()
                    call = asyncio.create_task(_read(model, came))
                    await came.wait()
                    call.cancel()
                    await asyncio.gather(call, return_exceptions=True)
                    return
                try:
                    await model.answer(f"call {number}", tools=[_ADD], timeout=30)
                    right += 1
                except NoModelError:
                    failed += 1

        await asyncio.gather(*(one(number) for number in range(_LEDGER_CALLS)))
        await ledger.drain(30)
        client: Any = type("Face", (), {"bus": bus})()
        calls = await read_calls(client)
        (used,) = add_up(calls)
        off = abs(used.tokens_in - server.tokens_in) + abs(used.tokens_out - server.tokens_out)
        await models.close()
        return [
            Figure("tokens of 1,000 calls the ledger has not", float(off), "", 0.5),
            Figure(
                "calls that the ledger has not", float(len(server.requests) - used.calls), "", 0.5
            ),
            Figure(
                "calls that did not end right at 20 % faults",
                100.0 * failed / (right + failed),
                "%",
                5.0,
            ),
        ]


async def _read(model: ChatModel, came: asyncio.Event) -> None:
    async for piece in model.stream("to be cancelled"):
        if piece == "two ":
            came.set()


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()


async def local(folder: Path) -> list[Figure]:
    """Tokens a second of a local model's process, eight at once, beside a bare `generate`.

    On the processor, and on a GPU where torch can use one.
    """
    import torch

    found = await _local(folder / "cpu", "cpu")
    return found + (await _local(folder / "cuda", "cuda") if torch.cuda.is_available() else [])


async def _local(folder: Path, device: Literal["cpu", "cuda"]) -> list[Figure]:
    import torch

    from sparkplug.llm.local.job import ModelJob, ModelWord
    from sparkplug.llm.local.loading import load

    asked = "say it long"
    replies = {asked: " ".join(f"word{number}" for number in range(_WORDS))}
    made = make_tiny_model(folder / "tiny", replies, most_steps=1000)
    threads = 1
    loaded = load(made, device, "auto")
    tokens = loaded.tokenizer.apply_chat_template(
        [{"role": "user", "content": asked}], add_generation_prompt=True, return_dict=False
    )
    rows = torch.tensor([tokens] * _AT_ONCE, device=device)

    def bare() -> float:
        torch.set_num_threads(threads)
        began = time.perf_counter()
        out = loaded.model.generate(
            rows, attention_mask=torch.ones_like(rows), max_new_tokens=480, do_sample=False
        )
        count = (out[:, rows.shape[1] :] != loaded.tokenizer.pad_token_id).sum() + _AT_ONCE
        return float(count) / (time.perf_counter() - began)

    job = ModelJob(name="tiny", folder=str(made), device=device, token="t", idle=600)
    process = subprocess.Popen(
        [sys.executable, "-m", "sparkplug.llm.local.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "BENCH_TOKEN": "t"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(job.model_dump_json() + "\n")
        process.stdin.flush()
        word = ModelWord.model_validate_json(process.stdout.readline())
        os.environ["BENCH_TOKEN"] = "t"
        kept = Kept()
        section = {
            "endpoint": f"http://127.0.0.1:{word.port}/v1",
            "model": "tiny",
            "api_key_env": "BENCH_TOKEN",
        }
        model = model_at(models={"tiny": section}, sink=kept)
        await model.answer(asked)
        ours: list[float] = []
        bares: list[float] = []
        for _ in range(_ROUNDS):
            bares.append(await asyncio.to_thread(bare))
            kept.records.clear()
            began = time.perf_counter()
            answers = await asyncio.gather(*(_streamed(model, asked) for _ in range(_AT_ONCE)))
            spent = time.perf_counter() - began
            assert set(answers) == {replies[asked]}
            ours.append(sum(r.tokens_out for r in kept.records) / spent)
    finally:
        process.kill()
        process.wait()
    # Lower is better in figures: the time of a token, ours over the bare one's.
    return [
        Figure(
            f"time of a token, {_AT_ONCE} streams of a local model on {device}",
            1e6 / max(ours),
            "us",
            None,
            "bare generate",
            1e6 / max(bares),
            1 / 0.9,
        )
    ]


async def _streamed(model: ChatModel, text: str) -> str:
    return "".join([piece async for piece in model.stream(text)])


def run() -> list[Figure]:
    """All figures of this file."""
    program = _SERVER % (_SHORT, _LONG)
    path = str(Path(__file__).resolve().parents[1])
    server = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert server.stdout is not None
    try:
        figures = asyncio.run(added(server.stdout.readline().strip()))
    finally:
        server.kill()
        server.wait()
    parts: list[Callable[[Path], Any]] = [accounted, local]
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="sp-bench-") as folder:
            figures += asyncio.run(part(Path(folder)))
    return figures
