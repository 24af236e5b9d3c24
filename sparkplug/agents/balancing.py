"""Choosing one of several replicas: by what is outstanding there, latency, health, nearness."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from sparkplug.schema.agent import AgentState, Target

#: `weighted` takes all into account; the others are for who wants one thing alone.
Balance = Literal["weighted", "least", "two", "near"]

_NEAR = 0.8
_UNWELL = 4.0


def choose(
    targets: Sequence[Target],
    balance: Balance,
    *,
    outstanding: Callable[[Target], int],
    latency: Mapping[str, float],
    host: str,
) -> Target:
    """One of `targets`, of which there is at least one.

    `outstanding` counts the requests that a target has in hand, `latency` has what a target
    took of late (seconds, by subject), `host` is where the caller runs.
    """
    if len(targets) == 1:
        return targets[0]
    if balance == "near":
        targets = [one for one in targets if one.host == host] or targets
    if balance == "two" and len(targets) > 2:
        targets = random.sample(targets, 2)
    fastest = min((latency[t.subject] for t in targets if t.subject in latency), default=0.0)

    def cost(target: Target) -> float:
        load = outstanding(target) + 1.0
        if balance != "weighted":
            return load
        slow = latency.get(target.subject, fastest)
        if fastest > 0:
            # A replica that took ten times as long is not ten times as bad: it may be better now.
            load *= (slow / fastest) ** 0.5
        if target.state is AgentState.DEGRADED:
            load *= _UNWELL
        return load * (_NEAR if target.host == host else 1.0)

    costs = [cost(target) for target in targets]
    least = min(costs)
    best = [one for one, found in zip(targets, costs, strict=True) if found <= least * 1.0001]
    return random.choice(best)  # noqa: S311  spreads load, guards nothing
