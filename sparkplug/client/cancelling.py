"""Cancelling what agents work on: asked of each replica, which answers what let go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from sparkplug.bus import subjects
from sparkplug.bus.service import call
from sparkplug.client.agents import replicas, require_managed
from sparkplug.client.session import Client
from sparkplug.schema.agent import SERVING, AgentState, ObservedAgent, Target
from sparkplug.schema.agent_control import LET_GO_S, ControlReply, ControlRequest, RequestView
from sparkplug.schema.errors import (
    ConflictError,
    DeadlineError,
    NoMeshError,
    NotFoundError,
    RefusedError,
    SparkplugError,
)
from sparkplug.schema.event import present

_ASK_S = 2.0


@dataclass(frozen=True, slots=True)
class InHand:
    """What one replica has in hand; None when it does not answer."""

    replica: str
    requests: list[RequestView] | None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of a cancel at one replica: the ids that ended, and those that did not.

    `answered` is False when the replica said nothing: its code holds its event loop.
    """

    replica: str
    cancelled: list[str]
    stuck: list[str]
    answered: bool = True


async def in_hand(client: Client, name: str, replica: str | None = None) -> list[InHand]:
    """The requests that the replicas of an agent work on now. Raises NotFoundError."""
    return await _in_hand(client, await _replicas(client, name, replica))


async def cancel(
    client: Client,
    name: str,
    replica: str | None = None,
    *,
    every: bool = False,
    request: str | None = None,
    reason: str = "",
) -> list[Cancelled]:
    """Cancel what an agent works on; its callers are told by whom. Empty: it had nothing.

    Without `replica` or `request` only where one replica alone is busy, or with `every` of
    them. Raises NotFoundError (such an agent, replica or request), ConflictError when it is not
    clear which replica is meant, and SparkplugError when code did not let go in time.
    """
    replicas = await _replicas(client, name, replica)
    found = await _in_hand(client, replicas)
    busy = [one for one in found if one.requests is None or one.requests]
    if request is not None:
        busy = [
            one for one in busy if one.requests and request in {view.id for view in one.requests}
        ]
        if not busy:
            raise NotFoundError(
                f"{name} works on no request {request}",
                hint=f"`sparkplug agents describe {name}` shows what it has in hand",
            )
    if replica is None and request is None and not every and len(busy) > 1:
        names = ", ".join(f"{name}/{one.replica}" for one in busy)
        raise ConflictError(
            f"{len(busy)} replicas of {name} are at work: {names}",
            hint="name one of them, or --all cancels what all of them do",
        )
    ask = ControlRequest(cancel=True, request=request, by=client.actor, reason=reason)
    done = await asyncio.gather(*(_cancel(client, name, one.replica, ask) for one in busy))
    for one in done:
        await _tell(client, name, one, reason)
    _raise_stuck(name, done)
    return done


async def cancel_asked(client: Client, target: Target, call: str, reason: str = "") -> bool:
    """Cancel one prompt, by the id that its caller asked it under; False: nothing of it goes on.

    Raises SparkplugError when code did not let go in time, RefusedError for a foreign agent: it
    cannot be told.
    """
    where = f"{target.name}/{target.replica}"
    if target.foreign:
        raise RefusedError(f"{where} is foreign: what it was asked cannot be cancelled")
    ask = ControlRequest(cancel=True, request=call, by=client.actor, reason=reason)
    done = await _cancel(client, target.name, target.replica, ask)
    if done.cancelled or done.stuck:
        await _tell(client, target.name, done, reason)
    _raise_stuck(target.name, [done])
    return bool(done.cancelled)


async def _tell(client: Client, name: str, done: Cancelled, reason: str) -> None:
    await client.emit(
        "agent:cancelled",
        f"{name}/{done.replica}",
        requests=done.cancelled,
        **present(stuck=done.stuck, reason=reason),
    )


async def _replicas(client: Client, name: str, replica: str | None) -> list[ObservedAgent]:
    await require_managed(client, name)
    ours = [a for a in await replicas(client, name) if not a.foreign]
    if replica is None:
        serving = (*SERVING, AgentState.STALE, AgentState.STOPPING)
        return [agent for agent in ours if agent.state in serving]
    chosen = [agent for agent in ours if agent.replica == replica]
    if not chosen:
        there = ", ".join(agent.replica for agent in ours)
        raise NotFoundError(f"{name} has no replica {replica}", hint=f"there are: {there}")
    return chosen


async def _in_hand(client: Client, replicas: Iterable[ObservedAgent]) -> list[InHand]:
    async def ask(agent: ObservedAgent) -> InHand:
        subject = subjects.agent_control(agent.name, agent.replica)
        try:
            reply = await call(client.bus, subject, ControlRequest(), ControlReply, deadline=_ASK_S)
        except NoMeshError:
            return InHand(agent.replica, [])  # no process of it is on the bus
        except DeadlineError:
            return InHand(agent.replica, None)
        return InHand(agent.replica, reply.requests)

    return await asyncio.gather(*map(ask, replicas))


async def _cancel(client: Client, name: str, replica: str, ask: ControlRequest) -> Cancelled:
    subject = subjects.agent_control(name, replica)
    try:
        reply = await call(client.bus, subject, ask, ControlReply, deadline=LET_GO_S + _ASK_S)
    except NoMeshError:
        return Cancelled(replica, [], [])
    except DeadlineError:
        return Cancelled(replica, [], [], answered=False)
    return Cancelled(replica, reply.cancelled, reply.stuck)


def _raise_stuck(name: str, done: Iterable[Cancelled]) -> None:
    stuck = [one for one in done if one.stuck or not one.answered]
    if stuck:
        who = ", ".join(f"{name}/{one.replica}" for one in stuck)
        raise SparkplugError(
            f"{who}: it did not stop within {LET_GO_S:g} s, its code does not yield",
            hint=f"restart it: `sparkplug agents restart {name}`",
        )
