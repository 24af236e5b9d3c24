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

from fakes.node import Node, wait_until
from fakes.openai_server import OpenAiServer, Reply, openai_server
from fakes.tiny_model import REPLIES, make_tiny_model

pytestmark = pytest.mark.slow

KEY = "sk-not-to-be-seen-anywhere-1234567890"

THINKER = """\
from sparkplug.llm.port import Tool

async def handle(ctx, request):
    model = ctx.llm
    if request.action == "whole":
        answer = await model.answer(request.input["ask"])
        return {"text": answer.text, "model": answer.model, "out": answer.usage.tokens_out,
                "in": answer.usage.tokens_in, "estimated": answer.usage.estimated}
    if request.action == "tool":
        schema = {"type": "object", "properties": {"a": {}, "b": {}}}
        answer = await model.answer("add one and two", tools=[Tool("add", "adds", schema)])
        return {"calls": [[c.name, c.arguments] for c in answer.calls]}
    if request.action == "count":
        from sparkplug.llm.port import Message
        tokens = await model.count([Message("user", "count to five")])
        return {"number": tokens.number, "exact": tokens.exact}
    return "".join([piece async for piece in ctx.llm.stream(request.text)])
"""


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
def host(remote: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with a local model, and one at an endpoint that costs money."""
    base = tmp_path_factory.mktemp("models")
    tiny = make_tiny_model(base / "tiny")
    with tempfile.TemporaryDirectory(prefix="sp-") as short:
        node = Node(Path(short) / "state", {"FAR_KEY": KEY})
        node.home.mkdir()
        (node.home / "config.toml").write_text(
            f"[llm.models.tiny]\nfolder = '{tiny}'\n"
            f"[llm.models.far]\nendpoint = '{remote.server.endpoint}'\nmodel = 'scripted'\n"
            "api_key_env = 'FAR_KEY'\nprice_in = 1000000\nprice_out = 2000000\n"
            f"[llm.models.broken]\nfolder = '{base}'\n"
        )
        node.up()
        try:
            for name, model in (("thinker", "tiny"), ("payer", "far")):
                path = node.write_agent(base / name, name, THINKER, model=model)
                node.cli("agents", "deploy", str(path))
                node.cli("wait", f"agent/{name}", "--for", "ready", "--timeout", "60s")
            yield node
        finally:
            node.close()


def ask(node: Node, agent: str, action: str, **given: Any) -> Any:
    words = [f"{key}={value}" for key, value in given.items()]
    options = [part for word in words for part in ("--input", word)]
    return json.loads(node.cli("prompt", agent, ".", "--action", action, *options).stdout)


def test_models_of_a_host_are_told_and_a_broken_one_says_why(host: Node) -> None:
    found = {row["name"]: row for row in host.json("models")}
    assert set(found) >= {"tiny", "far", "broken"}
    assert found["far"]["price_out"] == 2000000
    assert found["tiny"]["source"] == "local"
    failed = host.cli("models", "load", "broken", check=False)
    assert failed.returncode == 1
    assert "it has no config.json" in failed.stderr
    assert host.cli("models", "load", "far", check=False).returncode == 3
    assert host.cli("models", "describe", "tinny", check=False).returncode == 3
    described = host.cli("models", "describe", "far").stdout
    assert "from FAR_KEY" in described
    assert "it is named" in described


def test_an_agent_thinks_with_a_local_model(host: Node) -> None:
    assert host.cli("prompt", "thinker", "count to five").stdout.strip() == REPLIES["count to five"]
    answer = ask(host, "thinker", "whole", ask="what is your name?")
    assert answer["text"] == REPLIES["what is your name?"]
    assert answer["model"] == "tiny"
    assert answer["out"] > 3
    assert not answer["estimated"]
    assert ask(host, "thinker", "tool", x="1") == {"calls": [["add", {"a": 1, "b": 2}]]}
    assert ask(host, "thinker", "count", x="1")["exact"]
    (view,) = [row for row in host.json("models") if row["name"] == "tiny"]
    assert (view["state"], view["device"], view["dtype"]) == ("ready", "cpu", "float32")
    assert view["memory_bytes"] > 1_000_000
    assert view["context"] == 512


def test_a_model_process_that_is_killed_is_started_by_the_next_call(host: Node) -> None:
    (view,) = [row for row in host.json("models") if row["name"] == "tiny"]
    os.kill(view["pid"], signal.SIGKILL)
    assert host.cli("prompt", "thinker", "count to five").stdout.strip() == REPLIES["count to five"]
    (again,) = [row for row in host.json("models") if row["name"] == "tiny"]
    assert again["pid"] != view["pid"]
    host.cli("models", "unload", "tiny")
    assert wait_until(lambda: not psutil.pid_exists(again["pid"]), 30)
    (view,) = [row for row in host.json("models") if row["name"] == "tiny"]
    assert view["state"] == "unloaded"


def test_every_call_is_in_the_ledger_with_its_money(host: Node, remote: Serving) -> None:
    before = (remote.server.tokens_in, remote.server.tokens_out)
    assert host.cli("prompt", "payer", "one two three").stdout.strip() == "far away"

    def row() -> dict[str, Any]:
        rows = {one["agent"]: one for one in host.json("models", "usage")}
        return rows.get("payer", {})

    assert wait_until(lambda: row().get("calls"), 30)
    used = row()
    told = (remote.server.tokens_in - before[0], remote.server.tokens_out - before[1])
    assert (used["tokens_in"], used["tokens_out"]) == told == (3, 2)
    assert used["cost"] == 3 * 1 + 2 * 2
    assert used["currency"] == "USD"
    by_model = {one["model"]: one for one in host.json("models", "usage", "--by", "model")}
    assert by_model["far"]["tokens_out"] == 2
    assert host.json("models", "usage", "--since", "0s") == []
    assert wait_until(
        lambda: any(
            one["agent"] == "payer" and one["tokens_out"] == 2 and one["model_cost"] == 7
            for one in host.json("agents", "usage")
        ),
        30,
    )
    assert "7 " in host.cli("agents", "list", "-o", "wide").stdout


def test_nothing_is_lost_when_an_agent_is_stopped(host: Node) -> None:
    def calls() -> int:
        rows = {one["agent"]: one["calls"] for one in host.json("models", "usage")}
        return int(rows.get("payer", 0))

    host.cli("prompt", "payer", "one")
    before = calls()
    host.cli("prompt", "payer", "one")
    host.cli("agents", "stop", "payer", "--yes")
    host.cli("wait", "agent/payer", "--for", "stopped", "--timeout", "60s")
    assert calls() >= before + 1
    host.cli("agents", "start", "payer")
    host.cli("wait", "agent/payer", "--for", "ready", "--timeout", "60s")


def test_the_choice_is_explained(host: Node) -> None:
    told = host.cli("models", "explain", "auto", "--needs", "vision", check=False)
    assert told.returncode == 1
    assert "cannot do vision" in told.stdout
    told = host.cli("models", "explain", "auto")
    assert "a million" in told.stdout
    assert "free" in told.stdout
    assert host.cli("models", "explain", "auto", "--needs", "juggling", check=False).returncode == 2
    assert host.cli("models", "explain", "auto", "--host", "nowhere", check=False).returncode == 3
    assert "MODEL" in host.cli("models", "show").stdout


def test_a_key_is_nowhere_to_be_seen(host: Node, remote: Serving) -> None:
    host.cli("prompt", "payer", "one two three")
    assert KEY in remote.server.keys
    shown = [
        host.cli("config", "show", "--json").stdout,
        host.cli("config", "export").stdout,
        host.cli("models", "--json").stdout,
        host.cli("models", "describe", "far").stdout,
        host.cli("agents", "describe", "payer").stdout,
        host.cli("events", "--since", "1h").stdout,
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
