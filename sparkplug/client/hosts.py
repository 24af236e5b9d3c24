"""Hosts: their nodes' state, what they measure now, and their processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

from nats.aio.msg import Msg
from pydantic import BaseModel, ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.cancellation import end
from sparkplug.bus.service import call
from sparkplug.client import node_orders
from sparkplug.client.hearing import Hearing
from sparkplug.client.nodes import node_age, node_state, read_nodes
from sparkplug.client.session import Client
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import DeadlineError, NoMeshError, NotFoundError
from sparkplug.schema.history import HistoryReply, HistoryRequest
from sparkplug.schema.host import HostSample, Process
from sparkplug.schema.host_needs import newest_report
from sparkplug.schema.host_orders import (
    PowerLimitReply,
    PowerLimitRequest,
    ProcessOrderReply,
    ReniceRequest,
    SignalRequest,
)
from sparkplug.schema.host_topology import HostTopology
from sparkplug.schema.node import NodeOrder, NodeState, Nothing, ObservedNode
from sparkplug.schema.node_services import (
    HostView,
    KernelLogReply,
    ProcessesReply,
    WindowReply,
    WindowRequest,
)
from sparkplug.schema.problems import did_you_mean

_SAMPLE_DEADLINE_S = 1.0
_TABLE_DEADLINE_S = 5.0
_HISTORY_DEADLINE_S = 15.0
_LATEST_S = 2.0
_SAMPLES_QUEUED = 1000
#: Samples of one host that come sooner after another wait, the newest.
_SAMPLES_APART_S = 0.4
_BATCH_S = 0.1
_HOSTS_KNOWN = 2000

ModelT = TypeVar("ModelT", bound=BaseModel)


async def list_hosts(client: Client) -> list[HostView]:
    """Every host by name, each with its latest sample when it answers within a second."""
    nodes = await read_nodes(client.bus)
    orders = await node_orders.read_orders(client.bus)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_view(client, node, orders.get(node.name))) for node in nodes]
    return [task.result() for task in tasks]


async def describe(client: Client, name: str) -> HostView:
    """One host. Raises NotFoundError."""
    nodes = {node.name: node for node in await read_nodes(client.bus)}
    if name not in nodes:
        raise NotFoundError(
            f"no host {name}{did_you_mean(name, nodes)}",
            hint="`sparkplug hosts` shows all there are",
        )
    return await _view(client, nodes[name], (await node_orders.read_orders(client.bus)).get(name))


async def window(client: Client, host: str, seconds: float) -> WindowReply:
    """The samples of the last `seconds` (more than 0, at most 3600) of a host, oldest first."""
    return await call(
        client.bus,
        subjects.node_service(host, "window"),
        WindowRequest(seconds=seconds),
        WindowReply,
        deadline=_TABLE_DEADLINE_S,
    )


async def processes(client: Client, host: str) -> ProcessesReply:
    """The process table of a host."""
    subject = subjects.node_service(host, "processes")
    return await call(client.bus, subject, Nothing(), ProcessesReply, deadline=_TABLE_DEADLINE_S)


async def history(client: Client, host: str, request: HistoryRequest) -> HistoryReply:
    """How the figures of a host went, from what its node keeps on disk. Raises NotFoundError."""
    await _require(client, host)
    subject = subjects.node_service(host, "history")
    return await call(client.bus, subject, request, HistoryReply, deadline=_HISTORY_DEADLINE_S)


async def topology(client: Client, host: str) -> HostTopology:
    """How the GPUs and adapters of a host hang together. Raises NotFoundError."""
    await _require(client, host)
    subject = subjects.node_service(host, "topology")
    return await call(client.bus, subject, Nothing(), HostTopology, deadline=_HISTORY_DEADLINE_S)


async def find_process(client: Client, host: str, pid: int) -> Process:
    """A process of a host, by its number. Raises NotFoundError."""
    await _require(client, host)
    table = (await processes(client, host)).processes
    found = next((process for process in table if process.pid == pid), None)
    if found is None:
        raise NotFoundError(
            f"no process {pid} on {host}", hint=f"`sparkplug top {host}` shows the busiest"
        )
    return found


async def send_signal(client: Client, host: str, request: SignalRequest) -> ProcessOrderReply:
    """Send a signal to a process of a host. Raises what its node raises."""
    subject = subjects.node_service(host, "signal")
    return await call(client.bus, subject, request, ProcessOrderReply, deadline=_TABLE_DEADLINE_S)


async def renice(client: Client, host: str, request: ReniceRequest) -> ProcessOrderReply:
    """Make a process of a host more or less urgent. Raises what its node raises."""
    subject = subjects.node_service(host, "renice")
    return await call(client.bus, subject, request, ProcessOrderReply, deadline=_TABLE_DEADLINE_S)


async def set_power_limit(client: Client, host: str, request: PowerLimitRequest) -> PowerLimitReply:
    """Set the power limit of a GPU of a host. Raises what its node raises."""
    await _require(client, host)
    subject = subjects.node_service(host, "power-limit")
    return await call(client.bus, subject, request, PowerLimitReply, deadline=_HISTORY_DEADLINE_S)


async def _require(client: Client, name: str) -> None:
    names = {node.name for node in await read_nodes(client.bus)}
    if name not in names:
        raise NotFoundError(
            f"no host {name}{did_you_mean(name, names)}",
            hint="`sparkplug hosts` shows all there are",
        )


async def kernel_log(client: Client, host: str) -> KernelLogReply:
    """The OOM and Xid lines of a host's kernel log."""
    subject = subjects.node_service(host, "kernel-log")
    return await call(client.bus, subject, Nothing(), KernelLogReply, deadline=_TABLE_DEADLINE_S)


