"""CrewAI's model through the port: called from its threads, with tools, once and no more."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fakes.models import Kept, model_at
from fakes.openai_server import Reply, openai_server
from sparkplug.llm.errors import RateLimitedError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The adapter, imported as its agent processes import it: with CrewAI kept quiet."""
    folder: Path = tmp_path_factory.mktemp("crew")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CREWAI_DISABLE_TELEMETRY", "CREWAI_DISABLE_VERSION_CHECK"):
            patch.setenv(name, "true")
        patch.setenv("CREWAI_TRACING_ENABLED", "false")
        patch.setenv("OTEL_SDK_DISABLED", "true")
        patch.setenv("CREWAI_STORAGE_DIR", str(folder))
        patch.setenv("HOME", str(folder))
        yield importlib.import_module("sparkplug.llm.crewai")
    assert "litellm" not in sys.modules


ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "adds",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}


async def test_a_call_from_a_thread_is_answered_and_in_the_ledger(room: Any) -> None:
    kept = Kept()
    async with openai_server(Reply(["one ", "two STOP three"])) as server:
        llm = room.SparkplugLLM.of(model_at(server.endpoint, "m", sink=kept), stop=["STOP"])
        text = await asyncio.to_thread(llm.call, [{"role": "user", "content": "count"}])
        assert server.requests[0]["stop"] == ["STOP"]
    assert text == "one two"
    assert (kept.records[0].tokens_in, kept.records[0].tokens_out) == (1, 2)
    assert llm.get_token_usage_summary().completion_tokens == 2


async def test_asynchronously_too(room: Any) -> None:
    async with openai_server(Reply.text("ok")) as server:
        llm = room.SparkplugLLM.of(model_at(server.endpoint, "m"))
        assert await llm.acall("hi") == "ok"


async def test_tools_are_given_back_or_called(room: Any) -> None:
    async with openai_server(Reply(calls=[("add", '{"a": 2}')])) as server:
        llm = room.SparkplugLLM.of(model_at(server.endpoint, "m"))
        found = await asyncio.to_thread(llm.call, "?", [ADD])
        assert found[0]["function"] == {"name": "add", "arguments": '{"a": 2}'}
        done = await asyncio.to_thread(
            lambda: llm.call("?", [ADD], available_functions={"add": lambda a: f"sum {a}"})
        )
    assert done == "sum 2"


async def test_an_answer_of_a_model(room: Any) -> None:
    class City(BaseModel):
        name: str

    async with openai_server(Reply.text('{"name": "Bern"}')) as server:
        llm = room.SparkplugLLM.of(model_at(server.endpoint, "m"))
        found = await asyncio.to_thread(lambda: llm.call("?", response_model=City))
    assert found == City(name="Bern")


async def test_crewai_does_not_try_again_on_its_own(room: Any) -> None:
    async with openai_server(Reply(status=429, raw=b"{}")) as server:
        llm = room.SparkplugLLM.of(model_at(server.endpoint, "m", retries=1))
        with pytest.raises(RateLimitedError):
            await asyncio.to_thread(llm.call, "hi")
        assert len(server.requests) == 2


async def test_a_crew_of_one_thinks_with_it(room: Any) -> None:
    from crewai import Agent, Crew, Task

    final = "Thought: I now can give a great answer\nFinal Answer: forty-two"
    async with openai_server(Reply.text(final)) as server:
        llm = room.SparkplugLLM.of(model_at(server.endpoint, "m"))
        agent = Agent(role="sage", goal="answer", backstory="old", llm=llm)
        task = Task(description="What is the answer?", expected_output="a number", agent=agent)
        crew = Crew(agents=[agent], tasks=[task])
        result = await asyncio.to_thread(crew.kickoff)
        assert server.requests
    assert "forty-two" in str(result)
