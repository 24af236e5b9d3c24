"""One attempt at a step: find the agent, ask it, and notice when it can no longer answer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import nats.errors
from synadia_ai.agents import Query, ResponseChunk, StatusChunk

from sparkplug.bus import subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.questions import hold
from sparkplug.plans.replicas import Replicas
from sparkplug.plans.spent import tokens_in_answer, tokens_in_status
from sparkplug.schema.agent import ResolveReply, ResolveRequest, Target
from sparkplug.schema.agent_control import Withdrawal
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import DeadlineError, NoMeshError, SparkplugError
from sparkplug.schema.question import LONGEST_QUESTION, Draft

_PAUSE_S = 0.1

#: Answers who could be asked; raises NoMeshError when nobody can tell.
Find = Callable[[ResolveRequest], Awaitable[ResolveReply]]


class InterruptedAttemptError(SparkplugError):
    """The attempt was cut short from outside: its agent, its planner or NATS went away."""

    code = "interrupted"


class IdleError(DeadlineError):
    """The agent said nothing for too long."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What an attempt asks, all templates rendered.

    `timeout` in seconds, finding included; `idle` the seconds without a word that end it.
    """

    agent: str | None
    capability: str | None
    action: str | None
    prompt: str
    timeout: float
    idle: float | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def whom(self) -> str:
        """Who is asked, in words."""
        if self.agent is not None:
            return f"agent {self.agent}"
        return f"an agent with the capability {self.capability}"


@dataclass(slots=True)
class Answer:
    """What came of an attempt: JSON to an action, text to a prompt; who gave it; what it used."""

    output: Any = None
    agent: str = ""
    tokens: int = 0


async def attempt(bus: Bus, replicas: Replicas, find: Find, ask: Ask, answer: Answer) -> None:
    """Ask, and fill in `answer`; what was used is there also when the attempt fails.

    An agent that is not ready is waited for. Raises DeadlineError when the answer is not
    complete within the ask's timeout, IdleError, InterruptedAttemptError when the agent that
    worked on it or the connection was lost, WaitingError when its request waits for a person, and
    the agent's own error.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + ask.timeout
    missing = f"{ask.whom} is not ready"
    context = {
        **ask.context,
        "deadline": (utc_now() + timedelta(seconds=ask.timeout)).isoformat(),
    }
    try:
        async with asyncio.timeout(ask.timeout):
            while True:
                try:
                    target = await _find(find, ask)
                    if target is not None:
                        missing = f"{target.name}/{target.replica} gave no complete answer"
                        left = max(_PAUSE_S, ends - loop.time())
                        answer.agent = target.name
                        await _asked(bus, replicas, target, ask, context, left, answer)
                        return
                    missing = f"{ask.whom} is not ready"
                except NoMeshError as error:
                    # Nothing was delivered: whoever takes it next may have it.
                    missing = error.message
                await asyncio.sleep(_PAUSE_S)
    except TimeoutError as error:
        raise DeadlineError(f"{missing}, after {ask.timeout:g} s") from error


async def _find(find: Find, ask: Ask) -> Target | None:
    """A replica that is the least busy, any of those that are equally so."""
    reply = await find(ResolveRequest(name=ask.agent, capability=ask.capability))
    if not reply.targets:
        return None
    least = min(target.inflight for target in reply.targets)
    return random.choice(  # noqa: S311  spreads load, guards nothing
        [target for target in reply.targets if target.inflight == least]
    )


async def _asked(
    bus: Bus,
    replicas: Replicas,
    target: Target,
    ask: Ask,
    context: Mapping[str, Any],
    left: float,
    answer: Answer,
) -> None:
    """The answer, unless what gives it is lost first."""
    asking = asyncio.ensure_future(_answer(bus, target, ask, context, left, answer))
    losses = [
        asyncio.ensure_future(replicas.lost(target)),
        asyncio.ensure_future(_connection_lost(bus)),
    ]
    try:
        await asyncio.wait([asking, *losses], return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            asking.result()
            return
        raise InterruptedAttemptError(next(loss.result() for loss in losses if loss.done()))
    finally:
        await end(asking, *losses)


async def _answer(
    bus: Bus,
    target: Target,
    ask: Ask,
    context: Mapping[str, Any],
    left: float,
    answer: Answer,
) -> None:
    epoch = bus.epoch
    parts: list[str] = []
    call, over = secrets.token_hex(16), False
    text = ask.prompt if ask.action is None else ask.action
    stream = wire.prompt(
        bus,
        target,
        text,
        action=ask.action,
        input=ask.input if ask.action is not None else None,
        context=context if target.foreign else {**context, "call": call},
        deadline=left,
    )
    try:
        async with asyncio.timeout(ask.idle) as silence, contextlib.aclosing(stream) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, ResponseChunk):
                    parts.append(chunk.text)
                elif isinstance(chunk, StatusChunk):
                    answer.tokens += tokens_in_status(chunk.status)
                    if chunk.status == "ack":
                        continue
                elif isinstance(chunk, Query):
                    silence.reschedule(None)
                    await chunk.reply(await _person(bus, target, chunk.prompt, context))
                if ask.idle is not None:
                    silence.reschedule(asyncio.get_running_loop().time() + ask.idle)
        over = True
    except TimeoutError as error:
        if not silence.expired():
            raise
        raise IdleError(
            f"{target.name}/{target.replica} said nothing for {ask.idle:g} s"
        ) from error
    except wire.LostAnswererError as error:
        raise InterruptedAttemptError(error.message) from error
    except (NoMeshError, nats.errors.Error) as error:
        if isinstance(error, NoMeshError) and bus.connected and bus.epoch == epoch:
            over = True  # nobody took it
            raise
        raise InterruptedAttemptError(_CONNECTION_LOST) from error
    except DeadlineError:
        raise
    except SparkplugError:
        over = True
        raise
    finally:
        if not over and not target.foreign:
            await _withdraw(bus, target, call)
    said = "".join(parts)
    answer.output = said if ask.action is None else wire.parsed(said)
    answer.tokens += tokens_in_answer(answer.output)


async def _withdraw(bus: Bus, target: Target, call: str) -> None:
    """Have the agent stop: the run was cancelled, or its time is over."""
    told = Withdrawal(call=call)
    with contextlib.suppress(nats.errors.Error):
        subject = subjects.withdraw(target.name, target.replica)
        await bus.nc.publish(subject, told.model_dump_json().encode())


async def _person(bus: Bus, target: Target, question: str, context: Mapping[str, Any]) -> str:
    """What an agent asks back, a person is asked, while the agent holds the line."""
    draft = Draft(text=question[:LONGEST_QUESTION] or "?")
    by = f"run {context.get('run', '')}"
    found = await hold(bus, subjects.QUESTIONS_HOLD, draft, foreign=target.name, by=by)
    return str(found.value)


_CONNECTION_LOST = "the connection to NATS was lost while the agent worked"


async def _connection_lost(bus: Bus) -> str:
    """Wait until the connection is a new one: what was sent to the old one is not told again."""
    lost = asyncio.Event()

    async def on_reconnect() -> None:
        lost.set()

    remove = bus.on_reconnect(on_reconnect)
    try:
        await lost.wait()
    finally:
        remove()
    return _CONNECTION_LOST
