"""Anthropic's protocol, against a scripted server of its shape."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from fakes.models import Kept, model_at
from fakes.openai_server import OpenAiServer, Reply, openai_server
from sparkplug.llm.chat import ChatModel
from sparkplug.llm.errors import BrokenAnswerError, ModelRefusedError, ModelUnavailableError
from sparkplug.llm.port import Message, Tool, ToolCall

ADD = Tool("add", "adds", {"type": "object", "properties": {"a": {"type": "integer"}}})


def claude(server: OpenAiServer, kept: Kept | None = None, **settings: object) -> ChatModel:
    section = {"provider": "anthropic", "endpoint": server.endpoint, "model": "claude"}
    return model_at(models={"claude": section}, sink=kept, **settings)


async def test_it_streams_and_is_counted() -> None:
    kept = Kept()
    async with openai_server(Reply(["hel", "lo"])) as server:
        model = claude(server, kept)
        pieces = [piece async for piece in model.stream("hi you", system="be brief")]
        request = server.requests[0]
    assert pieces == ["hel", "lo"]
    assert (request["path"], request["system"]) == ("/v1/messages", "be brief")
    assert request["max_tokens"] > 0
    assert (kept.records[0].tokens_in, kept.records[0].tokens_out) == (4, 2)


async def test_tools_and_their_results_go_both_ways() -> None:
    async with openai_server(Reply(["well "], calls=[("add", '{"a": 1}')])) as server:
        model = claude(server)
        answer = await model.answer("?", tools=[ADD], tool_choice="required")
        assert answer.calls == (ToolCall("t1", "add", {"a": 1}),)
        assert server.requests[0]["tool_choice"] == {"type": "any"}
        talk = [
            Message("user", "?"),
            Message("assistant", "well", answer.calls),
            Message("tool", "2", call_id="t1"),
            Message("user", "and?"),
        ]
        await model.answer(talk, tools=[ADD])
        turns = server.requests[1]["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "text"]


async def test_an_answer_of_a_schema_is_asked_for_as_a_tool() -> None:
    class City(BaseModel):
        name: str

    async with openai_server(Reply(calls=[("answer", '{"name": "Bern"}')])) as server:
        answer = await claude(server).answer("?", schema=City)
        assert server.requests[0]["tool_choice"] == {"type": "tool", "name": "answer"}
    assert answer.value == City(name="Bern")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=529, raw=b'{"error": {"message": "busy"}}'), ModelUnavailableError),
        (Reply(status=401, raw=b'{"error": {"message": "no"}}'), ModelRefusedError),
        (Reply(["a"], cut=True), BrokenAnswerError),
    ],
)
async def test_what_fails_is_told_as_what_it_is(reply: Reply, kind: type[Exception]) -> None:
    async with openai_server(reply) as server:
        with pytest.raises(kind):
            await claude(server, retries=0).answer("hi")


async def test_models_are_listed() -> None:
    async with openai_server(Reply()) as server:
        server.models = ("claude-a", "claude-b")
        model = claude(server)
        view = await model.view()
        assert await (await model.models.provider(view)).models() == ["claude-a", "claude-b"]
