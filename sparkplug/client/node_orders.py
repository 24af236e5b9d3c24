"""Cordon, uncordon, drain: what people want of nodes, and waiting until a node is empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.client.deadline import READ_S, within
from sparkplug.client.nodes import read_nodes
from sparkplug.client.session import Client
from sparkplug.schema.agent import Assignment, DesiredAgent
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import DeadlineError, NotFoundError
from sparkplug.schema.event import present
from sparkplug.schema.node import NodeOrder
from sparkplug.schema.problems import did_you_mean

_LOOK_S = 0.3


@dataclass(frozen=True, slots=True)
class Left:
    """What is still on a draining node, as name/replica: on its way off, and pinned there."""

    moving: list[str] = field(default_factory=list)
    pinned: list[str] = field(default_factory=list)


async def read_orders(bus: Bus) -> dict[str, NodeOrder]:
    """What people want of nodes, by name; nothing on a mesh of an older release."""
    async with within(READ_S, "what is wanted of the nodes"):
        try:
            return await Bucket(bus, subjects.BUCKET_NODES).read_all(NodeOrder)
        except NotFoundError:
            return {}


async def require_host(client: Client, name: str) -> None:
    """Raise NotFoundError for a name that no host has."""
    names = {node.name for node in await read_nodes(client.bus)}
    if name not in names:
        raise NotFoundError(
            f"no host {name}{did_you_mean(name, names)}",
            hint="`sparkplug hosts` shows all there are",
        )


async def cordon(client: Client, name: str, reason: str = "") -> bool:
    """Have a node take nothing new. False when it is cordoned already (and not draining).

    Raises NotFoundError; ConflictError when somebody else changed it just now.
    """
    found = await _read(client, name)
    before = found[0]
    if before.cordoned and not before.draining and (not reason or reason == before.reason):
        return False
    await _write(client, found, _plain(before, cordoned=True, reason=reason))
    await client.emit("host:cordoned", name, **present(reason=reason))
    return True


async def uncordon(client: Client, name: str) -> bool:
    """Have a node take what it is given again, and end its draining. False when it does."""
    found = await _read(client, name)
    if not found[0].cordoned:
        return False
    await _write(client, found, _plain(found[0]))
    await client.emit("host:uncordoned", name)
    return True


async def drain(client: Client, name: str, reason: str = "", *, stop_pinned: bool = False) -> bool:
    """Have what can run elsewhere move off a node, and nothing new come. False: it does already."""
    found = await _read(client, name)
    before = found[0]
    if before.draining and before.stop_pinned == stop_pinned:
        return False
    order = _plain(before, cordoned=True, draining=True, stop_pinned=stop_pinned, reason=reason)
    await _write(client, found, order)
    if not before.cordoned:
        await client.emit("host:cordoned", name, reason=reason or "drain")
    return True


async def acknowledge(client: Client, name: str, until: datetime) -> bool:
    """Note that what a host's driver reported until then was seen to. False: it was before.

    Raises NotFoundError; ConflictError as `cordon` does.
    """
    found = await _read(client, name)
    before = found[0].acknowledged
    if before is not None and until <= before:
        return False
    await _write(client, found, found[0].model_copy(update={"acknowledged": until}))
    await client.emit("host:acknowledged", name)
    return True


async def draining(client: Client, name: str, deadline: float) -> AsyncGenerator[Left, None]:
    """What is left on a draining node whenever it differs, until nothing moving is.

    Raises DeadlineError after `deadline` seconds; the node goes on draining.
    """
    order = (await _read(client, name))[0]
    before: Left | None = None
    try:
        async with asyncio.timeout(deadline):
            while True:
                left = await _left(client, name, stop_pinned=order.stop_pinned)
                if left != before:
                    yield left
                    before = left
                if not left.moving:
                    return
                await asyncio.sleep(_LOOK_S)
    except TimeoutError as error:
        still = ", ".join(before.moving) if before else "all of it"
        raise DeadlineError(
            f"{name} is not empty after {deadline:g} s: {still}",
            hint=f"it goes on draining; `sparkplug hosts uncordon {name}` ends that",
        ) from error


async def _left(client: Client, name: str, *, stop_pinned: bool) -> Left:
    async with within(READ_S, "assignments and specs"):
        given = await Bucket(client.bus, subjects.BUCKET_ASSIGNMENTS).read_all(Assignment)
        specs = await Bucket(client.bus, subjects.BUCKET_SPECS).read_all(DesiredAgent)
    left = Left()
    here = [assignment for assignment in given.values() if assignment.node == name]
    for assignment in sorted(here, key=lambda a: (a.agent, a.replica)):
        stays = not stop_pinned and _pinned(specs, assignment, name)
        one = f"{assignment.agent}/{assignment.replica}"
        (left.pinned if stays else left.moving).append(one)
    return left


def _pinned(specs: Mapping[str, DesiredAgent], assignment: Assignment, host: str) -> bool:
    desired = specs.get(assignment.agent)
    return desired is not None and desired.spec.placement.pinned_to(host)


def _plain(before: NodeOrder, **wanted: Any) -> NodeOrder:
    """Another order for the same node; what was seen to of its trouble stays so."""
    return NodeOrder(name=before.name, acknowledged=before.acknowledged, **wanted)


async def _read(client: Client, name: str) -> tuple[NodeOrder, int]:
    """What is wanted of a node and its revision; of one nobody spoke of, nothing, and 0."""
    await require_host(client, name)
    async with within(READ_S, f"what is wanted of {name}"):
        entry = await Bucket(client.bus, subjects.BUCKET_NODES).get(name)
    order = decode(NodeOrder, entry) if entry is not None else None
    return order or NodeOrder(name=name), entry.revision if entry is not None else 0


async def _write(client: Client, found: tuple[NodeOrder, int], order: NodeOrder) -> None:
    after = order.model_copy(update={"changed_by": client.actor, "changed": utc_now()})
    await Bucket(client.bus, subjects.BUCKET_NODES).put(order.name, after, revision=found[1])
