"""Observed state as faces show it: what nodes wrote, what is still to come, and what is silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, Entry, decode
from sparkplug.bus.connection import Bus
from sparkplug.client.deadline import READ_S, within
from sparkplug.client.nodes import node_age, node_state
from sparkplug.schema.agent import AgentState, DesiredAgent, ObservedAgent
from sparkplug.schema.base import utc_now
from sparkplug.schema.node import NodeState, ObservedNode


@dataclass(slots=True)
class Observed:
    """The `observed` bucket, read: agents and nodes by key."""

    agents: dict[str, ObservedAgent] = field(default_factory=dict)
    nodes: dict[str, ObservedNode] = field(default_factory=dict)

    def take(self, entry: Entry) -> bool:
        """Take in one entry of the bucket. False when it holds nothing that is shown."""
        if entry.key.startswith("nodes."):
            node = decode(ObservedNode, entry)
            if node is not None:
                self.nodes[entry.key] = node
            elif entry.value is None:
                self.nodes.pop(entry.key, None)
            return node is not None or entry.value is None
        if entry.key.startswith(("agents.", "foreign.")):
            agent = decode(ObservedAgent, entry)
            if agent is not None:
                self.agents[entry.key] = agent
            elif entry.value is None:
                self.agents.pop(entry.key, None)
            return agent is not None or entry.value is None
        return False


async def read_observed(bus: Bus) -> Observed:
    """Observed state now."""
    found = Observed()
    async with within(READ_S, "observed state"):
        for entry in await Bucket(bus, subjects.BUCKET_OBSERVED).entries():
            found.take(entry)
    return found


def merge_agents(
    observed: Observed, desired: Mapping[str, DesiredAgent], now: datetime | None = None
) -> list[ObservedAgent]:
    """Every replica as it is shown, sorted: ours by name and replica, then foreign ones.

    A replica on a silent node is `stale`; one that is wanted and that no node has taken yet
    is `deploying`.
    """
    now = now or utc_now()
    nodes = {node.name: node for node in observed.nodes.values()}
    shown = [_with_node(agent, nodes, now) for agent in observed.agents.values()]
    present = {(agent.name, agent.replica) for agent in shown if not agent.foreign}
    for name, wanted in desired.items():
        numbers = map(str, range(wanted.spec.replicas if wanted.run else 0))
        shown += [_deploying(wanted, n) for n in numbers if (name, n) not in present]
    return sorted(shown, key=_order)


def _with_node(
    agent: ObservedAgent, nodes: Mapping[str, ObservedNode], now: datetime
) -> ObservedAgent:
    node = nodes.get(agent.node or "")
    ended = agent.state in (AgentState.STOPPED, AgentState.ERROR)
    if node is None or ended or node_state(node, now) is not NodeState.STALE:
        return agent
    reason = f"node {node.name} has been silent for {node_age(node, now):.0f} s"
    return agent.model_copy(
        update={"state": AgentState.STALE, "state_since": node.seen, "reason": reason}
    )


def _deploying(wanted: DesiredAgent, replica: str) -> ObservedAgent:
    spec = wanted.spec
    return ObservedAgent(
        name=spec.name,
        replica=replica,
        runtime=spec.runtime,
        type=spec.type,
        description=spec.description,
        capabilities=spec.capabilities,
        owner=wanted.changed_by,
        state=AgentState.DEPLOYING,
        reason="no node has taken it yet",
        generation=wanted.generation,
    )


def _order(agent: ObservedAgent) -> tuple[bool, str, int, str]:
    number = int(agent.replica) if agent.replica.isdecimal() else 0
    return agent.foreign, agent.name, number, agent.replica


def replicas_of(agents: Iterable[ObservedAgent], name: str) -> list[ObservedAgent]:
    """The replicas of one agent, in the order given."""
    return [agent for agent in agents if agent.name == name]
