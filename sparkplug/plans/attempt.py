"""One attempt at a step: find the agent, ask it, and notice when it can no longer answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import nats.errors

from sparkplug.bus import subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.questions import hold, outcome
from sparkplug.bus.service import call as call_service
from sparkplug.plans.replicas import Replicas
from sparkplug.schema.agent import ResolveReply, ResolveRequest, Target
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import DeadlineError, NoMeshError, SparkplugError, WaitingError
from sparkplug.schema.question import LONGEST_QUESTION, Draft

_RESOLVE_DEADLINE_S = 2.0
_PAUSE_S = 0.1


class InterruptedAttemptError(SparkplugError):
    """The attempt was cut short from outside: its agent, its planner or NATS went away."""

    code = "interrupted"


@dataclass(frozen=True, slots=True)
class Ask:
    """What an attempt asks, all templates rendered. `timeout` in seconds, finding included."""

    agent: str | None
    capability: str | None
    action: str | None
    prompt: str
    timeout: float
    input: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def whom(self) -> str:
        """Who is asked, in words."""
        if self.agent is not None:
            return f"agent {self.agent}"
        return f"an agent with the capability {self.capability}"


async def attempt(bus: Bus, replicas: Replicas, ask: Ask) -> tuple[Any, str]:
    """The agent's answer and the name of the agent: JSON to an action, text to a prompt.

    An agent that is not ready is waited for. Raises DeadlineError when the answer is not
    complete within the ask's timeout, InterruptedAttemptError when the agent that worked on it
    or the connection was lost, and the agent's own error.
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
                    target = await _find(bus, ask)
                    if target is not None:
                        missing = f"{target.name}/{target.replica} gave no complete answer"
                        left = max(_PAUSE_S, ends - loop.time())
                        answer = await _asked(bus, replicas, target, ask, context, left)
                        return answer, target.name
                    missing = f"{ask.whom} is not ready"
                except WaitingError as error:
                    # Its request goes on by itself; the step ends with what comes of it.
                    missing = error.message
                    text = await outcome(bus, error.questions[0])
                    return (text if ask.action is None else wire.parsed(text)), error.agent
                except NoMeshError as error:
                    # Nothing was delivered: whoever takes it next may have it.
                    missing = error.message
                await asyncio.sleep(_PAUSE_S)
    except TimeoutError as error:
        raise DeadlineError(f"{missing}, after {ask.timeout:g} s") from error


async def _find(bus: Bus, ask: Ask) -> Target | None:
    """A replica that is the least busy, any of those that are equally so."""
    try:
        reply = await call_service(
            bus,
            subjects.AGENTS_RESOLVE,
            ResolveRequest(name=ask.agent, capability=ask.capability),
            ResolveReply,
            deadline=_RESOLVE_DEADLINE_S,
        )
    except DeadlineError as error:
        raise NoMeshError(f"nobody says who {ask.whom} is: {error.message}") from error
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
) -> Any:
    """The answer, unless what gives it is lost first."""
    answer = asyncio.ensure_future(_answer(bus, target, ask, context, left))
    losses = [
        asyncio.ensure_future(replicas.lost(target)),
        asyncio.ensure_future(_connection_lost(bus)),
    ]
    try:
        await asyncio.wait([answer, *losses], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise InterruptedAttemptError(next(loss.result() for loss in losses if loss.done()))
    finally:
        await end(answer, *losses)


async def _answer(
    bus: Bus, target: Target, ask: Ask, context: Mapping[str, Any], left: float
) -> Any:
    epoch = bus.epoch

    async def query(question: str) -> str:
        """What a foreign agent asks back, a person is asked."""
        draft = Draft(text=question[:LONGEST_QUESTION] or "?")
        by = f"run {context.get('run', '')}"
        found = await hold(bus, subjects.QUESTIONS_HOLD, draft, foreign=target.name, by=by)
        return str(found.value)

    try:
        if ask.action is not None:
            return await wire.call(
                bus, target, ask.action, ask.input, context=context, query=query, deadline=left
            )
        stream = wire.prompt(bus, target, ask.prompt, context=context, deadline=left)
        return await wire.whole(stream, query)
    except wire.LostAnswererError as error:
        raise InterruptedAttemptError(error.message) from error
    except (NoMeshError, nats.errors.Error) as error:
        if isinstance(error, NoMeshError) and bus.connected and bus.epoch == epoch:
            raise
        raise InterruptedAttemptError(_CONNECTION_LOST) from error


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
