"""The state machine of a replica: its states, who may move it from which to which, and recovery.

Whoever tells a state of a replica (its agent, its node, the placer, a face) moves it by
`ObservedAgent.enter`, which asks `is_allowed`. What a process said last never wins over what is
known of its end: an agent itself can leave neither `stopped`, `error` nor `stopping`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict

from sparkplug.schema.base import Record


class AgentState(StrEnum):
    """The states an agent can be shown in. None of them is inferred from a timer alone."""

    DEPLOYING = "deploying"
    STARTING = "starting"
    IDLE = "idle"
    RUNNING = "running"
    THINKING = "thinking"
    WAITING_HUMAN = "waiting-human"
    WAITING_AGENT = "waiting-agent"
    WAITING_GPU = "waiting-gpu"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERROR = "error"
    STALE = "stale"


#: What a replica that is well does: only its agent knows.
ACTIVITY = frozenset(
    {
        AgentState.IDLE,
        AgentState.RUNNING,
        AgentState.THINKING,
        AgentState.WAITING_HUMAN,
        AgentState.WAITING_AGENT,
    }
)

#: The states in which a replica answers prompts, unless it says that it takes none.
SERVING = ACTIVITY | {AgentState.DEGRADED}

#: The states in which there is no process; only its node, or the placer, leads out of them.
TERMINAL = frozenset({AgentState.STOPPED, AgentState.ERROR})


class StateSource(StrEnum):
    """Who says that a replica is in a state."""

    AGENT = "agent"
    NODE = "node"
    PLACER = "placer"
    FACE = "face"


class ReasonKind(StrEnum):
    """What kind of reason a state has, where that decides what can be done about it."""

    MISCONFIGURED = "misconfigured"
    NOT_STARTED = "not-started"
    NEVER_READY = "never-ready"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out-of-memory"
    UNHEALTHY = "unhealthy"
    HELD_BACK = "held-back"
    NOT_READY = "not-ready"
    BLOCKED = "blocked"
    SILENT = "silent"
    NO_ROOM = "no-room"


class Transition(Record):
    """One move of a replica into a state."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    state: AgentState
    since: datetime
    source: StateSource = StateSource.NODE
    reason: str | None = None

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Transition:
        # It never changes: whoever copies a record may share it.
        return self


_S = AgentState
_AGENT, _NODE, _PLACER, _FACE = StateSource
_PLACING = {_S.DEPLOYING, _S.WAITING_GPU}
_ENDS = {_S.STOPPING, _S.STOPPED, _S.ERROR}
_ALIVE = SERVING | {_S.STARTING, _S.STALE}


def _table() -> dict[AgentState, dict[AgentState, frozenset[StateSource]]]:
    found: dict[AgentState, dict[AgentState, set[StateSource]]] = {one: {} for one in _S}

    def may(befores: Iterable[AgentState], afters: Iterable[AgentState], *by: StateSource) -> None:
        targets = list(afters)
        for before in befores:
            for after in targets:
                if before is not after:
                    found[before].setdefault(after, set()).update(by)

    # Placing, and what a node does with what it was given.
    may({*_PLACING, *TERMINAL}, _PLACING, _PLACER)
    may({*_PLACING, *TERMINAL, _S.STOPPING}, {_S.STARTING}, _NODE)
    may({*_PLACING, *TERMINAL, _S.STOPPING}, {_S.STOPPED, _S.ERROR}, _NODE)
    # An adopted process: what an earlier daemon wrote of it still holds.
    may(_PLACING, SERVING | {_S.STALE, _S.STOPPING}, _NODE)
    # What the agent says of itself while its process runs; after silence, and after a stall.
    may({_S.STARTING, _S.STALE} | SERVING, SERVING, _AGENT)
    may({_S.STALE}, {_S.STARTING}, _AGENT)
    may(_ALIVE, {_S.STOPPING}, _AGENT, _NODE)
    # What its node sees of the process from outside.
    may(_ALIVE, _ENDS | {_S.STARTING, _S.STALE}, _NODE)
    # A face that hears nothing of the node, whatever its replicas do there.
    may(_ALIVE | _PLACING | {_S.STOPPING}, {_S.STALE}, _FACE)
    return {
        before: {after: frozenset(by) for after, by in afters.items()}
        for before, afters in found.items()
    }


#: From each state, the states it may go to and who may say so.
TRANSITIONS = _table()


