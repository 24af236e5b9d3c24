"""Models: what the hosts of a mesh can ask, whom `auto` would choose, and what calls took."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Literal

from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy

from sparkplug.bus import subjects
from sparkplug.bus.reading import Mark, follow
from sparkplug.bus.service import call
from sparkplug.client.deadline import within
from sparkplug.client.nodes import node_state, read_nodes
from sparkplug.client.observed import read_observed
from sparkplug.client.session import Client
from sparkplug.schema.agent import SERVING, ObservedAgent
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import DeadlineError, NoMeshError, NotFoundError
from sparkplug.schema.ledger_pack import unpack
from sparkplug.schema.llm import (
    Ability,
    CallRecord,
    LoadRequest,
    ModelsReply,
    ModelsRequest,
    ModelUsage,
    ModelView,
    RouteReply,
    RouteRequest,
)
from sparkplug.schema.node import NodeState
from sparkplug.schema.problems import did_you_mean
from sparkplug.schema.text import one_line

_DEADLINE_S = 3.0
_LOAD_DEADLINE_S = 600.0
_READ_DEADLINE_S = 60.0

#: What calls can be added up by.
By = Literal["agent", "run", "model", "host"]


async def list_models(client: Client) -> list[ModelView]:
    """Every model that a host of the mesh can ask, by name; of hosts that do not answer none."""
    names = await _up(client)
    found = await asyncio.gather(*(_of_node(client, name) for name in names))
    views = [view for reply in found if reply is not None for view in reply.models]
    return sorted(views, key=lambda view: (view.name, view.host))


async def describe(client: Client, name: str) -> list[ModelView]:
    """A model on every host that has one of that name. Raises NotFoundError."""
    views = await list_models(client)
    found = [view for view in views if name in (view.name, view.model)]
    if not found:
        near = did_you_mean(name, {view.name for view in views})
        raise NotFoundError(f"no model {name}{near}", hint="`sparkplug models` shows all there are")
    return found


async def explain(
    client: Client,
    wanted: str = "auto",
    *,
    abilities: Sequence[Ability] = (),
    context: int = 0,
    host: str | None = None,
) -> RouteReply:
    """Whom an agent on `host` would ask. None: this host, or the first of the mesh.

    The agents there that leave a model alone for a while are among its reasons.
    """
    up = await _up(client)
    if host is None:
        own = client.settings.node.name
        host = own if own in up else next(iter(up), None)
    if host is None or host not in up:
        near = did_you_mean(host or "", up)
        raise NotFoundError(
            f"no host {host or ''} is up{near}", hint="`sparkplug hosts` shows all there are"
        )
    request = RouteRequest(wanted=wanted, abilities=list(abilities), context=context)
    subject = subjects.node_service(host, "model-route")
    reply = await call(client.bus, subject, request, RouteReply, deadline=_DEADLINE_S)
    async with within(_DEADLINE_S, "the agents"):
        there = (await read_observed(client.bus)).agents.values()
    told = _left_alone(agent for agent in there if agent.node == host)
    for choice in reply.choices:
        choice.reasons.extend(told.get(choice.model.identity, ()))
    return reply


def _left_alone(agents: Iterable[ObservedAgent]) -> dict[str, list[str]]:
    """By model, which agents do not ask it now, how long still, and why."""
    now = utc_now()
    told: dict[str, list[str]] = {}
    for agent in agents:
        for one in agent.models_left_alone if agent.state in SERVING else ():
            left = (one.until - now).total_seconds()
            if left > 0:
                why = f": {one_line(one.why)}" if one.why else ""
                told.setdefault(one.model, []).append(
                    f"left alone by {agent.name}/{agent.replica} for {left:.0f} s{why}"
                )
    return told


async def load(client: Client, name: str, host: str | None = None) -> ModelView:
    """Have a local model loaded where it is. Raises what its node says."""
    subject = subjects.node_service(await _host_of(client, name, host), "model-load")
    request = LoadRequest(name=name)
    return await call(client.bus, subject, request, ModelView, deadline=_LOAD_DEADLINE_S)


async def unload(client: Client, name: str, host: str | None = None) -> bool:
    """End a local model's process; False when it had none."""
    subject = subjects.node_service(await _host_of(client, name, host), "model-unload")
    reply = await call(
        client.bus, subject, LoadRequest(name=name), ModelsReply, deadline=_LOAD_DEADLINE_S
    )
    return bool(reply.models)


