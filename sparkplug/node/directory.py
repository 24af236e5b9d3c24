"""The directory: every agent of the mesh and whether it can take a prompt, from the bus."""

from __future__ import annotations

import contextlib

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import Services
from sparkplug.node.observed import agent_key
from sparkplug.schema.agent import ObservedAgent, ResolveReply, ResolveRequest, Target
from sparkplug.schema.agent_state import AgentState

_QUEUE = "directory"


class Directory:
    """A live copy of the observed agents, and the service that resolves names."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._agents: dict[str, ObservedAgent] = {}
        #: Whether all that is written down has been read since the server was reached.
        self.complete = False

    async def run(self, services: Services) -> None:
        """Follow for ever and answer."""
        await services.serve(subjects.AGENTS_RESOLVE, ResolveRequest, self.resolve, queue=_QUEUE)
        watch = Bucket(self._bus, subjects.BUCKET_OBSERVED).watch(">")
        async with contextlib.aclosing(watch) as changes:
            async for change in changes:
                if change.reset:
                    self._agents.clear()
                self.complete = not change.reset and (self.complete or change.entry is None)
                if change.entry is None or change.entry.key.startswith("nodes."):
                    continue
                observed = decode(ObservedAgent, change.entry)
                if observed is None:
                    self._agents.pop(change.entry.key, None)
                else:
                    self._agents[change.entry.key] = observed

    def replicas(self) -> list[ObservedAgent]:
        """Every replica there is, foreign ones too."""
        return list(self._agents.values())

    def replica(self, name: str, replica: str) -> ObservedAgent | None:
        """What is known of a replica of ours; None when there is none."""
        return self._agents.get(agent_key(name, replica))

    async def names(self) -> set[str]:
        """The names of all agents there are."""
        return {agent.name for agent in self._agents.values()}

    def named(self, user: str) -> str | None:
        """The agent/replica whose process is this NATS user; None for nobody's."""
        if not user:
            return None
        for agent in self._agents.values():
            if agent.user == user:
                return f"{agent.name}/{agent.replica}"
        return None

    def user_of(self, name: str) -> str | None:
        """The NATS user of an agent/replica; None when there is none or it has none."""
        agent, _, replica = name.partition("/")
        for observed in self._agents.values():
            if (observed.name, observed.replica) == (agent, replica):
                return observed.user or None
        return None

    def target(self, voter: str) -> Target | None:
        """The least busy replica of an agent that takes prompts, or of agent/replica."""
        name, _, replica = voter.partition("/")
        found = [
            agent
            for agent in self._agents.values()
            if agent.name == name
            and agent.takes_prompts
            and agent.subject
            and replica in ("", agent.replica)
        ]
        best = min(found, key=lambda agent: (agent.foreign, agent.inflight), default=None)
        return Target.of(best) if best is not None else None

    async def resolve(self, request: ResolveRequest) -> ResolveReply:
        found = [
            agent
            for agent in self._agents.values()
            if (request.any_state or agent.takes_prompts)
            and agent.subject
            and (request.name is None or agent.name == request.name)
            and (request.user is None or agent.user == request.user)
            and (request.capability is None or request.capability in agent.capabilities)
            and request.type in (None, agent.type)
            and all(_has(agent.labels, label) for label in request.labels)
        ]
        # Ours first: a foreign agent of the same name does not take over. A degraded one last.
        found.sort(key=lambda a: (a.foreign, a.state is AgentState.DEGRADED, a.inflight, a.replica))
        return ResolveReply(targets=[Target.of(agent) for agent in found])


def _has(labels: dict[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)
