"""Who waits for whom, and who can never go on: from what the replicas say of their requests.

A request is stuck when every answer it waits for is that of a stuck request, or of one that stands
before a replica without room whose requests are all stuck. What is stuck by that rule, taken as
far as it goes, does not come free by itself: for one of them to go on, another would have to first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from sparkplug.schema.topology import HeldRequest, Wait, WaitEdge, WaitReport, WaitRing

#: A report that was not told again for so long is of a replica that is no more.
_KEPT_S = 6.0
_MOST_WAITS = 200
_MOST_RINGS = 20
_MOST_REPORTS = 5_000
#: A ring that may still come undone is named when its last wait is this old.
_LASTING_S = 1.0
_LONGEST_CHAIN = 64

Replica = tuple[str, str]
#: A request in hand: whose, and which.
_Request = tuple[Replica, str]


@dataclass(slots=True)
class _Told:
    report: WaitReport
    at: float


class WaitGraph:
    """The reports there are, and what follows from them. `now` is the clock (seconds)."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._told: dict[Replica, _Told] = {}
        #: The requests that were in a ring when it was asked last.
        self._in_rings: frozenset[_Request] = frozenset()

    def take(self, report: WaitReport) -> None:
        """Take in what a replica says."""
        key = (report.agent, report.replica)
        if not any(request.waits for request in report.requests):
            self._told.pop(key, None)
        elif key in self._told or len(self._told) < _MOST_REPORTS:
            self._told[key] = _Told(report, self._now())

    def gone(self, replicas: Collection[Replica]) -> None:
        """Replicas ended."""
        for replica in replicas:
            self._told.pop(replica, None)

    def _current(self) -> dict[Replica, _Told]:
        horizon = self._now() - _KEPT_S
        self._told = {key: told for key, told in self._told.items() if told.at > horizon}
        return self._told

    def waits(self) -> list[WaitEdge]:
        """Every wait that is told, the longest first."""
        found = []
        for key, told in self._current().items():
            age = self._now() - told.at
            for request in told.report.requests:
                found += [_edge(key, request, wait, age) for wait in request.waits]
        found.sort(key=lambda wait: -wait.seconds)
        return found[:_MOST_WAITS]

    def rings(self) -> list[WaitRing]:
        """The rings there are; of those that cannot come undone only such as were there when
        this was asked before, since reports do not all come at the same moment."""
        told = self._current()
        held = {
            (key, request.id): request
            for key, one in told.items()
            for request in one.report.requests
        }
        answering = {
            (key, request.question): (key, request.id)
            for (key, _), request in held.items()
            if request.question
        }
        behind = {
            of: self._behind(of, held, answering) for of, request in held.items() if request.waits
        }
        stuck = _stuck(behind)
        certain = {}
        for circle in _circles({of: _joined(behind[of]) & stuck for of in stuck}):
            certain[frozenset(circle)] = self._ring(circle, held, behind, certain=True)
        before = self._in_rings
        confirmed = [ring for key, ring in certain.items() if key & before]
        self._in_rings = frozenset().union(*certain)
        named = {frozenset(ring.agents) for ring in certain.values()}
        loose = [
            ring for ring in self._loose(held, answering) if frozenset(ring.agents) not in named
        ]
        confirmed.sort(key=lambda ring: ring.agents)
        return [*confirmed, *loose][:_MOST_RINGS]

    def _behind(
        self,
        of: _Request,
        held: dict[_Request, HeldRequest],
        answering: dict[tuple[Replica, str], _Request],
    ) -> list[frozenset[_Request]]:
        """For each wait of a request the requests that would have to end; none: it is not known
        to be held up by any."""
        found = []
        for wait in held[of].waits:
            target = (wait.agent, wait.replica)
            served = answering.get((target, wait.question))
            if served is not None:
                found.append(frozenset({served}))
                continue
            told = self._told.get(target)
            full = told is not None and told.report.in_hand >= told.report.concurrency
            if told is None or not full or len(told.report.requests) < told.report.in_hand:
                found.append(frozenset())
            else:
                found.append(frozenset((target, request.id) for request in told.report.requests))
        return found

    def _ring(
        self,
        circle: list[_Request],
        held: dict[_Request, HeldRequest],
        behind: dict[_Request, list[frozenset[_Request]]],
        *,
        certain: bool,
    ) -> WaitRing:
        inside = set(circle)
        waits = []
        for of in circle:
            for wait, blockers in zip(held[of].waits, behind[of], strict=True):
                if blockers & inside:
                    age = self._now() - self._told[of[0]].at
                    waits.append(_edge(of[0], held[of], wait, age))
        return _as_ring(waits, certain=certain)

    def _loose(
        self,
        held: dict[_Request, HeldRequest],
        answering: dict[tuple[Replica, str], _Request],
    ) -> Iterable[WaitRing]:
        """Chains of requests that come back to the replica they began at, and last."""
        seen: set[frozenset[str]] = set()
        for start in held:
            chain: list[WaitEdge] = []
            at = start
            while len(chain) < _LONGEST_CHAIN:
                step = next(
                    (
                        (wait, answering[(wait.agent, wait.replica), wait.question])
                        for wait in held[at].waits
                        if ((wait.agent, wait.replica), wait.question) in answering
                    ),
                    None,
                )
                if step is None:
                    break
                wait, following = step
                chain.append(_edge(at[0], held[at], wait, self._now() - self._told[at[0]].at))
                if following[0] == start[0]:
                    ring = _as_ring(chain, certain=False)
                    name = frozenset(ring.agents)
                    if name not in seen and ring.seconds >= _LASTING_S:
                        seen.add(name)
                        yield ring
                    break
                at = following


