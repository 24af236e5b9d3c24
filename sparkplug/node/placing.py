"""Where replicas go: a pure function from what is wanted and who is there to assignments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparkplug.schema.agent import AgentSpec, Assignment, DesiredAgent


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that could run replicas, and its GPUs (UUIDs)."""

    name: str
    labels: Mapping[str, str]
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """What placing came to: assignments by key, and for the rest why not."""

    assignments: dict[str, Assignment]
    unplaced: dict[tuple[str, str], str]


def place(
    specs: Mapping[str, DesiredAgent],
    current: Mapping[str, Assignment],
    nodes: list[Candidate],
) -> Placed:
    """Give every wanted replica a node and GPUs; what is placed already stays where it is."""
    names = {node.name: node for node in nodes}
    assignments: dict[str, Assignment] = {}
    unplaced: dict[tuple[str, str], str] = {}
    wanted = [
        (name, replica, desired)
        for name, desired in sorted(specs.items())
        for replica in range(desired.spec.replicas)
    ]
    for name, replica, desired in wanted:
        kept = current.get(f"{name}.{replica}")
        if (
            kept is not None
            and kept.node in names
            and not _why_not(desired.spec, names[kept.node])
            and len(kept.gpus) == desired.spec.resources.gpus
        ):
            assignments[f"{name}.{replica}"] = kept.model_copy(
                update={"generation": desired.generation}
            )
    for name, replica, desired in wanted:
        key = f"{name}.{replica}"
        if key in assignments:
            continue
        chosen, why = _choose(desired.spec, nodes, assignments)
        if chosen is None:
            unplaced[name, str(replica)] = why
            continue
        assignments[key] = Assignment(
            agent=name,
            replica=replica,
            node=chosen.name,
            gpus=_free_gpus(chosen, assignments)[: desired.spec.resources.gpus],
            generation=desired.generation,
        )
    return Placed(assignments, unplaced)


def _choose(
    spec: AgentSpec, nodes: list[Candidate], assignments: Mapping[str, Assignment]
) -> tuple[Candidate | None, str]:
    """The node with the fewest replicas among those that fit, or why none does."""
    reasons = []
    fitting = []
    for node in nodes:
        why = _why_not(spec, node)
        free = len(_free_gpus(node, assignments))
        if not why and spec.resources.gpus > free:
            why = f"{node.name} has {free} free GPUs, {spec.resources.gpus} are asked for"
        if why:
            reasons.append(why)
        else:
            load = sum(1 for a in assignments.values() if a.node == node.name)
            fitting.append((load, node.name, node))
    if not fitting:
        return None, "; ".join(reasons) or "no node is up"
    return min(fitting, key=lambda item: item[:2])[2], ""


def _why_not(spec: AgentSpec, node: Candidate) -> str:
    hosts = spec.placement.hosts
    allowed = [hosts] if isinstance(hosts, str) else hosts
    if "any" not in allowed and node.name not in allowed:
        return f"{node.name} is not among its hosts ({', '.join(allowed)})"
    for label, value in spec.placement.labels.items():
        if node.labels.get(label) != value:
            return f"{node.name} has no label {label}={value}"
    return ""


def _free_gpus(node: Candidate, assignments: Mapping[str, Assignment]) -> list[str]:
    taken = {gpu for a in assignments.values() if a.node == node.name for gpu in a.gpus}
    return [gpu for gpu in node.gpus if gpu not in taken]
