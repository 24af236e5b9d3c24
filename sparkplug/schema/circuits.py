"""Circuit breakers in words: those that replicas hold for each other, and those of steps."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.run import StepBreaker
    from sparkplug.schema.topology import EdgeBreaker

_MOST = 200
_SUBJECT_PARTS = 5


def breakers_of(replicas: Iterable[ObservedAgent]) -> list[EdgeBreaker]:
    """Those of the replicas that are up, open ones first. What is no agent's subject is left."""
    # The words alone are drawn in the first frame, before there are models.
    from sparkplug.schema.agent_state import SERVING
    from sparkplug.schema.topology import EdgeBreaker

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


def step_breaker_words(found: StepBreaker, now: datetime) -> str:
    """How the circuit breaker of a step is, since how many failures, and what comes next."""
    state = found.at(now)
    count = f" after {found.failures} failure{'s' * (found.failures != 1)}"
    if state == "closed":
        return f"the circuit breaker of {found.whom} is closed{count if found.failures else ''}"
    following = ", the next attempt decides"
    if found.state == "half-open":
        following = ", the attempt that goes on decides"
    elif state == "open" and found.until is not None:
        left = (found.until - now).total_seconds()
        following = f": nobody is asked for {left:.0f} s more"
    return f"the circuit breaker of {found.whom} is {state}{count}{following}"
