"""Where replicas go: a pure function from what is wanted and who is there to assignments.

What is placed stays where it is while it can. A replica that must move off a node that is up is
first told to stop there (`leaving`); it is placed elsewhere only once that node has said that it
runs it no more (`released`), so no two nodes run it at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sparkplug.node.gpu_room import GpuLedger
from sparkplug.schema.agent import Assignment, DesiredAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.host import GpuState
from sparkplug.schema.node import GpuRoom, NodeOrder

#: Replicas by agent and number, as (name, number).
ReplicaKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that could run replicas: what it is called, has, and is wanted to do."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    gpus: tuple[GpuRoom, ...] = ()
    order: NodeOrder | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """How the place of a replica came about: why there, or why nowhere, and why not elsewhere."""

    why: str
    elsewhere: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placed:
    """What placing came to: assignments by key, and for the rest why not."""

    assignments: dict[str, Assignment]
    unplaced: dict[ReplicaKey, str]
    #: Those of the unplaced that lack nothing but room on a GPU.
    waiting_gpu: frozenset[ReplicaKey] = frozenset()
    choices: dict[str, Choice] = field(default_factory=dict)


def replica_key(agent: str, replica: int | str) -> str:
    """Where the assignment of a replica is."""
    return f"{agent}.{replica}"


def place(
    specs: Mapping[str, DesiredAgent],
    current: Mapping[str, Assignment],
    nodes: Collection[Candidate],
    *,
    counts: Mapping[str, int] | None = None,
    released: Collection[str] = (),
) -> Placed:
    """Give every wanted replica a node and GPUs.

    `nodes` are those that are up; what was on another is placed anew. `counts` has the replicas
    of agents that load scales. `released` are the keys of leaving replicas that run no more.
    """
    return _Placing(specs, current, nodes, counts or {}, released).run()


class _Placing:
    """One placing: assignments so far, and what they take of each node."""

    def __init__(
        self,
        specs: Mapping[str, DesiredAgent],
        current: Mapping[str, Assignment],
        nodes: Collection[Candidate],
        counts: Mapping[str, int],
        released: Collection[str],
    ) -> None:
        self._specs, self._current, self._released = specs, current, released
        self._nodes = {node.name: node for node in sorted(nodes, key=lambda node: node.name)}
        self._counts = counts
        self._ledgers = {
            node.name: GpuLedger({room.uuid: room for room in node.gpus})
            for node in self._nodes.values()
        }
        self._load = dict.fromkeys(self._nodes, 0)
        self._of_agent: dict[tuple[str, str], int] = {}
        self._done = Placed({}, {})
        self._waiting_gpu: set[ReplicaKey] = set()

    def run(self) -> Placed:
        wanted = [
            (name, replica, desired)
            for name, desired in sorted(self._specs.items())
            for replica in range(self._counts.get(name, desired.spec.first))
        ]
        # First all that stays, as it was promised, so that nothing is given away twice.
        kept: list[tuple[str, DesiredAgent]] = []
        for name, replica, desired in wanted:
            key = replica_key(name, replica)
            before = self._current.get(key)
            if before is not None and before.node in self._nodes and key not in self._released:
                kept.append((key, desired))
                self._take(key, before)
        for key, desired in kept:
            self._keep(key, self._current[key], desired)
        for name, replica, desired in wanted:
            if replica_key(name, replica) not in self._done.assignments:
                self._give(name, replica, desired)
        return Placed(
            self._done.assignments,
            self._done.unplaced,
            frozenset(self._waiting_gpu),
            self._done.choices,
        )

    def _take(self, key: str, assignment: Assignment) -> None:
        self._ledgers[assignment.node].take(key, assignment)
        self._load[assignment.node] += 1
        at = (assignment.agent, assignment.node)
        self._of_agent[at] = self._of_agent.get(at, 0) + 1

    def _keep(self, key: str, before: Assignment, desired: DesiredAgent) -> None:
        """Leave a replica where it is, on the same GPUs while they do; else have it leave."""
        node, spec = self._nodes[before.node], desired.spec
        why = _not_allowed(spec, node) or _must_leave(spec, node)
        gpus = before.gpus
        if not why:
            gpus, why = self._same_gpus(key, before, spec)
        if why:
            after = before if before.leaving else before.model_copy(update={"leaving": why})
            self._done.assignments[key] = after
            self._done.choices[key] = Choice(f"leaves {node.name}: {after.leaving}")
            return
        memory = spec.resources.gpu_memory
        after = before.model_copy(
            update={
                "generation": desired.generation,
                "gpus": gpus,
                "gpu_memory": memory,
                "leaving": "",
            }
        )
        ledger = self._ledgers[node.name]
        for uuid in before.gpus:
            ledger.promised.get(uuid, {}).pop(key, None)
        ledger.take(key, after)
        self._done.assignments[key] = after
        self._done.choices[key] = Choice("is there already")

    def _same_gpus(self, key: str, before: Assignment, spec: AgentSpec) -> tuple[list[str], str]:
        """The GPUs a replica goes on with on its node, or why it cannot."""
        asked, ledger = spec.resources, self._ledgers[before.node]
        lost = [
            room.index
            for room in ledger.rooms.values()
            if room.uuid in before.gpus and room.state is GpuState.LOST
        ]
        same = len(before.gpus) == asked.gpus and before.gpu_memory == asked.gpu_memory
        if same and not lost:
            return before.gpus, ""
        if not lost and len(before.gpus) == asked.gpus:
            refused = [ledger.why_not(uuid, key, asked.gpu_memory) for uuid in before.gpus]
            if not any(refused):
                return before.gpus, ""
        pack = spec.placement.strategy == "pack"
        gpus, why = ledger.choose(key, asked.gpus, asked.gpu_memory, pack=pack)
        if not why:
            return gpus, ""
        return [], f"GPU {lost[0]} of {before.node} is lost" if lost else f"{before.node} has {why}"

    def _give(self, name: str, replica: int, desired: DesiredAgent) -> None:
        """Find a place for a replica that has none."""
        spec, key = desired.spec, replica_key(name, replica)
        asked, pack = spec.resources, spec.placement.strategy == "pack"
        elsewhere: dict[str, str] = {}
        fitting: list[tuple[tuple[int, int, str], list[str]]] = []
        only_gpus = False
        for node in self._nodes.values():
            why = _not_allowed(spec, node)
            if not why and node.order is not None and node.order.cordoned:
                why = f"is {node.order.words()}"
            gpus: list[str] = []
            if not why and asked.gpus:
                found, lacks = self._ledgers[node.name].choose(
                    key, asked.gpus, asked.gpu_memory, pack=pack
                )
                gpus, why = found, f"has {lacks}" if lacks else ""
                only_gpus = only_gpus or bool(lacks)
            if why:
                elsewhere[node.name] = why
                continue
            beside, load = self._of_agent.get((name, node.name), 0), self._load[node.name]
            rank = (-load, -beside, node.name) if pack else (beside, load, node.name)
            fitting.append((rank, gpus))
        if not fitting:
            reasons = "; ".join(f"{node} {why}" for node, why in elsewhere.items())
            number = (name, str(replica))
            self._done.unplaced[number] = reasons or "no node is up"
            self._done.choices[key] = Choice(self._done.unplaced[number], elsewhere)
            if only_gpus:
                self._waiting_gpu.add(number)
            return
        (_, _, chosen), gpus = min(fitting)
        for (_, _, other), _ in fitting:
            if other != chosen:
                elsewhere[other] = self._second_best(name, chosen, other, pack=pack)
        assignment = Assignment(
            agent=name,
            replica=replica,
            node=chosen,
            gpus=gpus,
            gpu_memory=asked.gpu_memory,
            generation=desired.generation,
        )
        self._done.choices[key] = Choice(self._why_there(name, chosen, len(fitting)), elsewhere)
        self._done.assignments[key] = assignment
        self._take(key, assignment)

    def _why_there(self, agent: str, node: str, fitting: int) -> str:
        if fitting == 1:
            return "the only host that fits"
        beside, load = self._of_agent.get((agent, node), 0), self._load[node]
        return f"of {fitting} that fit: {beside} replicas of it there, {load} of all"

    def _second_best(self, agent: str, chosen: str, other: str, *, pack: bool) -> str:
        beside, load = self._of_agent.get((agent, other), 0), self._load[other]
        least, less = self._of_agent.get((agent, chosen), 0), self._load[chosen]
        if (beside, load) == (least, less):
            return f"would do as well as {chosen}"
        if not pack and beside != least:
            return f"has {beside} replicas of it, {chosen} has {least}"
        return f"runs {load} replicas, {chosen} runs {less}"


def _not_allowed(spec: AgentSpec, node: Candidate) -> str:
    """Why the agent may not run on a node, by its name and labels."""
    named = spec.placement.named
    if named and node.name not in named:
        return f"is not among its hosts ({', '.join(sorted(named))})"
    for label, value in spec.placement.labels.items():
        if node.labels.get(label) != value:
            return f"has no label {label}={value}"
    return ""


def _must_leave(spec: AgentSpec, node: Candidate) -> str:
    """Why what runs on a node is to leave it."""
    order = node.order
    if order is None or not (order.cordoned and order.draining):
        return ""
    if spec.placement.pinned_to(node.name) and not order.stop_pinned:
        return ""
    return f"{node.name} is {order.words()}"