def is_allowed(before: AgentState, after: AgentState, source: StateSource) -> bool:
    """Whether `source` may say that a replica in `before` is in `after`.

    To stay is allowed (the reason may change), but for an agent whose end is known already.
    """
    if before is after:
        return not (source is StateSource.AGENT and before in TERMINAL)
    return source in TRANSITIONS[before].get(after, ())


#: Transitions kept with a replica, and how many of them may be mere changes of activity:
#: a busy agent makes ten a second, and what came before them is what one looks for.
HISTORY = 16
_HISTORY_ACTIVITY = 8


def remember(history: list[Transition], made: Transition) -> list[Transition]:
    """`history` (oldest first) with one more transition, the oldest of the excess forgotten."""
    found = [*history, made]
    busy = [
        place
        for place in range(1, len(found))
        if found[place].state in ACTIVITY and found[place - 1].state in ACTIVITY
    ]
    if len(busy) > _HISTORY_ACTIVITY:
        del found[busy[0]]
    return found[-HISTORY:]


class Recovery(StrEnum):
    """What can be done about a failed replica: ids of actions, and of what shows its log."""

    START = "agents.start"
    RESTART = "agents.restart"
    LOGS = "agents.logs"
    PREVIOUS_LOGS = "agents.logs.previous"
    EDIT = "agents.edit"
    STOP = "agents.stop"
    REMOVE = "agents.remove"


#: What each of them is called where a person chooses.
RECOVERY_WORDS: dict[Recovery, str] = {
    Recovery.START: "start it again",
    Recovery.RESTART: "restart it",
    Recovery.LOGS: "read its log",
    Recovery.PREVIOUS_LOGS: "read the log of the process before",
    Recovery.EDIT: "edit its spec",
    Recovery.STOP: "stop it",
    Recovery.REMOVE: "remove it",
}

_R = Recovery
_RECOVERY: dict[ReasonKind, tuple[Recovery, ...]] = {
    ReasonKind.MISCONFIGURED: (_R.LOGS, _R.EDIT, _R.START, _R.REMOVE),
    ReasonKind.NOT_STARTED: (_R.START, _R.EDIT, _R.REMOVE),
    ReasonKind.NEVER_READY: (_R.LOGS, _R.START, _R.EDIT, _R.REMOVE),
    ReasonKind.CRASHED: (_R.LOGS, _R.PREVIOUS_LOGS, _R.START, _R.REMOVE),
    ReasonKind.OUT_OF_MEMORY: (_R.EDIT, _R.LOGS, _R.START, _R.REMOVE),
    ReasonKind.UNHEALTHY: (_R.LOGS, _R.PREVIOUS_LOGS, _R.START, _R.EDIT),
    ReasonKind.HELD_BACK: (_R.START, _R.LOGS, _R.PREVIOUS_LOGS, _R.EDIT, _R.REMOVE),
    ReasonKind.NOT_READY: (_R.LOGS, _R.RESTART, _R.EDIT),
    ReasonKind.BLOCKED: (_R.LOGS, _R.RESTART),
    ReasonKind.SILENT: (_R.LOGS, _R.RESTART),
    ReasonKind.NO_ROOM: (_R.EDIT, _R.STOP, _R.REMOVE),
}
_RECOVERY_OF_STATE: dict[AgentState, tuple[Recovery, ...]] = {
    _S.ERROR: (_R.START, _R.LOGS, _R.PREVIOUS_LOGS, _R.EDIT, _R.REMOVE),
    _S.STOPPED: (_R.START, _R.LOGS, _R.EDIT, _R.REMOVE),
    _S.DEGRADED: (_R.LOGS, _R.RESTART),
    _S.STALE: (_R.LOGS, _R.RESTART),
    _S.WAITING_GPU: (_R.EDIT, _R.STOP, _R.REMOVE),
}
#: Where there is a process, the one that runs is replaced; where there is none, one is started.
_WITH_PROCESS = SERVING | {_S.STARTING, _S.STALE, _S.STOPPING}


def recovery(state: AgentState, kind: ReasonKind | None = None) -> tuple[Recovery, ...]:
    """What can be done about a replica in that state for that kind of reason, best first.

    Empty where nothing is wrong and it runs, or is about to.
    """
    beginning = kind is not None and state in (_S.STARTING, _S.DEPLOYING)
    if state not in _RECOVERY_OF_STATE and not beginning:
        return ()
    found = _RECOVERY.get(kind) if kind else None
    if found is None or state is _S.STOPPED:
        return _RECOVERY_OF_STATE.get(state, ())
    if state in _WITH_PROCESS:
        found = tuple(dict.fromkeys(_R.RESTART if one is _R.START else one for one in found))
    return found
