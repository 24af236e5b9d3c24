"""The output of an agent's replica, from the node that runs it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from sparkplug.bus import subjects
from sparkplug.bus.service import call
from sparkplug.client.agents import describe
from sparkplug.client.session import Client
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.errors import DeadlineError, InvalidError, NoMeshError, NotFoundError
from sparkplug.schema.node_services import LogsReply, LogsRequest

_DEADLINE_S = 5.0
#: A quiet log is asked for less and less often, up to the longest wait.
_SHORTEST_WAIT_S = 0.1
_LONGEST_WAIT_S = 1.0


async def locate_log(client: Client, name: str, replica: str | None = None) -> ObservedAgent:
    """The replica whose log is meant: the named one, else the first that a node has taken."""
    found = await describe(client, name)
    replicas = [agent for agent in found.replicas if replica in (None, agent.replica)]
    if not replicas:
        there = ", ".join(agent.replica for agent in found.replicas) or "none"
        raise NotFoundError(f"{name} has no replica {replica}", hint=f"there are: {there}")
    own = [agent for agent in replicas if agent.node and not agent.foreign]
    if own:
        return own[0]
    if replicas[0].foreign:
        raise InvalidError(
            f"{name} is a foreign agent: its log is where it was started",
            hint="only agents that SparkPlug runs have their log here",
        )
    raise NotFoundError(f"{name} has no log yet: {replicas[0].reason or replicas[0].state}")


async def read_log(
    client: Client,
    agent: ObservedAgent,
    *,
    lines: int = 200,
    offset: int | None = None,
    before: int | None = None,
    previous: bool = False,
) -> LogsReply:
    """The last `lines` of a replica's log, those before a byte, or what follows one.

    With `previous` it is the log of the process before. Raises NoMeshError when its node is away.
    """
    request = LogsRequest(
        agent=agent.name,
        replica=agent.replica,
        lines=lines,
        offset=offset,
        before=before,
        previous=previous,
    )
    subject = subjects.node_service(agent.node or "", "logs")
    return await call(client.bus, subject, request, LogsReply, deadline=_DEADLINE_S)


async def follow_log(
    client: Client, agent: ObservedAgent, *, lines: int = 200, previous: bool = False
) -> AsyncGenerator[str, None]:
    """The last `lines`, then what is written, for ever; waits out a node that is away."""
    replies = follow_replies(client, agent, lines=lines, previous=previous)
    async with contextlib.aclosing(replies):
        async for reply in replies:
            yield reply.text


async def follow_replies(
    client: Client, agent: ObservedAgent, *, lines: int = 200, previous: bool = False
) -> AsyncGenerator[LogsReply, None]:
    """As `follow_log`, with where in the log each piece stands."""
    reply = await read_log(client, agent, lines=lines, previous=previous)
    yield reply
    wait = _SHORTEST_WAIT_S
    while True:
        await asyncio.sleep(wait)
        try:
            reply = await read_log(client, agent, offset=reply.offset, previous=previous)
        except (NoMeshError, DeadlineError):
            wait = _LONGEST_WAIT_S
            continue
        if reply.text:
            yield reply
            wait = _SHORTEST_WAIT_S
        else:
            wait = min(wait * 1.5, _LONGEST_WAIT_S)


async def last_words(client: Client, name: str, lines: int = 5) -> str:
    """The end of the log of an agent that failed; empty when there is none to be had."""
    try:
        agent = await locate_log(client, name)
        reply = await read_log(client, agent, lines=lines)
    except (NotFoundError, InvalidError, NoMeshError, DeadlineError):
        return ""
    return reply.text.rstrip()
