"""Observed state as faces show it: what nodes wrote, what is still to come, and what is silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, Entry, can_be_key, decode
from sparkplug.bus.connection import Bus
from sparkplug.client.deadline import READ_S, within
from sparkplug.client.nodes import clock_ahead, decode_node, node_age, node_state
from sparkplug.schema.agent import DesiredAgent, ObservedAgent
from sparkplug.schema.agent_state import (
    AgentState,
    ReasonKind,
    StateSource,
    Transition,
    is_allowed,
    remember,
)
from sparkplug.schema.base import utc_now
from sparkplug.schema.node import NodeState, ObservedNode


@dataclass(slots=True)
class Observed:
    """The `observed` bucket, read: agents and nodes by key."""

    agents: dict[str, ObservedAgent] = field(default_factory=dict)
    nodes: dict[str, ObservedNode] = field(default_factory=dict)
    #: Seconds by which this host's clock is ahead of the server's.
    ahead: float = 0.0

    def take(self, entry: Entry) -> bool:
        """Take in one entry of the bucket. False when it holds nothing that is shown."""
        if entry.key.startswith("nodes."):
            node = decode_node(entry, self.ahead)
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
    async with within(READ_S, "observed state"):
        found = Observed(ahead=await clock_ahead(bus))
        for entry in await Bucket(bus, subjects.BUCKET_OBSERVED).entries():
            found.take(entry)
    return found


async def read_observed_of(bus: Bus, name: str) -> Observed:
    """Observed state now of the agents of one name, and of every node.

    The rest of a mesh of many agents takes its time to read, and says nothing of them.
    """
    patterns = (f"agents.{name}.>", f"foreign.{name}.>", "nodes.>")
    bucket = Bucket(bus, subjects.BUCKET_OBSERVED)
    async with within(READ_S, "observed state"):
        found = Observed(ahead=await clock_ahead(bus))
        for pattern in patterns if can_be_key(name) else ():
            for entry in await bucket.entries(pattern):
                found.take(entry)
    return found


def merge_agents(
    observed: Observed, desired: Mapping[str, DesiredAgent], now: datetime | None = None
) -> list[ObservedAgent]:
    """Every replica as it is shown, sorted: ours by name and replica, then foreign ones.

    A replica on a silent node is `stale`; one that is wanted and that no node has taken yet
    is `deploying`.
    """
    return MergedAgents().merge(observed, desired, now)


class MergedAgents:
    """`merge_agents`, kept: what did not change since the last time is the same record."""

    def __init__(self) -> None:
        #: What was merged last: the replicas as they are shown, by key, and what is wanted.
        self._shown: dict[str, ObservedAgent] = {}
        self._desired: dict[str, DesiredAgent] = {}
        #: All of them in order, and where in it each key stands.
        self._sorted: list[ObservedAgent] = []
        self._places: dict[str, int] = {}
        #: By key: a replica, what its silent node wrote last, and how both are shown together.
        self._stale: dict[str, tuple[ObservedAgent, ObservedNode, ObservedAgent]] = {}
        #: By name and number: what is wanted, and how it is shown until a node has taken it.
        self._deploying: dict[tuple[str, str], tuple[DesiredAgent, ObservedAgent]] = {}

    def merge(
        self,
        observed: Observed,
        desired: Mapping[str, DesiredAgent],
        now: datetime | None = None,
    ) -> list[ObservedAgent]:
        """Every replica as it is shown now, see `merge_agents`."""
        now = now or utc_now()
        silent = {
            node.name: node
            for node in observed.nodes.values()
            if node_state(node, now) is NodeState.STALE
        }
        shown: Mapping[str, ObservedAgent] = observed.agents
        if silent:
            shown = {key: self._with_node(key, shown[key], silent, now) for key in shown}
        elif self._stale:
            self._stale = {}
        before = self._shown
        changed = [key for key, agent in shown.items() if before.get(key) is not agent]
        if (
            len(shown) == len(before)
            and desired == self._desired
            and all(key in before and _in_place(before[key], shown[key]) for key in changed)
        ):
            for key in changed:
                before[key] = self._sorted[self._places[key]] = shown[key]
        else:
            self._order_anew(shown, desired)
        return self._sorted.copy()

    def _order_anew(
        self, shown: Mapping[str, ObservedAgent], desired: Mapping[str, DesiredAgent]
    ) -> None:
        """Others came or went, or other ones are wanted."""
        self._shown, self._desired = dict(shown), dict(desired)
        present = {(agent.name, agent.replica) for agent in shown.values() if not agent.foreign}
        known, self._deploying = self._deploying, {}
        for name, wanted in desired.items():
            for number in map(str, range(wanted.spec.least if wanted.run else 0)):
                one = name, number
                if one not in present:
                    made = known.get(one)
                    if made is None or made[0] is not wanted:
                        made = wanted, _deploying(wanted, number)
                    self._deploying[one] = made
        keyed: list[tuple[str, ObservedAgent]] = [*shown.items()]
        keyed += [("", agent) for _, agent in self._deploying.values()]
        keyed.sort(key=lambda pair: _order(pair[1]))
        self._sorted = [agent for _, agent in keyed]
        self._places = {key: place for place, (key, _) in enumerate(keyed) if key}

    def _with_node(
        self, key: str, agent: ObservedAgent, silent: Mapping[str, ObservedNode], now: datetime
    ) -> ObservedAgent:
        node = silent.get(agent.node or "")
        if node is None or not is_allowed(agent.state, AgentState.STALE, StateSource.FACE):
            return agent
        if agent.state is AgentState.STALE and node.state is NodeState.STALE:
            # The placer has said what becomes of it.
            return agent
        reason = f"node {node.name} has been silent for {node_age(node, now):.0f} s"
        made = self._stale.get(key)
        if made is not None and made[0] is agent and made[1] is node and made[2].reason == reason:
            return made[2]
        told = Transition(
            state=AgentState.STALE, since=node.seen, source=StateSource.FACE, reason=reason
        )
        update = {
            "state": told.state,
            "state_since": told.since,
            "state_source": told.source,
            "reason": reason,
            "reason_kind": ReasonKind.SILENT,
            "history": remember(agent.history, told),
        }
        stale = agent.model_copy(update=update)
        self._stale[key] = agent, node, stale
        return stale


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
        state_since=wanted.changed,
        state_source=StateSource.FACE,
        reason="no node has taken it yet",
        generation=wanted.generation,
    )


def _in_place(before: ObservedAgent, agent: ObservedAgent) -> bool:
    """Whether a replica stands where it stood."""
    return (
        agent.name == before.name
        and agent.replica == before.replica
        and agent.foreign == before.foreign
    )


def _order(agent: ObservedAgent) -> tuple[bool, str, int, str]:
    number = int(agent.replica) if agent.replica.isdecimal() else 0
    return agent.foreign, agent.name, number, agent.replica


def replicas_of(agents: Iterable[ObservedAgent], name: str) -> list[ObservedAgent]:
    """The replicas of one agent, in the order given."""
    return [agent for agent in agents if agent.name == name]
