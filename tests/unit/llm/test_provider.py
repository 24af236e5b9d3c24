"""A model behind an OpenAI-compatible endpoint, against a scripted server on a real socket."""

from __future__ import annotations

import pytest

from fakes.openai_server import Reply, openai_server
from sparkplug.llm.provider import Model, NoModelError


async def test_the_answer_streams_and_the_named_model_is_asked() -> None:
    async with openai_server(Reply(["hel", "lo"])) as server:
        model = Model(server.endpoint, "mine")
        assert [piece async for piece in model.stream("hi", system="be brief")] == ["hel", "lo"]
        request = server.requests[0]
        assert request["model"] == "mine"
        assert [m["role"] for m in request["messages"]] == ["system", "user"]
        assert request["stream"] is True


async def test_without_a_name_the_first_listed_model_is_asked() -> None:
    async with openai_server(Reply.text("ok")) as server:
        server.models = ("first", "second")
        assert await Model(server.endpoint).answer("hi") == "ok"
        assert server.requests[0]["model"] == "first"
        server.models = ()
        with pytest.raises(NoModelError, match="lists no model"):
            await Model(server.endpoint).answer("hi")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=429, raw=b"{}"), "429"),
        (Reply(raw=b"data: {not json}\n\n"), "malformed"),
        (Reply(["a"], hang=True), "does not answer|no complete answer"),
    ],
)
async def test_what_is_no_answer_says_why(reply: Reply, said: str) -> None:
    async with openai_server(reply) as server:
        with pytest.raises(NoModelError, match=said) as caught:
            await Model(server.endpoint, "m", timeout=0.5).answer("hi")
        assert caught.value.where == server.endpoint


async def test_no_endpoint_says_how_to_name_one() -> None:
    with pytest.raises(NoModelError, match="no model is configured") as caught:
        await Model().answer("hi")
    assert "llm.endpoint" in str(caught.value)
