"""Conversations that are longer than a model takes keep their facts; prompts are files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fakes.models import model_at
from fakes.openai_server import Reply, openai_server, words
from sparkplug.llm.conversation import Conversation, trim
from sparkplug.llm.errors import ContextLengthError
from sparkplug.llm.port import Message, ToolCall
from sparkplug.llm.prompts import Prompts
from sparkplug.schema.errors import InvalidError, NotFoundError


def remembering(request: dict[str, Any]) -> Reply:
    """A model that writes down all facts when it is asked to, and knows what it was told."""
    said = "\n".join(str(m["content"]) for m in request["messages"])
    facts = sorted(set(re.findall(r"fact-\d+", said)))
    if "keep the memory" in str(request["messages"][0]["content"]):
        return Reply.text(" ".join(facts))
    return Reply.text(f"I know {len(facts)}")


async def test_twelve_turns_keep_their_facts_within_the_room() -> None:
    async with openai_server() as server:
        server.script = remembering
        talk = Conversation(model_at(server.endpoint, "m"), system="be kind", most=400)
        filler = "and some words that take up room in every single message " * 3
        for turn in range(1, 13):
            answer = await talk.answer(f"fact-{turn} {filler}")
        assert answer.text == "I know 12"
        summaries = [r for r in server.requests if "max_tokens" in r]
        assert summaries
        plain = [r for r in server.requests if "max_tokens" not in r]
        assert max(words(r["messages"]) for r in plain) < 400
        assert plain[-1]["messages"][0]["content"].startswith("be kind")
    assert "fact-1" in talk.summary


async def test_without_a_summary_the_newest_is_sent() -> None:
    def broken(request: dict[str, Any]) -> Reply:
        if "keep the memory" in str(request["messages"][0]["content"]):
            return Reply(status=500, raw=b"{}")
        return Reply.text("ok")

    async with openai_server() as server:
        server.script = broken
        talk = Conversation(model_at(server.endpoint, "m", retries=0), most=150)
        for turn in range(6):
            await talk.answer(f"turn {turn} " + "x" * 200)
        last = server.requests[-1]["messages"]
        assert last[-1]["content"].startswith("turn 5")
        assert len(last) < 12
        with pytest.raises(ContextLengthError, match="this message alone"):
            await talk.answer("x" * 4000)


async def test_it_streams_and_remembers() -> None:
    async with openai_server(Reply(["a", "b"])) as server:
        talk = Conversation(model_at(server.endpoint, "m"))
        assert [piece async for piece in talk.stream("one")] == ["a", "b"]
        await talk.answer("two")
        assert [m["content"] for m in server.requests[1]["messages"]] == ["one", "ab", "two"]


def test_trimming_keeps_the_system_and_no_result_without_its_call() -> None:
    call = ToolCall("c", "f", {})
    talk = [
        Message("system", "s"),
        Message("user", "x" * 400),
        Message("assistant", "", (call,)),
        Message("tool", "result", call_id="c"),
        Message("user", "last"),
    ]
    assert trim(talk, 1000) == tuple(talk)
    assert [m.role for m in trim(talk, 30)] == ["system", "assistant", "tool", "user"]
    assert [m.role for m in trim(talk, 18)] == ["system", "user"]


@pytest.fixture
def prompts(tmp_path: Path) -> Prompts:
    (tmp_path / "brief.v1.md").write_text("Old {{ host }}")
    (tmp_path / "brief.v2.md").write_text("---\nfor: scribe\n---\nWrite of {{ host }}.\n")
    (tmp_path / "evil.md").write_text("{{ ''.__class__.__mro__ }}")
    (tmp_path / "sum.md").write_text("{{ host + 1 }}")
    (tmp_path / "bad.md").write_text("---\na: b\n---\n\n{% if %}")
    return Prompts(tmp_path)


def test_prompts_are_files_with_versions(prompts: Prompts) -> None:
    newest = prompts.render("brief", host="gpu-1")
    assert (newest.text, newest.version) == ("Write of gpu-1.", 2)
    assert prompts.render("brief", 1, host="gpu-1").text == "Old gpu-1"


def test_a_prompt_that_does_not_hold_names_its_place(prompts: Prompts) -> None:
    with pytest.raises(NotFoundError, match="did you mean brief"):
        prompts.render("breif")
    with pytest.raises(NotFoundError, match="it has 1, 2"):
        prompts.render("brief", 3)
    with pytest.raises(InvalidError, match="'host' is undefined"):
        prompts.render("brief")
    with pytest.raises(InvalidError, match=r"bad\.md:5:1: not a template"):
        prompts.render("bad")
    with pytest.raises(InvalidError, match="the template fails"):
        prompts.render("evil")
    with pytest.raises(InvalidError, match=r"sum\.md: the template fails: can only concatenate"):
        prompts.render("sum", host="gpu-1")
