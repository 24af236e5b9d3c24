"""Saying something without waiting for an answer: to an agent, to several, or on a topic."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import nats.errors
from pydantic import TypeAdapter, ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.hubs import hub_name, mark
from sparkplug.client import agents
from sparkplug.client.prompts import check_size
from sparkplug.client.session import Client
from sparkplug.client.specs import desired
from sparkplug.schema.agent import ObservedAgent, Target
from sparkplug.schema.errors import InvalidError, NoMeshError, NotFoundError, SparkplugError
from sparkplug.schema.published import MAX_PUBLISHED_BYTES, Published, Topic

#: An agent says within this time that it has taken what it was told (protocol section 6.4).
_TAKEN_S = 10.0
_AT_ONCE = 32
_topic: TypeAdapter[str] = TypeAdapter(Topic)

#: What a group is named by, before a colon.
GROUPS = ("capability", "type", "group", "label")


@dataclass(frozen=True, slots=True)
class Sent:
    """Who was told, and why it did not take it; empty: it did."""

    to: str
    error: str = ""


async def send(
    client: Client,
    to: str,
    text: str,
    *,
    action: str | None = None,
    input: Mapping[str, Any] | None = None,  # noqa: A002  the envelope's own name for it
) -> list[Sent]:
    """Tell `to` something; returns once each has taken it, and waits for no answer.

    `to` is an agent, agent/replica, `all`, `capability:NAME`, `type:NAME`, `group:NAME`,
    `label:KEY=VALUE` (one replica of each such agent) or `topic:NAME`, whose listeners are not
    known. Raises InvalidError, NotFoundError, and of one agent alone what kept it from taking it.
    """
    kind, colon, name = to.partition(":")
    if colon and kind == "topic":
        if action is not None:
            raise InvalidError("a topic takes text, and no action", where=to)
        return [await _publish(client, name, text)]
    if to == "all" or (colon and kind in GROUPS):
        targets = await _group(client, kind, name)
        slots = asyncio.Semaphore(_AT_ONCE)
        hub = mark(_hub(kind, name))

        async def one(target: Target) -> Sent:
            async with slots:
                try:
                    await _tell(client, target, text, action, input, hub)
                except SparkplugError as error:
                    return Sent(f"{target.name}/{target.replica}", error.message)
                return Sent(f"{target.name}/{target.replica}")

        return list(await asyncio.gather(*(one(target) for target in targets)))
    if colon:
        raise InvalidError(
            f"{kind}: names no group",
            where=to,
            hint=f"there are all, topic: and {': '.join(GROUPS)}:; an agent is named alone",
        )
    agent, slash, replica = to.partition("/")
    target = await agents.target(client, agent, replica if slash else None)
    await _tell(client, target, text, action, input)
    return [Sent(f"{target.name}/{target.replica}")]


async def _group(client: Client, kind: str, name: str) -> list[Target]:
    """One replica of each agent of a group, the least busy. Raises NotFoundError for nobody."""
    belongs = await _belonging(client, kind, name)
    found: dict[str, ObservedAgent] = {}
    for agent in await agents.list_agents(client):
        if not (agent.takes_prompts and agent.subject and belongs(agent)):
            continue
        known = found.get(agent.name)
        if known is None or agent.inflight < known.inflight:
            found[agent.name] = agent
    if not found:
        what = "no agent" if kind == "all" else f"no agent of {kind} {name}"
        raise NotFoundError(f"{what} takes prompts", hint="`sparkplug agents list` shows them")
    return [Target.of(agent) for agent in found.values()]


def _hub(kind: str, name: str) -> str:
    """What the group is called where agents name it, too: a group of theirs is a label."""
    if kind == "label" and name.startswith("group="):
        kind, name = "group", name.removeprefix("group=")
    return hub_name([(kind, name)] if name else [])


async def _belonging(client: Client, kind: str, name: str) -> Callable[[ObservedAgent], bool]:
    if kind == "capability":
        return lambda agent: name in agent.capabilities
    if kind == "type":
        return lambda agent: agent.type == name
    if kind in ("label", "group"):
        # A group is the agents with the label `group` of that value.
        key, equals, value = (kind, "=", name) if kind == "group" else name.partition("=")
        labelled = {
            one.spec.name
            for one in (await desired(client)).values()
            if key in one.spec.labels and (not equals or one.spec.labels[key] == value)
        }
        return lambda agent: agent.name in labelled
    # To all: those that others host did not ask for what is said here.
    return lambda agent: not agent.foreign


async def _tell(
    client: Client,
    target: Target,
    text: str,
    action: str | None,
    input: Mapping[str, Any] | None,  # noqa: A002
    hub: str = "",
) -> None:
    from sparkplug.bus import synadia

    where = f"{target.name}/{target.replica}"
    check_size(text, (), client.bus.nc.max_payload, where)
    synadia.use_inbox(client.bus.inbox_prefix)
    stream = synadia.prompt(
        client.bus, target, text, action=action, input=input, hub=hub, deadline=_TAKEN_S
    )
    # The first chunk says that it has taken it; what it answers goes nowhere.
    async with contextlib.aclosing(stream) as chunks:
        async for _ in chunks:
            return


async def _publish(client: Client, topic: str, text: str) -> Sent:
    try:
        _topic.validate_python(topic)
    except ValidationError as error:
        raise InvalidError(
            f"{topic!r} is no topic", where="topic", hint="dotted words, like builds.done"
        ) from error
    try:
        data = json.loads(text)
    except ValueError:
        data = text
    body = Published(topic=topic, data=data).model_dump_json().encode()
    if len(body) > MAX_PUBLISHED_BYTES:
        raise InvalidError(f"it is {len(body)} bytes, the most is {MAX_PUBLISHED_BYTES}")
    subject = subjects.published(subjects.HUMAN, subjects.token(client.actor), topic)
    try:
        await client.bus.nc.publish(subject, body)
        await client.bus.flush()
    except nats.errors.Error as error:
        raise NoMeshError(f"nothing can be published now: {error}") from error
    return Sent(f"topic {topic}")
