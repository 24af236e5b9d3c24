"""Which replica is asked: who answers to a name, remembered for a moment; and who is best."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sparkplug.agents.balancing import Balance, choose
from sparkplug.agents.breakers import Breakers, RetryBudget
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.hubs import hub_name
from sparkplug.bus.service import call as call_service
from sparkplug.schema.agent import AgentState, ResolveReply, ResolveRequest, Target
from sparkplug.schema.errors import NoMeshError, NotFoundError

_ROUTE_AGE_S = 2.0
_MOST_REMEMBERED = 1000
#: How much the newest latency counts.
_NEWEST = 0.2


@dataclass(frozen=True, slots=True)
class Whom:
    """Who is meant: by name, capability, type or labels (`key=value`), or some of these."""

    name: str | None = None
    capability: str | None = None
    type: str | None = None
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [
            f"agent {self.name}" if self.name else "agent",
            f"with the capability {self.capability}" if self.capability else "",
            f"of the type {self.type}" if self.type else "",
            f"labelled {', '.join(self.labels)}" if self.labels else "",
        ]
        return " ".join(part for part in parts if part)

    @property
    def hub(self) -> str:
        """What they are called when something is said to all of them."""
        kinds = [("capability", self.capability), ("type", self.type)]
        found = [(kind, what) for kind, what in kinds if what]
        for label in self.labels:
            key, _, value = label.partition("=")
            found.append(("group", value) if key == "group" else ("label", label))
        return hub_name(found)


class Routes:
    """The routes of one process: what it knows of replicas, and how they did."""

    def __init__(self, bus: Bus, host: str = "") -> None:
        self._bus = bus
        self._host = host
        self._known: dict[Whom, tuple[float, list[Target]]] = {}
        self._open: Counter[str] = Counter()
        self._latency: dict[str, float] = {}
        self.breakers = Breakers()
        self.budget = RetryBudget()

    async def all(self, whom: Whom) -> list[Target]:
        """Every replica that could be asked now, ours first."""
        age, targets = self._known.get(whom, (0.0, []))
        if not targets or time.monotonic() - age > _ROUTE_AGE_S:
            request = ResolveRequest(
                name=whom.name,
                capability=whom.capability,
                type=whom.type,
                labels=list(whom.labels),
            )
            reply = await call_service(self._bus, subjects.AGENTS_RESOLVE, request, ResolveReply)
            targets = reply.targets
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[whom] = (time.monotonic(), targets)
        return targets

    def learn(self, whom: Whom, targets: list[Target]) -> None:
        """Remember who is meant, from an answer to a wider question."""
        self._known[whom] = (time.monotonic(), targets)

    async def find(
        self, whom: Whom, balance: Balance = "weighted", besides: frozenset[str] = frozenset()
    ) -> Target:
        """The best replica, none of `besides` (their subjects).

        Raises NotFoundError when there is none, NoMeshError when the breakers of all are open.
        """
        targets = [one for one in await self.all(whom) if one.subject not in besides]
        if not targets:
            raise NotFoundError(f"no {whom} is ready", hint="`sparkplug agents list` shows them")
        # A foreign agent of the same name, and one that is not well, only for want of another.
        for wanted in (
            [t for t in targets if not t.foreign and t.state is not AgentState.DEGRADED],
            [t for t in targets if not t.foreign],
            targets,
        ):
            allowed = [one for one in wanted if self.breakers.allows(one.subject)]
            if allowed:
                return choose(
                    allowed,
                    balance,
                    outstanding=self._outstanding,
                    latency=self._latency,
                    host=self._host,
                )
        raise NoMeshError(
            f"every {whom} has failed of late, and is left alone for a while",
            hint="its circuit breaker is open; `sparkplug agents describe` shows it",
        )

    def _outstanding(self, target: Target) -> int:
        # What it said a moment ago includes some of ours; what we sent since it does not.
        return max(target.inflight, self._open[target.subject])

    @contextlib.contextmanager
    def asking(self, target: Target) -> Iterator[None]:
        """Count a request there, and how it ended, while the block runs."""
        subject = target.subject
        self._open[subject] += 1
        self.breakers.begin(subject)
        began = time.monotonic()
        error: BaseException | None = None
        try:
            yield
        except GeneratorExit:
            raise
        except BaseException as caught:
            error = caught
            raise
        finally:
            self._open[subject] -= 1
            if not self._open[subject]:
                del self._open[subject]
            self.breakers.end(subject, error)
            if error is None:
                took = time.monotonic() - began
                before = self._latency.get(subject, took)
                self._latency[subject] = before + _NEWEST * (took - before)
            elif isinstance(error, NoMeshError):
                # Whoever is there now is asked for anew.
                self._known.clear()
