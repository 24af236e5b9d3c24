"""How far a rolling change is, as it can be seen from the replicas."""

from __future__ import annotations

from collections.abc import Iterable

from sparkplug.schema.agent import SERVING, AgentState, DesiredAgent, ObservedAgent


def rollout_text(wanted: DesiredAgent | None, replicas: Iterable[ObservedAgent]) -> str:
    """The change that is on its way, in a sentence; empty when none is."""
    if wanted is None or not wanted.run:
        return ""
    ours = [agent for agent in replicas if not agent.foreign]
    new = [agent for agent in ours if agent.generation >= wanted.generation]
    if len(new) == len(ours):
        return ""
    serving = sum(agent.state in SERVING for agent in new)
    text = f"generation {wanted.generation}: {serving} of {len(ours)} replicas"
    failed = next((agent for agent in new if agent.state is AgentState.ERROR), None)
    if failed is None:
        return text
    why = failed.reason or "it gave no reason"
    return f"{text}, stopped: {failed.name}/{failed.replica} failed: {why}"
