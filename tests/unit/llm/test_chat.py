"""Asking a model: streamed and whole, with tools and schemas, against a scripted server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest
from pydantic import BaseModel

from fakes.models import Kept, model_at
from fakes.openai_server import OpenAiServer, Reply, openai_server
from sparkplug.llm.errors import (
    BrokenAnswerError,
    ContextLengthError,
    MalformedAnswerError,
    ModelRefusedError,
    ModelTimeoutError,
    ModelUnavailableError,
    NoModelError,
    RateLimitedError,
)
from sparkplug.llm.port import Image, Message, Tool, ToolCall

WEATHER = Tool(
    "get_weather",
    "The weather of a city",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)


async def test_the_answer_streams_and_the_named_model_is_asked() -> None:
    kept = Kept()
    async with openai_server(Reply(["hel", "lo"])) as server:
        model = model_at(server.endpoint, "mine", sink=kept)
        assert [piece async for piece in model.stream("hi", system="be brief")] == ["hel", "lo"]
        request = server.requests[0]
        assert request["model"] == "mine"
        assert [m["role"] for m in request["messages"]] == ["system", "user"]
        assert request["stream"] is True
    (record,) = kept.records
    assert (record.tokens_in, record.tokens_out, record.outcome) == (3, 2, "ok")
    assert record.agent == "tested"
    assert record.served == "mine"
    assert record.first_token_seconds is not None
    assert not record.tokens_estimated


async def test_without_a_name_the_first_listed_model_is_asked() -> None:
    async with openai_server(Reply.text("ok")) as server:
        server.models = ("first", "second")
        answer = await model_at(server.endpoint).answer("hi")
        assert (answer.text, answer.model) == ("ok", "first")
        assert server.requests[0]["model"] == "first"
        server.models = ()
        with pytest.raises(NoModelError, match="lists no model"):
            await model_at(server.endpoint).answer("hi")


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (Reply(status=429, raw=b"{}"), RateLimitedError, "429"),
        (Reply(status=500, raw=b"{}"), ModelUnavailableError, "500"),
        (Reply(status=401, raw=b"{}"), ModelRefusedError, "does not take this key"),
        (Reply(status=404, raw=b'{"error": {"message": "no such"}}'), ModelRefusedError, "no such"),
        (
            Reply(status=400, raw=b'{"error": {"message": "maximum context length is 8"}}'),
            ContextLengthError,
            "maximum context",
        ),
        (Reply(raw=b"data: {not json\n\n"), MalformedAnswerError, "malformed"),
        (Reply(raw=b'data: {"choices": 3}\n\n'), MalformedAnswerError, "malformed"),
        (Reply(["a"], cut=True), BrokenAnswerError, "broke off"),
        (Reply(["a"], hang=True), ModelTimeoutError, "middle of its answer within 0.2 s"),
        (Reply(hang=True), ModelTimeoutError, "did not begin to answer within 0.3 s"),
        (Reply(["a"] * 50, gap=0.05), ModelTimeoutError, "no complete answer within 0.6 s"),
    ],
)
async def test_what_is_no_answer_says_why(
    reply: Reply, kind: type[NoModelError], said: str
) -> None:
    async with openai_server(reply) as server:
        patience = {"first_token_timeout": 0.3, "token_timeout": 0.2, "timeout": 0.6}
        with pytest.raises(kind, match=said) as caught:
            await model_at(server.endpoint, "m", retries=0, **patience).answer("hi")
        assert caught.value.where == server.endpoint


async def test_no_endpoint_says_how_to_name_one() -> None:
    model = model_at()
    assert not await model.available()
    with pytest.raises(NoModelError, match="no model is configured") as caught:
        await model.answer("hi")
    assert "llm.endpoint" in str(caught.value)
    with pytest.raises(NoModelError, match="there is no model big"):
        await model.named("big").answer("hi")


async def test_nobody_at_the_endpoint_is_unavailable() -> None:
    async with openai_server(Reply()) as server:
        gone = server.endpoint
    with pytest.raises(ModelUnavailableError, match="does not answer"):
        await model_at(gone, "m", retries=1).answer("hi")


async def test_an_endpoint_that_takes_no_connection_is_given_up() -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # nobody accepts these, and there is no place for more
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        endpoint = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        with pytest.raises(ModelTimeoutError, match="cannot be reached in time"):
            await model_at(endpoint, "m", retries=0, connect_timeout=0.2).answer("hi")


async def test_a_failed_call_is_made_again_and_both_are_in_the_ledger() -> None:
    kept = Kept()
    replies = [Reply(status=500, raw=b"{}"), Reply(["a"], cut=True), Reply.text("right")]
    async with openai_server(*replies) as server:
        answer = await model_at(server.endpoint, "m", sink=kept).answer("one two")
    assert answer.text == "right"
    assert [r.outcome for r in kept.records] == ["model_unavailable", "model_broken", "ok"]
    assert [r.attempt for r in kept.records] == [1, 2, 3]
    assert sum(r.tokens_in for r in kept.records) == server.tokens_in == 4
    assert sum(r.tokens_out for r in kept.records) == server.tokens_out == 2


async def test_retry_after_is_waited_for_and_not_beyond_the_deadline() -> None:
    slow = Reply(status=429, raw=b"{}", headers=["Retry-After: 0.4"])
    loop = asyncio.get_running_loop()
    async with openai_server(slow, Reply.text("now")) as server:
        began = loop.time()
        assert (await model_at(server.endpoint, "m").answer("hi")).text == "now"
        assert loop.time() - began >= 0.4
    later = Reply(status=429, raw=b"{}", headers=["Retry-After: 900"])
    async with openai_server(later) as server:
        with pytest.raises(RateLimitedError) as caught:
            await model_at(server.endpoint, "m", timeout=5).answer("hi")
        assert caught.value.retry_after == 900
        assert len(server.requests) == 1


async def test_a_stream_that_broke_off_goes_on_where_it_was() -> None:
    replies = [Reply(["one ", "two "], cut=True), Reply(["one two th", "ree"])]
    async with openai_server(*replies) as server:
        pieces = [piece async for piece in model_at(server.endpoint, "m").stream("count")]
    assert "".join(pieces) == "one two three"
    assert pieces[:2] == ["one ", "two "]


async def test_a_second_try_that_says_something_else_is_no_answer() -> None:
    replies = [Reply(["one "], cut=True), Reply(["eins "])]
    told: list[str] = []
    async with openai_server(*replies) as server:
        with pytest.raises(BrokenAnswerError, match="gave another"):
            async for piece in model_at(server.endpoint, "m").stream("count"):
                told.append(piece)
    assert told == ["one "]


async def test_tools_are_offered_and_calls_come_whole() -> None:
    reply = Reply(calls=[("get_weather", '{"city": "Bern"}')])
    async with openai_server(reply) as server:
        answer = await model_at(server.endpoint, "m").answer("weather?", tools=[WEATHER])
        told = server.requests[0]["tools"][0]["function"]
        assert (told["name"], told["parameters"]["required"]) == ("get_weather", ["city"])
    assert answer.calls == (ToolCall("c0", "get_weather", {"city": "Bern"}),)


@pytest.mark.parametrize(
    "call",
    [
        ("functions.get-weather", '{"city": "Bern"}'),
        ("Get_Weather", '```json\n{"city": "Bern"}\n```'),
        ("get_weather", '{"city": "Bern",}'),
        ("get_weather", '"{\\"city\\": \\"Bern\\"}"'),
    ],
)
async def test_a_call_that_is_nearly_right_is_repaired(call: tuple[str, str]) -> None:
    async with openai_server(Reply(calls=[call])) as server:
        answer = await model_at(server.endpoint, "m").answer("weather?", tools=[WEATHER])
        assert len(server.requests) == 1
    assert answer.calls[0].name == "get_weather"
    assert answer.calls[0].arguments == {"city": "Bern"}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("get_wether_report", "{}"), "there is no tool 'get_wether_report'"),
        (("get_weather", '{"city": '), "not JSON"),
        (("get_weather", '{"town": "Bern"}'), "at \\$"),
        (("get_weather", "[1]"), "an object is wanted"),
    ],
)
async def test_a_wrong_call_is_asked_for_again_and_then_given_up(
    call: tuple[str, str], said: str
) -> None:
    right = Reply(calls=[("get_weather", '{"city": "Bern"}')])
    async with openai_server(Reply(calls=[call]), right) as server:
        answer = await model_at(server.endpoint, "m").answer("weather?", tools=[WEATHER])
        assert answer.calls[0].arguments == {"city": "Bern"}
        assert "cannot be used" in server.requests[1]["messages"][-1]["content"]
    async with openai_server(Reply(calls=[call])) as server:
        with pytest.raises(MalformedAnswerError, match=said):
            await model_at(server.endpoint, "m", repairs=1).answer("weather?", tools=[WEATHER])
        assert len(server.requests) == 2


class City(BaseModel):
    name: str
    people: int


@pytest.mark.parametrize("knows", [True, False])
async def test_an_answer_with_a_schema_is_of_that_kind(knows: bool) -> None:
    text = 'Here you are:\n```json\n{"name": "Bern", "people": 134000}\n```\nBye.'
    async with openai_server(Reply.text(text)) as server:
        server.knows = knows
        answer = await model_at(server.endpoint, "m").answer("?", schema=City)
        assert ("response_format" in server.requests[0]) is knows
    assert answer.value == City(name="Bern", people=134000)


async def test_json_that_does_not_hold_is_asked_for_again() -> None:
    wrong, right = '{"name": "Bern"}', '{"name": "Bern", "people": 1}'
    async with openai_server(Reply.text(wrong), Reply.text(right)) as server:
        answer = await model_at(server.endpoint, "m").answer("?", schema=City)
        assert "'people' is a required property" in server.requests[1]["messages"][-1]["content"]
    assert answer.value.people == 1
    async with openai_server(Reply.text("no")) as server:
        with pytest.raises(MalformedAnswerError, match="not JSON"):
            await model_at(server.endpoint, "m").answer("?", schema=City)
        assert len(server.requests) == 3


async def test_a_conversation_with_tools_and_pictures_is_told_as_the_protocol_has_it() -> None:
    messages = [
        Message("user", "look", images=(Image(b"png"),)),
        Message("assistant", "", (ToolCall("c1", "get_weather", {"city": "Bern"}),)),
        Message("tool", "rain", call_id="c1"),
    ]
    async with openai_server(Reply.text("wet")) as server:
        models = {"see": {"endpoint": server.endpoint, "model": "m", "abilities": ["vision"]}}
        assert (await model_at(models=models).answer(messages)).text == "wet"
        told = server.requests[0]["messages"]
    assert told[0]["content"][1]["image_url"]["url"] == "data:image/png;base64,cG5n"
    assert json.loads(told[1]["tool_calls"][0]["function"]["arguments"]) == {"city": "Bern"}
    assert told[2] == {"role": "tool", "content": "rain", "tool_call_id": "c1"}


async def test_a_server_that_knows_no_continuous_usage_is_asked_without() -> None:
    async with openai_server(Reply.text("ok")) as server:
        server.knows = False
        model = model_at(server.endpoint, "m")
        assert (await model.answer("hi")).text == "ok"
        assert (await model.answer("hi")).usage.tokens_out == 1
        assert "continuous_usage_stats" not in server.requests[-1]["stream_options"]


async def test_tokens_that_a_server_does_not_count_are_estimates_that_say_so() -> None:
    kept = Kept()
    async with openai_server(Reply(["a", "b", "c"], usage=False)) as server:
        await model_at(server.endpoint, "m", sink=kept).answer("x" * 40)
    assert kept.records[0].tokens_estimated
    assert (kept.records[0].tokens_in, kept.records[0].tokens_out) == (10, 3)


async def test_a_cancelled_call_is_counted_to_where_it_came() -> None:
    kept = Kept()
    async with openai_server(Reply(["a", "b"], hang=True)) as server:
        model = model_at(server.endpoint, "m", sink=kept)
        came = asyncio.Event()

        async def read() -> None:
            async for piece in model.stream("one two three"):
                if piece == "b":
                    came.set()

        reading = asyncio.create_task(read())
        await came.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert _counts(kept) == (server.tokens_in, server.tokens_out) == (3, 2)
    assert kept.records[0].outcome == "cancelled"


async def test_another_model_takes_over_and_the_one_that_fails_is_left_alone() -> None:
    async with (
        openai_server(Reply(status=500, raw=b"{}")) as bad,
        openai_server(Reply.text("from b")) as good,
    ):
        model = model_at(models={"a": _at(bad), "b": {**_at(good), "price_in": 1}})
        for _ in range(4):
            assert (await model.answer("hi")).text == "from b"
        # After three failures it is not asked for a while.
        assert len(bad.requests) == 3
        found = await model.route()
        assert "left alone" in found.choices[-1].reasons[0]


async def test_a_named_model_is_asked_alone_unless_it_names_others() -> None:
    async with (
        openai_server(Reply(status=500, raw=b"{}")) as bad,
        openai_server(Reply.text("from b")) as good,
    ):
        alone = model_at(models={"a": _at(bad), "b": _at(good)}, retries=1)
        with pytest.raises(ModelUnavailableError):
            await alone.named("a").answer("hi")
        both = model_at(models={"a": {**_at(bad), "fallback": ["b"]}, "b": _at(good)})
        assert (await both.named("a").answer("hi")).text == "from b"


def _at(server: OpenAiServer) -> dict[str, object]:
    return {"endpoint": server.endpoint, "model": "m"}


def _counts(kept: Kept) -> tuple[int, int]:
    return sum(r.tokens_in for r in kept.records), sum(r.tokens_out for r in kept.records)
