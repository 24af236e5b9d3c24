"""What agents take and do: now, as it is published, and their history."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable

from sparkplug.bus import subjects
from sparkplug.bus.service import call
from sparkplug.client.hosts import subscribe
from sparkplug.client.nodes import node_state, read_nodes
from sparkplug.client.session import Client
from sparkplug.schema.errors import DeadlineError, NoMeshError
from sparkplug.schema.node import NodeState
from sparkplug.schema.usage import (
    AgentUsage,
    NodeUsage,
    UsageHistory,
    UsageReply,
    UsageRequest,
)

_DEADLINE_S = 5.0

#: Usage by (agent, replica).
UsageByReplica = dict[tuple[str, str], AgentUsage]


async def read_usage(client: Client, agent: str | None = None) -> UsageByReplica:
    """The usage of every replica now, or of one agent's; of nodes that do not answer none."""
    replies = await _ask(client, UsageRequest(agent=agent))
    return {(u.agent, u.replica): u for reply in replies for u in reply.now.agents}


async def read_history(client: Client, agent: str, seconds: float) -> list[UsageHistory]:
    """The history of an agent's replicas over the last `seconds`, a point every ten."""
    replies = await _ask(client, UsageRequest(agent=agent, seconds=seconds))
    found = [history for reply in replies for history in reply.history]
    return sorted(found, key=lambda history: (len(history.replica), history.replica))


async def follow_usage(client: Client) -> AsyncGenerator[NodeUsage, None]:
    """What every node publishes, every two seconds each, for ever."""
    async with contextlib.aclosing(subscribe(client, subjects.ALL_USAGE, NodeUsage)) as pieces:
        async for piece in pieces:
            yield piece


class LatestUsage:
    """The newest usage of every replica, from what nodes publish piece by piece."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[str, int], NodeUsage] = {}

    def take(self, piece: NodeUsage) -> None:
        """Take in a piece; the first of a time ends what is left of a longer one before."""
        if piece.part == 0:
            for key in [k for k in self._pieces if k[0] == piece.node and k[1] > 0]:
                if (piece.time - self._pieces[key].time).total_seconds() > 2 * _DEADLINE_S:
                    del self._pieces[key]
        self._pieces[piece.node, piece.part] = piece

    def by_replica(self) -> UsageByReplica:
        """All of it."""
        return {(u.agent, u.replica): u for p in self._pieces.values() for u in p.agents}


async def _ask(client: Client, request: UsageRequest) -> Iterable[UsageReply]:
    nodes = await read_nodes(client.bus)
    up = [n.name for n in nodes if node_state(n) not in (NodeState.STOPPED, NodeState.STALE)]
    found = await asyncio.gather(*(_of_node(client, name, request) for name in up))
    return [reply for reply in found if reply is not None]


async def _of_node(client: Client, node: str, request: UsageRequest) -> UsageReply | None:
    """A node's answer; None from one that does not answer, or is of an earlier release."""
    subject = subjects.node_service(node, "usage")
    with contextlib.suppress(NoMeshError, DeadlineError):
        return await call(client.bus, subject, request, UsageReply, deadline=_DEADLINE_S)
    return None
