"""The observer: who talks to whom, counted off the wire without the agents' help.

A request shows its receiver in the subject and its sender in the reply inbox, which each
process may only read under its own name; its answers pass on that inbox, so latency and
errors are seen too. Bodies are counted, never kept.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from nats.aio.msg import Msg

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.senders import why_forged
from sparkplug.bus.service import Services
from sparkplug.node.directory import Directory
from sparkplug.schema.node import Nothing
from sparkplug.schema.topology import Topology, TopologyEdge, TopologyNode

_RATE_WINDOW_S = 10
_LATENCIES = 200
_MAX_OPEN = 50_000
_MAX_EDGES = 5_000
_TELL_FORGED_EVERY_S = 60.0
_SLOW_PUBLISH_S = 5.0
_OPEN_FOR_S = 900.0
#: No answer comes back sooner over loopback: both were waiting to be read, and when is not known.
_SHORTEST_S = 0.0002

Kind = Literal["agent", "foreign", "planner", "face", "unknown"]


@dataclass(slots=True)
class _Edge:
    messages: int = 0
    bytes: int = 0
    errors: int = 0
    forged: int = 0
    told: float = float("-inf")
    inflight: int = 0
    recent: deque[int] = field(default_factory=lambda: deque([0], maxlen=_RATE_WINDOW_S))
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))


@dataclass(slots=True)
class _Open:
    edge: _Edge
    since: float


class Observer:
    """Counts edges; publishes the graph once a second while it changes."""

    def __init__(self, bus: Bus, owner: str, directory: Directory, events: EventLog) -> None:
        self._directory = directory
        self._events = events
        self._bus = bus
        self._owner = owner
        self._edges: dict[tuple[str, str], _Edge] = {}
        self._kinds: dict[str, Kind] = {}
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._dirty = True

    async def run(self, services: Services) -> None:
        """Observe for ever."""
        nc = self._bus.nc
        await nc.subscribe(subjects.PROMPTS, cb=self._on_request)
        await nc.subscribe(subjects.ALL_INBOXES, cb=self._on_reply)
        await nc.subscribe(subjects.FOREIGN_INBOXES, cb=self._on_reply)
        await services.serve(subjects.TOPOLOGY_GET, Nothing, self._get)
        published = 0.0
        while True:
            await asyncio.sleep(1.0)
            self._roll()
            if self._dirty or time.monotonic() - published > _SLOW_PUBLISH_S:
                self._dirty = False
                published = time.monotonic()
                body = self.topology().model_dump_json(by_alias=True).encode()
                if self._bus.connected:
                    await nc.publish(subjects.TOPOLOGY, body)

    async def _get(self, _: Nothing) -> Topology:
        return self.topology()

    async def _on_request(self, message: Msg) -> None:
        parts = message.subject.split(".")
        if len(parts) != 5:
            return
        receiver = self._receiver(parts[2], parts[3])
        sender = self._sender(message.reply)
        key = (sender, receiver)
        edge = self._edges.get(key)
        if edge is None:
            if len(self._edges) >= _MAX_EDGES:
                return
            edge = self._edges[key] = _Edge()
        edge.messages += 1
        edge.bytes += len(message.data)
        edge.recent[-1] += 1
        self._dirty = True
        self._judge(message, sender, receiver, edge)
        if message.reply:
            edge.inflight += 1
            self._open[message.reply] = _Open(edge, time.monotonic())
            if len(self._open) > _MAX_OPEN:
                self._close(*self._open.popitem(last=False))

    def _judge(self, message: Msg, sender: str, receiver: str, edge: _Edge) -> None:
        """Flag a message whose header names who did not send it; the event once a while."""
        owner = subjects.inbox_owner(message.reply)
        via = sender if owner is not None and owner[0] == "agent" else ""
        why = why_forged(message, via, self._directory.named, self._directory.user_of)
        if why is None:
            return
        edge.forged += 1
        now = time.monotonic()
        if now - edge.told > _TELL_FORGED_EVERY_S:
            edge.told = now
            self._events.emit("agent:forged", receiver, data={"from": sender, "reason": why})

    async def _on_reply(self, message: Msg) -> None:
        pending = self._open.get(message.subject)
        if pending is None:
            return
        pending.edge.bytes += len(message.data)
        if message.headers:
            if "Nats-Service-Error-Code" in message.headers or "Status" in message.headers:
                pending.edge.errors += 1
                if "Status" in message.headers:  # no responders: nothing more will come
                    self._close(message.subject, self._open.pop(message.subject))
                self._dirty = True
        elif not message.data:
            # Protocol section 6.5: a stream ends with an empty message without headers.
            del self._open[message.subject]
            took = time.monotonic() - pending.since
            if took >= _SHORTEST_S:
                pending.edge.latencies.append(took)
            self._close(message.subject, pending)

    def _close(self, _subject: str, pending: _Open) -> None:
        pending.edge.inflight -= 1
        self._dirty = True

    def _receiver(self, name: str, owner: str) -> str:
        self._kinds.setdefault(name, "agent" if owner == self._owner else "foreign")
        return name

    def _sender(self, reply: str) -> str:
        owner = subjects.inbox_owner(reply)
        if owner is None:
            name = "unknown"
            self._kinds.setdefault(name, "unknown")
            return name
        kind, name = owner
        if kind == "agent":
            name = name.partition("=")[0]
            self._kinds[name] = "agent"
        elif kind == "planner":
            name = "planner"
            self._kinds[name] = "planner"
        else:
            name = name.rpartition("-")[0] or name
            self._kinds.setdefault(name, "face")
        return name

    def _roll(self) -> None:
        """One second passed: rates move on, and streams nobody ended are given up."""
        for edge in self._edges.values():
            if any(edge.recent):
                self._dirty = True
            edge.recent.append(0)
        horizon = time.monotonic() - _OPEN_FOR_S
        while self._open:
            subject, pending = next(iter(self._open.items()))
            if pending.since > horizon:
                return
            self._close(subject, self._open.pop(subject))

    def topology(self) -> Topology:
        """The graph as it is."""
        depth: dict[str, int] = dict.fromkeys(self._kinds, 0)
        edges = []
        total = 0.0
        for (sender, receiver), edge in sorted(self._edges.items()):
            rate = sum(edge.recent) / max(1, len(edge.recent))
            total += rate
            depth[receiver] += edge.inflight
            edges.append(
                TopologyEdge(
                    from_=sender,
                    to=receiver,
                    messages=edge.messages,
                    bytes=edge.bytes,
                    errors=edge.errors,
                    forged=edge.forged,
                    inflight=edge.inflight,
                    rate_per_second=round(rate, 3),
                    latency_p50_ms=(
                        round(median(edge.latencies) * 1000, 3) if edge.latencies else None
                    ),
                )
            )
        nodes = [
            TopologyNode(name=name, kind=kind, queue_depth=depth[name])
            for name, kind in sorted(self._kinds.items())
        ]
        return Topology(nodes=nodes, edges=edges, messages_per_second=round(total, 3))
