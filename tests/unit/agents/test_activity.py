"""The one state of many requests comes from what each of them does."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from sparkplug.agents.context import Activity, Context, RequestActivity, Routes
from sparkplug.bus.connection import Bus
from sparkplug.llm.chat import ChatModel
from sparkplug.llm.errors import NoModelError
from sparkplug.llm.port import Answer, Ask, TextDelta
from sparkplug.schema.agent_state import AgentState


def context(activity: RequestActivity, model: ChatModel) -> Context:
    async def progress(_: str) -> None:
        return

    bus = Bus("nats://127.0.0.1:9", "_INBOX.test")
    return Context(
        bus=bus,
        agent="tested",
        replica="0",
        host="gpu-1",
        activity=activity,
        routes=Routes(bus),
        model=model,
        progress=progress,
        ids={},
    )


def test_one_that_asks_much_does_not_hide_one_that_works() -> None:
    activity = Activity(lambda: None)
    with activity.request() as one, activity.request():
        with one.doing("asking"), one.doing("asking"):
            assert activity.state is AgentState.RUNNING
        assert activity.inflight == 2
    assert activity.state is AgentState.IDLE


def test_all_wait_for_others() -> None:
    activity = Activity(lambda: None)
    with activity.request() as one, activity.request() as two:
        with one.doing("asking"), two.doing("asking"):
            assert activity.state is AgentState.WAITING_AGENT
            with two.doing("thinking"):
                assert activity.state is AgentState.THINKING
        assert activity.state is AgentState.RUNNING


@pytest.mark.parametrize("seed", range(5))
def test_in_any_order_of_beginnings_and_ends_the_rule_holds(seed: int) -> None:
    rng = random.Random(seed)
    told: list[None] = []
    activity = Activity(lambda: told.append(None))
    open_: list[tuple[RequestActivity, contextlib.ExitStack, list[str]]] = []
    for _ in range(300):
        before = len(told)
        if open_ and rng.random() < 0.4:
            _, stack, _ = open_.pop(rng.randrange(len(open_)))
            stack.close()
        elif open_ and rng.random() < 0.6:
            one, stack, doing = rng.choice(open_)
            what = rng.choice(["asking", "thinking"])
            stack.enter_context(one.doing(what))  # type: ignore[arg-type]
            doing.append(what)
        else:
            stack = contextlib.ExitStack()
            open_.append((stack.enter_context(activity.request()), stack, []))
        assert len(told) > before
        does = [doing for _, _, doing in open_]
        if not does:
            assert activity.state is AgentState.IDLE
        elif any("thinking" in doing for doing in does):
            assert activity.state is AgentState.THINKING
        elif not all(does):
            assert activity.state is AgentState.RUNNING
        else:
            assert activity.state is AgentState.WAITING_AGENT
    for _, stack, _ in open_:
        stack.close()
    assert (activity.inflight, activity.state) == (0, AgentState.IDLE)


class Slow(ChatModel):
    """A model that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = asyncio.Semaphore(0), asyncio.Event()

    async def events(self, ask: Ask, *, hold: bool = False):  # type: ignore[no-untyped-def]
        with self._calling():
            self.asked.release()
            await self.go.wait()
            yield TextDelta("yes")
            yield Answer("yes")


async def test_every_way_to_a_model_counts_and_requests_do_not_mix() -> None:
    activity = Activity(lambda: None)
    model = Slow()

    async def complete() -> str:
        with activity.request() as one:
            return "".join([piece async for piece in context(one, model).llm.stream("?")])

    async def answer() -> str:
        with activity.request() as one:
            return (await context(one, model).llm.answer("?")).text

    with activity.request():
        both = asyncio.gather(complete(), answer())
        for _ in range(2):
            await model.asked.acquire()
        assert activity.state is AgentState.THINKING
        assert sorted(one.thinking for one in activity._requests) == [0, 1, 1]
        model.go.set()
        assert await both == ["yes", "yes"]
        assert activity.state is AgentState.RUNNING


async def test_a_call_that_fails_or_is_cancelled_is_not_counted_on() -> None:
    activity = Activity(lambda: None)
    with activity.request() as one:
        with pytest.raises(NoModelError):
            await context(one, ChatModel()).llm.answer("?")
        assert activity.state is AgentState.RUNNING
        model = Slow()
        call = asyncio.create_task(context(one, model).llm.answer("?"))
        await model.asked.acquire()
        assert activity.state is AgentState.THINKING
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert activity.state is AgentState.RUNNING
