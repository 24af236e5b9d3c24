"""The replicas that take tasks: what each says it takes, and what the mesh knows of it."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.agent_state import ACTIVITY

#: Of more than so many, two are drawn and the less busy one has it.
_LOOK_AT_ALL = 32
_REMEMBER_GONE = 200


@dataclass(slots=True, eq=False)
class Worker:
    """One process of a replica. Another process of the same replica is another worker."""

    agent: str
    replica: str
    instance: str
    capacity: int = 0
    #: What it may be given now: empty while its replica is not well.
    capabilities: frozenset[str] = frozenset()
    #: The directory has shown this process: what it shows instead from now on came after.
    confirmed: bool = False
    #: Seconds by the monotonic clock since when it has been known.
    since: float = field(default_factory=time.monotonic)
    holds: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """agent/replica."""
        return f"{self.agent}/{self.replica}"

    @property
    def load(self) -> float:
        """The share of what it takes at once that it has in hand."""
        return len(self.holds) / self.capacity if self.capacity else float("inf")


class Workers:
    """Workers by replica. `observed` is what the directory knows of a replica, None: nothing."""

    def __init__(self, observed: Callable[[str, str], ObservedAgent | None]) -> None:
        self._observed = observed
        self._by_replica: dict[tuple[str, str], Worker] = {}
        self._able: dict[str, list[Worker]] = {}
        self._gone: deque[str] = deque(maxlen=_REMEMBER_GONE)

    def is_gone(self, instance: str) -> bool:
        """Whether this process was found gone: what it said before may still be on its way."""
        return instance in self._gone

    def get(self, agent: str, replica: str) -> Worker | None:
        """The process of a replica that was heard of last."""
        return self._by_replica.get((agent, replica))

    def meet(self, agent: str, replica: str, instance: str) -> tuple[Worker, Worker | None]:
        """The worker of that instance, and the one before it, which is no more."""
        before = self._by_replica.get((agent, replica))
        if before is not None and before.instance == instance:
            return before, None
        if before is not None:
            self._gone.append(before.instance)
            # Until they are looked at next it is among those that could be given something.
            before.capacity = 0
        worker = self._by_replica[agent, replica] = Worker(agent, replica, instance)
        return worker, before

    def expect(self, agent: str, replica: str, instance: str) -> Worker:
        """The worker that an earlier service gave a task to; the directory had shown it then."""
        worker, _ = self.meet(agent, replica, instance)
        worker.confirmed = True
        return worker

    def look(self) -> list[tuple[Worker, str]]:
        """See how they are by the directory; those that are no more, each with what became of it.

        Only a process that was shown there before is found gone: the directory may lag behind
        what a new process says itself.
        """
        gone: list[tuple[Worker, str]] = []
        able: dict[str, list[Worker]] = {}
        for key, worker in list(self._by_replica.items()):
            observed = self._observed(*key)
            if observed is not None and observed.instance == worker.instance:
                worker.confirmed = True
                well = observed.state in ACTIVITY and observed.accepting
                worker.capabilities = frozenset(observed.capabilities if well else ())
            else:
                worker.capabilities = frozenset()
                what = _end(observed) if worker.confirmed else None
                if what is not None:
                    gone.append((worker, what))
                    self._gone.append(worker.instance)
                    del self._by_replica[key]
            for capability in worker.capabilities:
                able.setdefault(capability, []).append(worker)
        self._able = able
        return gone

    def able(self, capability: str) -> list[Worker]:
        """Those that take tasks of a capability now."""
        return self._able.get(capability, [])

    def choose(self, capability: str) -> Worker | None:
        """One with a hand free: of a few the least busy, of many the less busy of two."""
        able = self._able.get(capability, ())
        if len(able) > _LOOK_AT_ALL:
            pair = random.sample(able, 2)
            chosen = min(pair, key=_load)
            if chosen.load < 1:
                return chosen
        best = min(able, key=_load, default=None)
        if best is None or best.load >= 1:
            return None
        return best


def _load(worker: Worker) -> float:
    return worker.load


def _end(observed: ObservedAgent | None) -> str | None:
    """What became of a process that the directory showed before; None: that is not known."""
    if observed is None:
        return "its agent was removed"
    if observed.instance:
        return "its process was replaced by another"
    if observed.pid is None:
        return f"its process ended: {observed.reason or observed.state}"
    # A process that runs and has not said who it is since its node began anew.
    return None
