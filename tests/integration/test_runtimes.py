"""The conformance suite of runtimes: what each has to do, on a real node, in a real process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.node import Node, eventually
from fakes.runtimes import RUNTIMES, RuntimeCase
from sparkplug.agents.runtimes.port import FAMILIES
from sparkplug.client import agents, cancelling, prompts, questions
from sparkplug.client.events import read_events
from sparkplug.client.session import Client
from sparkplug.client.usage import read_usage
from sparkplug.schema.errors import (
    CancelledRequestError,
    DeadlineError,
    InvalidError,
    SparkplugError,
    WaitingError,
)

_DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def running() -> Iterator[Node]:
    """One node on which every runtime's agent is ready."""
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    node = Node(folder / "state")
    try:
        node.up()
        for case in RUNTIMES:
            node.cli("agents", "deploy", str(case.write(folder / case.name)))
        yield node
    finally:
        node.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=RUNTIMES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> RuntimeCase:
    """Each runtime in turn."""
    found: RuntimeCase = request.param
    return found


@pytest.fixture
async def client(running: Node) -> AsyncIterator[Client]:
    async with running.client() as connected:
        yield connected


async def chunks(
    client: Client, case: RuntimeCase, text: str, **given: Any
) -> list[prompts.PromptChunk]:
    """All of the answer, a piece each."""
    target = await ready(client, case)
    stream = prompts.prompt(client, target, text, **{"deadline": _DEADLINE_S, **given})
    async with contextlib.aclosing(stream) as found:
        return [chunk async for chunk in found]


async def ready(client: Client, case: RuntimeCase) -> Any:
    async def look() -> Any:
        with contextlib.suppress(SparkplugError):
            return await agents.target(client, case.agent)
        return None

    return await eventually(look, _DEADLINE_S)


async def ask(client: Client, case: RuntimeCase, text: str, **given: Any) -> str:
    found = await chunks(client, case, text, **given)
    return "".join(chunk.text for chunk in found if chunk.kind == "text")


async def state_of(client: Client, case: RuntimeCase) -> str:
    found = await agents.list_agents(client)
    return next(str(one.state) for one in found if one.name == case.agent)


def test_every_runtime_is_here() -> None:
    assert {case.name for case in RUNTIMES} == set(FAMILIES)


async def test_it_deploys_and_answers_in_pieces(client: Client, case: RuntimeCase) -> None:
    found = [c.text for c in await chunks(client, case, "say hello there") if c.kind == "text"]
    assert "".join(found) == "said: hello there"
    assert len(found) > 1


async def test_a_structured_call(client: Client, case: RuntimeCase) -> None:
    answer = await ask(client, case, "add", action="add", input={"a": 1, "b": 2})
    assert "3" in answer


async def test_its_own_failure_is_told_and_it_serves_on(client: Client, case: RuntimeCase) -> None:
    with pytest.raises(InvalidError, match="no such thing"):
        await ask(client, case, "fail", action="fail")
    assert await ask(client, case, "say on") == "said: on"


async def test_a_cancel_ends_it(client: Client, case: RuntimeCase) -> None:
    asking = asyncio.create_task(ask(client, case, "hang", action="hang"))

    async def in_hand() -> bool:
        return any(one.requests for one in await cancelling.in_hand(client, case.agent))

    await eventually(in_hand, _DEADLINE_S)
    await cancelling.cancel(client, case.agent, reason="enough")
    with pytest.raises(CancelledRequestError, match="enough"):
        await asking
    assert not await in_hand()
    assert await ask(client, case, "say next") == "said: next"


async def test_a_callers_deadline_holds_for_the_agent_too(
    client: Client, case: RuntimeCase
) -> None:
    with pytest.raises(DeadlineError):
        await ask(client, case, "hang", action="hang", deadline=1.0)

    async def let_go() -> bool:
        return not any(one.requests for one in await cancelling.in_hand(client, case.agent))

    await eventually(let_go, _DEADLINE_S)


async def test_a_conversation_is_remembered_on_its_thread_alone(
    client: Client, case: RuntimeCase
) -> None:
    await ask(client, case, "name Ada", thread="talk one")
    await ask(client, case, "name Grace", thread="talk.two > *")
    assert await ask(client, case, "who", thread="talk one") == "Ada"
    assert await ask(client, case, "who", thread="talk.two > *") == "Grace"
    assert await ask(client, case, "who") == "nobody"


async def test_a_question_to_a_person_ends_the_prompt_and_its_answer_goes_on(
    client: Client, case: RuntimeCase
) -> None:
    with pytest.raises(WaitingError, match="Which colour") as told:
        await ask(client, case, "paint")
    (id_,) = told.value.questions
    asked = await questions.describe(client, id_)
    assert (asked.text, asked.options, asked.waits) == ("Which colour?", ["red", "blue"], True)

    async def waits() -> bool:
        return await state_of(client, case) == "waiting-human"

    await eventually(waits, _DEADLINE_S)
    with pytest.raises(InvalidError, match="red, blue"):
        await questions.answer(client, id_, "green")
    await questions.answer(client, id_, "2")
    async with asyncio.timeout(_DEADLINE_S):
        assert await questions.outcome(client, id_) == "painted blue"
    with pytest.raises(SparkplugError, match="was answered by"):
        await questions.answer(client, id_, "red")

    async def idle() -> bool:
        return await state_of(client, case) == "idle"

    await eventually(idle, _DEADLINE_S)


async def test_tokens_are_counted(client: Client, case: RuntimeCase) -> None:
    await ask(client, case, "think")

    async def counted() -> bool:
        usage = await read_usage(client, case.agent)
        return any(one.tokens_in >= 7 and one.tokens_out >= 3 for one in usage.values())

    await eventually(counted, _DEADLINE_S)


async def test_killed_at_work_it_says_so_and_what_it_knew_is_there_again(
    client: Client, case: RuntimeCase
) -> None:
    """And what a person is asked outlives the process that asked."""
    await ask(client, case, "name Alan", thread="long")
    with pytest.raises(WaitingError) as told:
        await ask(client, case, "paint", thread="brush")
    (id_,) = told.value.questions
    target = await ready(client, case)
    asking = asyncio.create_task(ask(client, case, "hang", action="hang"))

    async def in_hand() -> bool:
        return any(one.requests for one in await cancelling.in_hand(client, case.agent))

    await eventually(in_hand, _DEADLINE_S)
    found = await agents.list_agents(client)
    pid = next(one.pid for one in found if one.name == case.agent)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(SparkplugError, match=r"restarted|ended|SIGKILL"):
        await asking

    async def other() -> bool:
        now = await ready(client, case)
        return bool(now.instance != target.instance)

    await eventually(other, _DEADLINE_S)
    assert await ask(client, case, "who", thread="long") == "Alan"
    assert (await questions.describe(client, id_)).waits
    await questions.answer(client, id_, "red")
    async with asyncio.timeout(_DEADLINE_S):
        assert await questions.outcome(client, id_) == "painted red"


async def test_what_it_does_is_in_the_events(client: Client, case: RuntimeCase) -> None:
    async def names() -> set[str]:
        found = await read_events(client)
        return {one.name for one in found if one.subject.partition("/")[0] == case.agent}

    async def told() -> bool:
        return {"agent:ready", "question:asked", "question:done"} <= await names()

    await eventually(told, _DEADLINE_S)