def _edge(key: Replica, request: HeldRequest, wait: Wait, age: float) -> WaitEdge:
    return WaitEdge(
        from_="/".join(key),
        to=f"{wait.agent}/{wait.replica}",
        action=wait.action[:100],
        during=request.action[:100],
        seconds=round(wait.seconds + age, 1),
    )


def _as_ring(waits: list[WaitEdge], *, certain: bool) -> WaitRing:
    """Waits as a ring, in the order they lead; begun at the name that sorts first."""
    longest: dict[tuple[str, str], WaitEdge] = {}
    for wait in waits:
        known = longest.get((wait.from_, wait.to))
        if known is None or known.seconds < wait.seconds:
            longest[wait.from_, wait.to] = wait
    leads: dict[str, list[WaitEdge]] = {}
    for wait in longest.values():
        leads.setdefault(wait.from_, []).append(wait)
    at = min(leads)
    ordered: list[str] = []
    while at in leads and at not in ordered:
        ordered.append(at)
        at = next((w.to for w in leads[at] if w.to not in ordered), leads[at][0].to)
    ordered += sorted(set(leads) - set(ordered))
    told = [wait for name in ordered for wait in leads[name]]
    return WaitRing(
        agents=ordered,
        waits=told[:_MOST_WAITS],
        certain=certain,
        seconds=min(wait.seconds for wait in told),
    )


def _joined(groups: Iterable[frozenset[_Request]]) -> frozenset[_Request]:
    return frozenset().union(*groups)


def _stuck(behind: dict[_Request, list[frozenset[_Request]]]) -> frozenset[_Request]:
    """The most requests of which each waits for nothing but others of them."""
    stuck = set(behind)
    while True:
        free = {
            of for of in stuck if not all(blockers and blockers <= stuck for blockers in behind[of])
        }
        if not free:
            return frozenset(stuck)
        stuck -= free


def _circles(leads: dict[_Request, frozenset[_Request]]) -> list[list[_Request]]:
    """The groups of requests that can all be reached from one another (Tarjan, without recursion),
    alone only where a request leads to itself."""
    index: dict[_Request, int] = {}
    low: dict[_Request, int] = {}
    stack: list[_Request] = []
    on_stack: set[_Request] = set()
    found = []
    for root in leads:
        if root in index:
            continue
        work = [(root, iter(leads[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            at, rest = work[-1]
            step = next(rest, None)
            if step is not None:
                if step not in index:
                    index[step] = low[step] = len(index)
                    stack.append(step)
                    on_stack.add(step)
                    work.append((step, iter(leads.get(step, ()))))
                elif step in on_stack:
                    low[at] = min(low[at], index[step])
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[at])
            if low[at] == index[at]:
                group = []
                while True:
                    one = stack.pop()
                    on_stack.discard(one)
                    group.append(one)
                    if one == at:
                        break
                if len(group) > 1 or at in leads.get(at, ()):
                    found.append(group)
    return found
