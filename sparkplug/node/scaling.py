"""How many replicas a load calls for: a pure rule with cool-downs, so that it never flaps.

What is needed now is the load over what one replica is to have in hand. There are more only when
all that was needed over `up_after` was more, and then as many as the least of it; fewer only when
all of it over `down_after` was less, and then as many as the most of it. After a change both
windows begin anew. To go down, load counts a tenth more than it is. (Kubernetes' autoscaler
stabilises the same way: its documentation, "Stabilization window" and "tolerance".)
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from sparkplug.schema.agent import SERVING, AgentState, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec, Scale

#: The share of its concurrency a replica is to use where a spec says neither target.
DEFAULT_UTILIZATION = 0.7
_MARGIN = 1.1


@dataclass(frozen=True, slots=True)
class Load:
    """What an agent's replicas have in hand. `told` is False while some of it is not known."""

    inflight: int
    serving: int
    full: bool = False
    told: bool = True


def load_of(spec: AgentSpec, replicas: Iterable[ObservedAgent]) -> Load:
    """The load of an agent's replicas. A silent one makes it unknown."""
    seen = list(replicas)
    serving = [agent for agent in seen if agent.state in SERVING]
    return Load(
        inflight=sum(agent.inflight for agent in serving),
        serving=len(serving),
        # More may wait in front of a replica that is full than it tells of.
        full=bool(serving) and all(agent.inflight >= spec.concurrency for agent in serving),
        told=not any(agent.state is AgentState.STALE for agent in seen),
    )


def per_replica(spec: AgentSpec, scale: Scale) -> float:
    """The requests that one replica is to have in hand."""
    if scale.queue is not None:
        return scale.queue
    return spec.concurrency * (scale.utilization or DEFAULT_UTILIZATION)


@dataclass(frozen=True, slots=True)
class Step:
    """A change of how many replicas there are, and why."""

    replicas: int
    why: str


@dataclass(slots=True)
class Scaling:
    """What was needed of one agent lately. Times are of one monotonic clock, in seconds."""

    _needs: deque[tuple[float, int, int]] = field(default_factory=deque)
    _began: float | None = None

    def step(self, now: float, spec: AgentSpec, replicas: int, load: Load) -> Step | None:
        """Take in the load at `now`; the change it calls for, or None.

        `replicas` is how many there are meant to be. Bounds hold at once, load after its time.
        """
        scale = spec.scale
        if scale is None:
            return None
        if scale.clamp(replicas) != replicas:
            self.forget()
            return Step(scale.clamp(replicas), f"it has {scale.min} to {scale.max} replicas")
        if not load.told:
            # Nothing is known of what a silent one does: the windows begin anew.
            self.forget()
            return None
        if self._began is None:
            self._began = now
        self._needs.append((now, *self._needed(spec, scale, replicas, load)))
        keep = max(scale.up_after, scale.down_after)
        while len(self._needs) > 1 and self._needs[1][0] <= now - keep:
            self._needs.popleft()
        return self._decide(now, spec, scale, replicas, load)

    def forget(self) -> None:
        """Begin anew: nothing is changed before a whole window has passed."""
        self._needs.clear()
        self._began = None

    @staticmethod
    def _needed(spec: AgentSpec, scale: Scale, replicas: int, load: Load) -> tuple[int, int]:
        """What is needed, and what is needed with a margin (bounded)."""
        each = per_replica(spec, scale)
        needed = math.ceil(load.inflight / each - 1e-9)
        if load.full and load.serving >= replicas:
            needed = max(needed, replicas + 1)
        with_margin = max(needed, math.ceil(load.inflight * _MARGIN / each - 1e-9))
        return scale.clamp(needed), scale.clamp(with_margin)

    def _decide(
        self, now: float, spec: AgentSpec, scale: Scale, replicas: int, load: Load
    ) -> Step | None:
        target = f"{per_replica(spec, scale):g} each"
        if self._covers(now, scale.up_after):
            least = min(needed for _, needed, _ in self._within(now, scale.up_after))
            if least > replicas:
                self.forget()
                why = f"{load.inflight} in hand of {replicas}, for {scale.up_after:g} s; {target}"
                return Step(least, why)
        if self._covers(now, scale.down_after):
            most = max(needed for _, _, needed in self._within(now, scale.down_after))
            if most < replicas:
                self.forget()
                why = f"no more than {most} were needed for {scale.down_after:g} s; {target}"
                return Step(most, why)
        return None

    def _covers(self, now: float, seconds: float) -> bool:
        return self._began is not None and now - self._began >= seconds

    def _within(self, now: float, seconds: float) -> Iterable[tuple[float, int, int]]:
        """What was needed at any time of the window: the last before it held as it began."""
        after = now - seconds
        before: tuple[float, int, int] | None = None
        for need in self._needs:
            if need[0] <= after:
                before = need
            else:
                if before is not None:
                    yield before
                    before = None
                yield need
        if before is not None:
            yield before