async def _host_of(client: Client, name: str, host: str | None) -> str:
    local = [view for view in await describe(client, name) if view.source == "local"]
    hosts = [view.host for view in local if host in (None, view.host)]
    if not hosts:
        where = f" on {host}" if host else ""
        raise NotFoundError(
            f"{name} is no local model{where}", hint="`sparkplug models` shows which are"
        )
    return hosts[0]


async def read_calls(client: Client, since: float | None = None) -> list[CallRecord]:
    """The calls of the ledger, or those written in the last `since` seconds, oldest first.

    Raises NotFoundError on a mesh without a ledger, DeadlineError when it takes over a minute.
    """

    def start(last: int) -> ConsumerConfig:
        config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
        if last:
            config.deliver_policy = DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = last + 1
        elif since is not None:
            config.deliver_policy = DeliverPolicy.BY_START_TIME
            config.opt_start_time = utc_now() - timedelta(seconds=since)
        return config

    found: list[CallRecord] = []
    seen: set[str] = set()
    reading = follow(client.bus, subjects.STREAM_LEDGER, start)
    try:
        async with asyncio.timeout(_READ_DEADLINE_S), contextlib.aclosing(reading) as items:
            async for item in items:
                if item is Mark.READY:
                    break
                if isinstance(item, Msg):
                    _take(item, found, seen)
    except TimeoutError:
        raise DeadlineError(
            f"the ledger cannot be read within {_READ_DEADLINE_S:g} s",
            hint="ask for less: --since 1h",
        ) from None
    return found


def _take(message: Msg, found: list[CallRecord], seen: set[str]) -> None:
    """The calls of a message. Whose they are its subject tells, which the server checked."""
    words = message.subject.split(".")
    batch = unpack(message.data)
    if batch is None or len(words) != 4:
        return
    for record in batch.calls:
        if record.id not in seen:
            seen.add(record.id)
            record.agent, record.replica = words[2], words[3]
            found.append(record)


def add_up(calls: Iterable[CallRecord], by: By = "agent") -> list[ModelUsage]:
    """What calls took, by agent, run, model or the host that served them; most tokens first."""
    found: dict[str, ModelUsage] = {}
    firsts: dict[str, list[float]] = {}
    for record in calls:
        key = _key(record, by)
        usage = found.setdefault(key, ModelUsage(key=key))
        usage.calls += 1
        usage.failed += record.outcome not in ("ok", "cancelled")
        usage.tokens_in += record.tokens_in
        usage.tokens_out += record.tokens_out
        usage.estimated = usage.estimated or record.tokens_estimated or record.joules_estimated
        usage.seconds = round(usage.seconds + record.seconds, 6)
        usage.cost = round(usage.cost + record.cost, 9)
        usage.currency = usage.currency or record.currency
        if record.joules is not None:
            usage.joules = round((usage.joules or 0.0) + record.joules, 3)
        if record.first_token_seconds is not None:
            firsts.setdefault(key, []).append(record.first_token_seconds)
        usage.last = max(usage.last, record.began) if usage.last else record.began
    for key, usage in found.items():
        if key in firsts:
            usage.first_token_ms = round(1000 * sum(firsts[key]) / len(firsts[key]), 2)
        if usage.seconds and usage.tokens_out:
            usage.tokens_per_second = round(usage.tokens_out / usage.seconds, 1)
    return sorted(found.values(), key=lambda u: (-(u.tokens_in + u.tokens_out), u.key))


def _key(record: CallRecord, by: By) -> str:
    if by == "agent":
        return record.agent
    if by == "run":
        return record.run or "no run"
    if by == "model":
        return record.model
    return record.server_host or "outside the mesh"


async def _up(client: Client) -> list[str]:
    nodes = await read_nodes(client.bus)
    return [n.name for n in nodes if node_state(n) not in (NodeState.STOPPED, NodeState.STALE)]


async def _of_node(client: Client, node: str) -> ModelsReply | None:
    """What a node tells; None of one that does not answer, or is of an earlier release."""
    subject = subjects.node_service(node, "models")
    with contextlib.suppress(NoMeshError, DeadlineError):
        return await call(client.bus, subject, ModelsRequest(), ModelsReply, deadline=_DEADLINE_S)
    return None
