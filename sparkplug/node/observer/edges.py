"""Counting who says what to whom, from the bytes that pass.

A request shows its receiver in the subject and its sender in the inbox it wants the answer in,
which each process may only read under its own name; its answer passes on that inbox, so latency
and errors are seen too. What is said to several at once is one message to a hub, and from there
one to each. Bodies are counted, never kept.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from sparkplug.bus import hubs, subjects
from sparkplug.schema.topology import BreakerState, NodeKind, Topology, TopologyEdge, TopologyNode

_RATE_WINDOW_S = 10
_LATENCIES = 200
_MAX_OPEN = 50_000
_MAX_EDGES = 5_000
_MAX_KNOWN = 20_000
#: Things said to a hub of which another part may still come.
_MAX_SAID = 500
_OPEN_FOR_S = 900.0
#: A replica that was just started may be asked before it is known here.
_UNHEARD_S = 5.0
#: No answer comes back sooner over loopback: both were waiting to be read, and when is not known.
_SHORTEST_S = 0.0002

#: Protocol section 9: the header of an answer that is an error.
_ERROR = b"Nats-Service-Error-Code"
#: The answer to what was taken back: nothing failed, and it was not worked on to its end.
_TAKEN_BACK = b"Nats-Service-Error-Code: 499"
#: What the first line of headers begins with; a status follows where the server answered itself.
_HEADERS = b"NATS/1.0"

#: An agent's name and its replica.
Replica = tuple[str, str]


@dataclass(slots=True)
class EdgeCount:
    """What is counted of one pair."""

    sender: str
    receiver: str
    messages: int = 0
    replies: int = 0
    bytes: int = 0
    errors: int = 0
    forged: int = 0
    told_forged: float = float("-inf")
    inflight: int = 0
    waiting: int = 0
    second: int = 0
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW_S))
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    breaker: BreakerState = "closed"
    changed: bool = True
    shown: TopologyEdge | None = None

    @property
    def rate(self) -> float:
        """Messages a second over the last ten; over less, while it is younger."""
        seconds = len(self.recent)
        return sum(self.recent) / seconds if seconds else float(self.second)

    def show(self) -> TopologyEdge:
        """The pair as it is published; made anew only when it changed."""
        if self.shown is None or self.changed:
            self.changed = False
            half, most = _percentiles(self.latencies)
            self.shown = TopologyEdge(
                from_=self.sender,
                to=self.receiver,
                messages=self.messages,
                replies=self.replies,
                bytes=self.bytes,
                errors=self.errors,
                forged=self.forged,
                inflight=self.inflight,
                rate_per_second=round(self.rate, 3),
                latency_p50_ms=half,
                latency_p95_ms=most,
                breaker=self.breaker,
            )
        return self.shown


@dataclass(slots=True)
class _Open:
    edge: EdgeCount
    since: float
    sender: Replica
    receiver: Replica
    begun: bool = False
    taken_back: bool = False


class EdgeCounts:
    """All pairs. `owner` is whose agents are ours; `now` is the clock (seconds)."""

    def __init__(self, owner: str, now: Callable[[], float] = time.monotonic) -> None:
        self._owner = owner
        self._now = now
        self._edges: dict[tuple[str, str], EdgeCount] = {}
        self.kinds: dict[str, NodeKind] = {}
        self._open: OrderedDict[bytes, _Open] = OrderedDict()
        self._receivers: dict[bytes, Replica] = {}
        self._senders: dict[bytes, Replica] = {}
        self._said: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._broken: set[tuple[str, str]] = set()
        self.uncounted = 0
        self.total = 0
        self.dirty = True

    def request(
        self, subject: bytes, reply: bytes, size: int, headers: bytes | None = None
    ) -> EdgeCount | None:
        """Count a prompt; None when it is none, or there is no room for another pair.

        The pair is of the hub and the receiver where the headers have a mark.
        """
        receiver = self._receivers.get(subject) or self._receiver(subject)
        if receiver is None:
            return None
        prefix = reply[: _end_of_owner(reply)]
        sender = self._senders.get(prefix) or self._sender(prefix)
        marked = hubs.read_mark(headers) if headers and hubs.SIGN in headers else None
        if marked is not None:
            self._say(sender[0], *marked, size)
        edge = self._edge(marked[1] if marked is not None else sender[0], receiver[0])
        if edge is None:
            return None
        edge.messages += 1
        edge.bytes += size
        edge.second += 1
        edge.changed = self.dirty = True
        self.total += 1
        if reply:
            edge.inflight += 1
            edge.waiting += 1
            self._open[reply] = _Open(edge, self._now(), sender, receiver)
            if len(self._open) > _MAX_OPEN:
                self._close(self._open.popitem(last=False)[1])
        return edge

    def _say(self, sender: str, name: bytes, hub: str, size: int) -> None:
        """Count what is said to a hub once, with the first of its parts that comes."""
        key = (sender, name)
        if key in self._said:
            return
        self._said[key] = None
        if len(self._said) > _MAX_SAID:
            self._said.popitem(last=False)
        edge = self._edge(sender, hub)
        if edge is not None:
            self.kinds.setdefault(hub, "group")
            edge.messages += 1
            edge.bytes += size
            edge.second += 1
            edge.changed = True

    def published(self, subject: bytes, size: int) -> EdgeCount | None:
        """Count what was said to whoever listens: its topic is a hub. Who listens is not seen."""
        words = subject.decode(errors="replace").split(".")
        if len(words) < 5:
            return None
        human = words[2] == subjects.HUMAN
        sender, topic = words[3] if human else words[2], f"#{'.'.join(words[4:])}"
        self.kinds.setdefault(sender, "face" if human else "agent")
        self.kinds.setdefault(topic, "subject")
        edge = self._edge(sender, topic)
        if edge is not None:
            edge.messages += 1
            edge.bytes += size
            edge.second += 1
            self.total += 1
            edge.changed = self.dirty = True
        return edge

    def answer(self, subject: bytes, headers: bytes | None, size: int) -> EdgeCount | None:
        """Count a piece of an answer; None when it is none to a request that was seen."""
        pending = self._open.get(subject)
        if pending is None:
            return None
        edge = pending.edge
        edge.bytes += size
        edge.changed = self.dirty = True
        if not pending.begun:
            pending.begun = True
            edge.waiting -= 1
        if headers:
            # With a status it is the server that answers: there is nobody.
            nobody = headers.startswith(_HEADERS) and headers[8:9] == b" "
            if _TAKEN_BACK in headers:
                pending.taken_back = True
            elif nobody or _ERROR in headers:
                edge.errors += 1
            if nobody:
                self._close(self._open.pop(subject))
        elif not size:
            # Protocol section 6.5: a stream ends with an empty message without headers.
            del self._open[subject]
            took = self._now() - pending.since
            if took >= _SHORTEST_S and not pending.taken_back:
                edge.latencies.append(took)
            self._close(pending)
        else:
            edge.replies += 1
        return edge

    def _close(self, pending: _Open) -> None:
        pending.edge.inflight -= 1
        if not pending.begun:
            pending.begun = True
            pending.edge.waiting -= 1
        pending.edge.changed = self.dirty = True

    def gone(self, replicas: Collection[Replica]) -> None:
        """Replicas ended: what they were asked, or asked themselves, is answered no more."""
        for reply, pending in list(self._open.items()):
            if pending.receiver in replicas or pending.sender in replicas:
                self._close(self._open.pop(reply))

    def unheard(self, there: Collection[Replica]) -> None:
        """What was asked of replicas that are not there, and not begun, comes to nothing.

        The server tells the asker so, and nobody else.
        """
        horizon = self._now() - _UNHEARD_S
        for reply, pending in list(self._open.items()):
            if pending.since > horizon:
                return
            if not pending.begun and pending.receiver not in there:
                pending.edge.errors += 1
                self._close(self._open.pop(reply))

    def break_circuits(self, found: Mapping[tuple[str, str], BreakerState]) -> None:
        """How the circuit breakers of pairs are now; those of all others are closed."""
        for pair, state in found.items():
            edge = self._edge(*pair)
            if edge is not None and edge.breaker != state:
                for name in pair:
                    self.kinds.setdefault(name, "agent")
                edge.breaker = state
                edge.changed = self.dirty = True
        for pair in self._broken - found.keys():
            edge = self._edges[pair]
            edge.breaker = "closed"
            edge.changed = self.dirty = True
        self._broken = found.keys() & self._edges.keys()

    def _edge(self, sender: str, receiver: str) -> EdgeCount | None:
        edge = self._edges.get((sender, receiver))
        if edge is None:
            if len(self._edges) >= _MAX_EDGES:
                self.uncounted += 1
                self.dirty = True
                return None
            edge = self._edges[sender, receiver] = EdgeCount(sender, receiver)
        return edge

    def _receiver(self, subject: bytes) -> Replica | None:
        parts = subject.decode(errors="replace").split(".")
        if len(parts) != 5:
            return None
        self.kinds.setdefault(parts[2], "agent" if parts[3] == self._owner else "foreign")
        found = (parts[2], parts[4])
        _remember(self._receivers, subject, found)
        return found

    def _sender(self, prefix: bytes) -> Replica:
        owner = subjects.inbox_owner(prefix.decode(errors="replace") + ".x")
        kind: NodeKind = "unknown"
        found = ("unknown", "")
        if owner is not None:
            name = owner[1]
            if owner[0] == "agent":
                name, _, replica = name.partition("=")
                found, kind = (name, replica), "agent"
            elif owner[0] == "planner":
                found, kind = ("planner", ""), "planner"
            else:
                found, kind = (name.rpartition("-")[0] or name, ""), "face"
        if kind in ("agent", "planner"):
            self.kinds[found[0]] = kind
        else:
            self.kinds.setdefault(found[0], kind)
        _remember(self._senders, prefix, found)
        return found

    def sender_of(self, reply: bytes) -> Replica:
        """Who wants an answer in an inbox."""
        prefix = reply[: _end_of_owner(reply)]
        return self._senders.get(prefix) or self._sender(prefix)

    def roll(self) -> None:
        """One second passed: rates move on, and answers nobody ended are given up."""
        for edge in self._edges.values():
            if edge.second or any(edge.recent):
                edge.changed = self.dirty = True
            edge.recent.append(edge.second)
            edge.second = 0
        horizon = self._now() - _OPEN_FOR_S
        while self._open:
            reply, pending = next(iter(self._open.items()))
            if pending.since > horizon:
                return
            self._close(self._open.pop(reply))

    def graph(self) -> Topology:
        """All that was counted."""
        depth: dict[str, int] = dict.fromkeys(self.kinds, 0)
        waiting: dict[str, int] = dict.fromkeys(self.kinds, 0)
        for edge in self._edges.values():
            depth[edge.receiver] += edge.inflight
            waiting[edge.receiver] += edge.waiting
        edges = [self._edges[pair].show() for pair in sorted(self._edges)]
        return Topology(
            nodes=[
                TopologyNode(name=name, kind=kind, queue_depth=depth[name], waiting=waiting[name])
                for name, kind in sorted(self.kinds.items())
            ],
            edges=edges,
            # What is said to a hub is counted on its way from there.
            messages_per_second=round(
                sum(edge.rate_per_second for edge in edges if self.kinds[edge.to] != "group"), 3
            ),
            uncounted=self.uncounted,
        )


def _end_of_owner(reply: bytes) -> int:
    """Where the part of an inbox ends that names whose it is: after the fourth token."""
    at = -1
    for _ in range(4):
        at = reply.find(b".", at + 1)
        if at < 0:
            return len(reply)
    return at


def _remember(known: dict[bytes, Replica], key: bytes, found: Replica) -> None:
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[key] = found


def _percentiles(seconds: Collection[float]) -> tuple[float | None, float | None]:
    """What half, and what 95 of 100, do not exceed, in milliseconds."""
    if not seconds:
        return None, None
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return (
        round(ordered[last // 2] * 1000, 3),
        round(ordered[min(last, round(last * 0.95))] * 1000, 3),
    )
