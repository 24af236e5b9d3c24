"""The threads that agents keep: reading their state, changing it, and the shape of their work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparkplug.bus import subjects
from sparkplug.bus.service import call
from sparkplug.client.agents import target
from sparkplug.client.session import Client
from sparkplug.schema.errors import InvalidError, RefusedError
from sparkplug.schema.thread import (
    AgentGraph,
    ThreadsReply,
    ThreadsRequest,
    ThreadState,
    ThreadView,
)

_ASK_S = 10.0


async def list_threads(client: Client, agent: str, limit: int = 200) -> list[ThreadView]:
    """The threads an agent keeps, the newest first. Raises NotFoundError when it keeps none."""
    return (await _ask(client, agent, verb="list", limit=limit)).threads


async def state(client: Client, agent: str, thread: str, checkpoint: str = "") -> ThreadState:
    """The state of a thread, now or as of a checkpoint. Raises NotFoundError."""
    return (await _ask(client, agent, verb="get", thread=thread, checkpoint=checkpoint)).states[0]


async def history(client: Client, agent: str, thread: str, limit: int = 20) -> list[ThreadState]:
    """The states of a thread, the newest first. Raises NotFoundError."""
    return (await _ask(client, agent, verb="history", thread=thread, limit=limit)).states


async def update(
    client: Client,
    agent: str,
    thread: str,
    values: Mapping[str, Any],
    *,
    as_node: str = "",
    checkpoint: str = "",
) -> ThreadState:
    """Change the state of a thread, as if a node had; with `checkpoint` as it was then.

    Raises InvalidError when the state does not take it, NotFoundError.
    """
    if not values:
        raise InvalidError("nothing to change", hint="key=value, the value as JSON or as text")
    reply = await _ask(
        client,
        agent,
        verb="update",
        thread=thread,
        values=dict(values),
        as_node=as_node,
        checkpoint=checkpoint,
    )
    return reply.states[0]


async def forget(client: Client, agent: str, thread: str) -> None:
    """Delete all that an agent keeps of a thread. Raises NotFoundError."""
    await _ask(client, agent, verb="forget", thread=thread)


async def graph(client: Client, agent: str) -> AgentGraph | None:
    """The shape of an agent's work; None when it has none to show."""
    return (await _ask(client, agent, verb="graph")).graph


async def _ask(client: Client, agent: str, **fields: Any) -> ThreadsReply:
    found = await target(client, agent)
    if found.foreign:
        raise RefusedError(f"{agent} is not run by SparkPlug: its state is its own affair")
    request = ThreadsRequest.model_validate({**fields, "by": client.actor})
    subject = subjects.agent_threads(found.name, found.replica)
    return await call(client.bus, subject, request, ThreadsReply, deadline=_ASK_S)
