"""Rolling changes: which replicas may take a new generation now. Pure, decided anew each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparkplug.schema.agent import SERVING, AgentState, Assignment, DesiredAgent, ObservedAgent


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the change of one agent is."""

    generation: int
    done: int
    total: int
    stopped: str = ""

    @property
    def finished(self) -> bool:
        """True when every replica serves as the new generation."""
        return self.done == self.total


@dataclass(frozen=True, slots=True)
class Paced:
    """Assignments with the generation each replica runs now, and the changes on their way."""

    assignments: dict[str, Assignment]
    progress: dict[str, Progress]


def pace(
    specs: Mapping[str, DesiredAgent],
    before: Mapping[str, Assignment],
    placed: Mapping[str, Assignment],
    observed: Mapping[tuple[str, str], ObservedAgent],
) -> Paced:
    """Let replicas take a new generation as their agent's `rollout` allows; others wait as before.

    `before` are the assignments in force, `placed` those wanted, all of the newest generation;
    `observed` is by agent and replica. A replica that serves nobody takes it at once. When one
    fails as the new generation, the change stops: the rest stay as they are. A replica that
    moves to another host, or dies, keeps its generation until its turn.
    """
    assignments = dict(placed)
    progress: dict[str, Progress] = {}
    waiting: dict[str, list[str]] = {}
    for key, assignment in placed.items():
        earlier = before.get(key)
        wanted = specs[assignment.agent]
        if earlier is not None and earlier.generation < wanted.generation:
            waiting.setdefault(assignment.agent, []).append(key)
    for name, wanted in specs.items():
        keys = [key for key, assignment in placed.items() if assignment.agent == name]
        seen = {key: observed.get((name, str(placed[key].replica))) for key in keys}
        old = set(waiting.get(name, ()))
        going = [key for key in keys if key not in old]
        done = sum(_serves(seen[key], wanted.generation) for key in going)
        stopped = "" if not old else _failure(name, wanted.generation, going, seen, placed)
        if old and wanted.run and not wanted.all_at_once:
            allowed = _allowed(wanted, old, going, seen, bool(stopped))
            for key in old - allowed:
                update = {"generation": before[key].generation}
                assignments[key] = placed[key].model_copy(update=update)
        if wanted.run and keys and wanted.generation > 1:
            progress[name] = Progress(wanted.generation, done, len(keys), stopped)
    return Paced(assignments, progress)


def _allowed(
    wanted: DesiredAgent,
    old: set[str],
    going: list[str],
    seen: Mapping[str, ObservedAgent | None],
    stopped: bool,
) -> set[str]:
    """The replicas of earlier generations whose turn it is."""
    idle = {key for key in old if not _serves(seen[key])}
    if stopped:
        # What does not serve either way may try; nothing that serves is put at risk.
        return set() if len(idle) < len(old) else idle
    without = sum(not _serves(seen[key], wanted.generation) for key in going) + len(idle)
    free = max(0, wanted.spec.rollout.max_unavailable - without)
    serving = sorted(old - idle, key=lambda key: (len(key), key))
    return idle | set(serving[:free])


def _serves(agent: ObservedAgent | None, generation: int = 0) -> bool:
    return agent is not None and agent.state in SERVING and agent.generation >= generation


def _failure(
    name: str,
    generation: int,
    going: list[str],
    seen: Mapping[str, ObservedAgent | None],
    placed: Mapping[str, Assignment],
) -> str:
    """Why the change stops; empty while nothing of the new generation failed."""
    for key in going:
        agent = seen[key]
        if agent and agent.state is AgentState.ERROR and agent.generation >= generation:
            return f"{name}/{placed[key].replica} failed: {agent.reason or 'it gave no reason'}"
    return ""
