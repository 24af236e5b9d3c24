"""Circuit breakers that are not closed, from what the replicas that hold them say."""

from __future__ import annotations

from collections.abc import Iterable

from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.agent_state import SERVING
from sparkplug.schema.topology import EdgeBreaker

_MOST = 200
_SUBJECT_PARTS = 5


def breakers_of(replicas: Iterable[ObservedAgent]) -> list[EdgeBreaker]:
    """Those of the replicas that are up, open ones first. What is no agent's subject is left."""
    found = []
    for agent in replicas:
        if not agent.breakers or agent.state not in SERVING:
            continue
        for view in agent.breakers:
            parts = view.target.split(".")
            if len(parts) == _SUBJECT_PARTS:
                found.append(
                    EdgeBreaker(
                        from_=f"{agent.name}/{agent.replica}",
                        to=f"{parts[2]}/{parts[4]}",
                        state=view.state,
                        failures=view.failures,
                    )
                )
    found.sort(key=lambda one: (one.state != "open", one.from_, one.to))
    return found[:_MOST]


def breaker_words(one: EdgeBreaker) -> str:
    """How a circuit breaker is, and since how many failures."""
    count = f"{one.failures} failure{'s' * (one.failures != 1)}"
    next_one = ", the next request decides" if one.state == "half-open" else ""
    return f"its circuit breaker is {one.state} after {count}{next_one}"
