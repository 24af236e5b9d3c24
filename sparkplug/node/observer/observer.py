"""The observer of the mesh: every node has one, and the one that holds the lease counts.

It listens on a connection of its own. A message costs it a look at its subject; a body is looked
at while somebody taps it, and the header that names a sender when there is one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

import nats.errors
from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.leases import Lease, while_held
from sparkplug.bus.senders import why_forged
from sparkplug.bus.service import Services
from sparkplug.bus.tap import Tap
from sparkplug.clock import until_next
from sparkplug.node.directory import Directory
from sparkplug.node.observer.edges import EdgeCount, EdgeCounts, Replica
from sparkplug.node.observer.headers import AGENT_SENDER, Heard, heard_message
from sparkplug.node.observer.redacting import Redaction
from sparkplug.node.observer.taps import Taps
from sparkplug.node.observer.waiting import WaitGraph
from sparkplug.schema.base import utc_now
from sparkplug.schema.circuits import breakers_of
from sparkplug.schema.errors import NoMeshError
from sparkplug.schema.node import Nothing
from sparkplug.schema.settings import ObserveSection
from sparkplug.schema.tap import TapKeep, TapRequest
from sparkplug.schema.topology import (
    BreakerState,
    EdgeBreaker,
    Topology,
    WaitReport,
    WaitRing,
)

log = logging.getLogger(__name__)

_LEASE_S = 3
_AGAIN_S = 1.0
_LOOK_S = 0.5
_SHOW_S = 0.1
_TELL_FORGED_EVERY_S = 60.0
_SLOW_PUBLISH_S = 5.0
_MOST_REPORT_BYTES = 256 << 10
#: Headers that name a sender are looked at later, so many at most: a signature takes time.
_MOST_UNJUDGED = 10_000
_JUDGED_AT_ONCE = 20


class Observer:
    """One node's. `tap` opens the connection it listens on."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        holder: str,
        owner: str,
        directory: Directory,
        events: EventLog,
        settings: ObserveSection,
        tap: Callable[[], Awaitable[Tap]],
    ) -> None:
        self._bus = bus
        self._node = node
        self._directory = directory
        self._events = events
        self._tap = tap
        self._lease = Lease(bus, "observer", holder, _LEASE_S, own=True)
        self._counts = EdgeCounts(owner)
        self._waits = WaitGraph()
        self._taps = Taps(
            bus,
            node,
            events,
            Redaction(settings.redact),
            most_bytes=settings.max_body,
            per_second=settings.rate,
        )
        self._rings: list[WaitRing] = []
        self._breakers: list[EdgeBreaker] = []
        self._unjudged: deque[tuple[Heard, EdgeCount]] = deque(maxlen=_MOST_UNJUDGED)
        self._any_unjudged = asyncio.Event()
        self._instances: dict[Replica, str | None] = {}
        self._since = utc_now()
        self._gaps = 0
        self._listening: Tap | None = None

    async def run(self) -> None:
        """Observe for ever, whenever the lease is this node's."""
        began = False
        while True:
            if await self._lease.acquire():
                if began:
                    self._gaps += 1
                began = True
                try:
                    await while_held(self._lease, self._observe())
                except (NoMeshError, TimeoutError, nats.errors.Error) as error:
                    log.info("another may observe now: %s", error)
            await asyncio.sleep(_AGAIN_S)

    async def _observe(self) -> None:
        tap = self._listening = await self._tap()
        services = Services(self._bus)
        tasks = []
        try:
            await tap.listen(subjects.PROMPTS, self._on_request)
            for inboxes in subjects.ANSWERS:
                await tap.listen(inboxes, self._on_answer)
            await tap.listen(subjects.ALL_PUBLISHED, self._on_published)
            await tap.listen(subjects.ALL_WAITS, self._on_waits)
            await tap.flush()
            await services.serve(subjects.TOPOLOGY_GET, Nothing, self._get)
            await services.serve(subjects.TAP_OPEN, TapRequest, self._taps.open)
            await services.serve(subjects.TAP_KEEP, TapKeep, self._taps.keep)
            tasks = [
                asyncio.create_task(self._publish(), name="observer: publish"),
                asyncio.create_task(self._look(), name="observer: waits"),
                asyncio.create_task(self._show(), name="observer: taps"),
                asyncio.create_task(self._judge(), name="observer: senders"),
            ]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._gaps, self._listening = self._gaps + tap.gaps, None
            await end(*tasks)
            await services.close()
            await tap.close()

    # What is heard. These are called by the connection's reading, and only count.

    def _on_request(self, subject: bytes, reply: bytes, headers: bytes | None, data: bytes) -> None:
        edge = self._counts.request(subject, reply, len(data), headers)
        if edge is None:
            return
        if headers and AGENT_SENDER in headers:
            self._unjudged.append((Heard(subject, reply, headers, data), edge))
            self._any_unjudged.set()
        if self._taps:
            self._taken(edge, reply, subject, headers, data, answer=False)

    def _on_answer(self, subject: bytes, reply: bytes, headers: bytes | None, data: bytes) -> None:
        edge = self._counts.answer(subject, headers, len(data))
        if edge is not None and self._taps:
            self._taken(edge, subject, subject, headers, data, answer=True)

    def _taken(
        self,
        edge: EdgeCount,
        inbox: bytes,
        subject: bytes,
        headers: bytes | None,
        data: bytes,
        *,
        answer: bool,
    ) -> None:
        """Show a prompt or a piece of its answer; who asked is told by the inbox, for a pair may
        be of a hub."""
        sender = self._counts.sender_of(inbox)[0]
        hub = edge.sender if edge.sender != sender else ""
        self._taps.take(sender, edge.receiver, subject, headers, data, answer=answer, hub=hub)

    def _on_published(
        self, subject: bytes, reply: bytes, headers: bytes | None, data: bytes
    ) -> None:
        edge = self._counts.published(subject, len(data))
        if edge is not None and self._taps:
            self._taps.take(edge.sender, edge.receiver, subject, headers, data, answer=False)

    def _on_waits(self, subject: bytes, reply: bytes, headers: bytes | None, data: bytes) -> None:
        if len(data) > _MOST_REPORT_BYTES:
            return
        try:
            report = WaitReport.model_validate_json(data)
        except ValidationError:
            return
        # Only the replica itself may publish there: what it says of others counts for nothing.
        if subject.decode(errors="replace") == subjects.waits(report.agent, report.replica):
            self._waits.take(report)

    # What is made of it

    async def _publish(self) -> None:
        published = 0.0
        while True:
            await asyncio.sleep(until_next(1.0))
            self._forget_ended()
            self._look_at_breakers()
            self._counts.roll()
            now = time.monotonic()
            if self._counts.dirty or self._rings or now - published > _SLOW_PUBLISH_S:
                self._counts.dirty = False
                published = now
                await self._tell()

    async def _tell(self) -> None:
        graph = self.topology()
        if self._bus.connected:
            body = graph.model_dump_json(by_alias=True).encode()
            await self._bus.nc.publish(subjects.TOPOLOGY, body)

    def _forget_ended(self) -> None:
        """What a process that ended was asked, or asked, is not in flight any more."""
        now = {(a.name, a.replica): a.instance for a in self._directory.replicas()}
        ended = {
            key for key, before in self._instances.items() if before and now.get(key) != before
        }
        if ended:
            self._counts.gone(ended)
            self._waits.gone(ended)
        self._counts.unheard(now.keys())
        self._instances = now

    def _look_at_breakers(self) -> None:
        """Whom the replicas that are there leave alone now, as they say themselves."""
        self._breakers = breakers_of(self._directory.replicas())
        worst: dict[tuple[str, str], BreakerState] = {}
        for one in reversed(self._breakers):
            worst[one.from_.partition("/")[0], one.to.partition("/")[0]] = one.state
        self._counts.break_circuits(worst)

    async def _look(self) -> None:
        """Name rings of waits as soon as they are certain."""
        told: set[frozenset[str]] = set()
        while True:
            await asyncio.sleep(until_next(_LOOK_S))
            rings = self._waits.rings()
            certain = {frozenset(ring.agents) for ring in rings if ring.certain}
            self._rings = rings
            fresh = certain - told
            for ring in rings:
                if ring.certain and frozenset(ring.agents) in fresh:
                    log.warning("a deadlock: %s", " -> ".join([*ring.agents, ring.agents[0]]))
                    self._events.emit(
                        "agent:deadlocked",
                        ring.agents[0],
                        data={
                            "agents": ring.agents,
                            "waits": [
                                {"from": wait.from_, "to": wait.to, "action": wait.action}
                                for wait in ring.waits
                            ],
                        },
                    )
            if certain != told:
                told = certain
                await self._tell()

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(until_next(_SHOW_S if self._taps else _LOOK_S))
            if self._taps:
                await self._taps.send()

    async def _judge(self) -> None:
        """Flag messages whose header names who did not send them; the event once a while."""
        while True:
            if self._unjudged:
                await asyncio.sleep(0)
            else:
                self._any_unjudged.clear()
                await self._any_unjudged.wait()
                await asyncio.sleep(_SHOW_S)
            for _ in range(min(len(self._unjudged), _JUDGED_AT_ONCE)):
                heard, edge = self._unjudged.popleft()
                self._judge_one(heard, edge)

    def _judge_one(self, heard: Heard, edge: EdgeCount) -> None:
        owner = subjects.inbox_owner(heard.reply.decode(errors="replace"))
        sender = self._counts.sender_of(heard.reply)[0]
        via = sender if owner is not None and owner[0] == "agent" else ""
        message = heard_message(heard)
        named, user_of = self._directory.named, self._directory.user_of
        why = why_forged(message, via, named, user_of) if message is not None else None
        if why is None:
            return
        edge.forged += 1
        edge.changed = self._counts.dirty = True
        now = time.monotonic()
        if now - edge.told_forged > _TELL_FORGED_EVERY_S:
            edge.told_forged = now
            self._events.emit("agent:forged", edge.receiver, data={"from": sender, "reason": why})

    async def _get(self, _: Nothing) -> Topology:
        return self.topology()

    def topology(self) -> Topology:
        """The graph as it is."""
        graph = self._counts.graph()
        graph.waits = self._waits.waits()
        graph.rings = self._rings
        graph.breakers = self._breakers
        graph.observer = self._node
        graph.since = self._since
        graph.gaps = self._gaps + (self._listening.gaps if self._listening is not None else 0)
        return graph