async def acknowledge(client: Client, host: str) -> bool:
    """Note that what a host's driver reported so far was seen to: it needs nobody any more.

    False when there is nothing new. Raises NotFoundError; DeadlineError of a host that does not
    answer; ConflictError when somebody else changed what is wanted of it just now.
    """
    await node_orders.require_host(client, host)
    sample = await _latest(client, host)
    if sample is None:
        raise DeadlineError(
            f"{host} told no sample within {_SAMPLE_DEADLINE_S:g} s",
            hint="`sparkplug hosts` shows whether it is there",
        )
    newest = newest_report(sample)
    return newest is not None and await node_orders.acknowledge(client, host, newest)


async def follow(client: Client, host: str | None = None) -> AsyncGenerator[HostSample, None]:
    """The samples of one host, or of all, as they are published (1 Hz each), for ever.

    A host that babbles is heard once a second, see `hearing`; what is too large, is no sample, or
    speaks for another host is not heard at all.
    """
    loop = asyncio.get_running_loop()
    hearing = Hearing(client.bus, host)
    heard: dict[str, float] = {}
    task = asyncio.create_task(hearing.run(), name="telemetry")
    # Whoever waits is to see what it ended with.
    task.add_done_callback(lambda _: hearing.told.set())
    try:
        batch = 0.0
        while True:
            await hearing.told.wait()
            # What others say at the same moment is read with it.
            if (early := batch - loop.time()) > 0:
                await asyncio.sleep(early)
            hearing.told.clear()
            if task.done():
                task.result()
                return
            due = loop.time() - _SAMPLES_APART_S
            if len(heard) > _HOSTS_KNOWN:
                heard.clear()
            for came in [came for came in hearing.newest if heard.get(came, 0.0) <= due]:
                bodies = hearing.newest.pop(came)
                sample = next(
                    filter(None, (_sample(came, body) for body in reversed(bodies))), None
                )
                if sample is not None:
                    heard[came] = loop.time()
                    yield sample
            batch = loop.time() + _BATCH_S
            if hearing.newest:
                hearing.told.set()
    finally:
        await end(task)


def _sample(subject: str, body: bytes) -> HostSample | None:
    """What a message says, where it is a sample of the host whose subject it came on."""
    with contextlib.suppress(ValidationError):
        sample = HostSample.model_validate_json(body)
        if subjects.telemetry(sample.host) == subject:
            return sample
    return None


async def subscribe(
    client: Client, subject: str, model: type[ModelT]
) -> AsyncGenerator[ModelT, None]:
    """Messages of a core NATS subject as models; the oldest are dropped when nobody reads."""
    async with contextlib.aclosing(receive(client, subject)) as bodies:
        async for body in bodies:
            with contextlib.suppress(ValidationError):
                yield model.model_validate_json(body)


async def receive(client: Client, subject: str) -> AsyncGenerator[bytes, None]:
    """The bodies of a core NATS subject; the oldest are dropped when nobody reads."""
    queue: asyncio.Queue[Msg] = asyncio.Queue(_SAMPLES_QUEUED)

    async def take(message: Msg) -> None:
        if queue.full():
            queue.get_nowait()
        queue.put_nowait(message)

    subscription = await client.bus.nc.subscribe(subject, cb=take)
    try:
        while True:
            yield (await queue.get()).data
    finally:
        if not client.bus.nc.is_closed:
            await subscription.unsubscribe()


async def _view(client: Client, node: ObservedNode, order: NodeOrder | None) -> HostView:
    now = utc_now()
    state = node_state(node, now)
    sample = None
    if state is not NodeState.STOPPED:
        sample = await _latest(client, node.name)
    return HostView(
        name=node.name,
        state=state,
        age_seconds=node_age(node, now),
        node=node,
        sample=sample,
        order=order,
    )


async def _latest(client: Client, host: str) -> HostSample | None:
    """The newest sample; None from a node that does not answer, which its age tells."""
    try:
        reply = await call(
            client.bus,
            subjects.node_service(host, "window"),
            WindowRequest(seconds=_LATEST_S),
            WindowReply,
            deadline=_SAMPLE_DEADLINE_S,
        )
    except (NoMeshError, DeadlineError):
        return None
    return reply.samples[-1] if reply.samples else None
