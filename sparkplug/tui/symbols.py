"""A symbol and a pen for every state: colour is never the only signal."""

from __future__ import annotations

_AGENT: dict[str, tuple[str, str]] = {
    "deploying": ("◌", "focus"),
    "starting": ("◌", "focus"),
    "idle": ("○", "ok"),
    "running": ("●", "active"),
    "thinking": ("◐", "active"),
    "waiting-human": ("?", "warn"),
    "waiting-agent": ("→", "focus"),
    "waiting-gpu": ("◇", "warn"),
    "degraded": ("!", "warn"),
    "stopping": ("◍", "dim"),
    "stopped": ("■", "dim"),
    "error": ("✖", "bad"),
    "stale": ("~", "warn"),
}
_NODE: dict[str, tuple[str, str]] = {
    "starting": ("◌", "focus"),
    "joining": ("◌", "focus"),
    "ready": ("●", "ok"),
    "degraded": ("!", "warn"),
    "stopping": ("◍", "dim"),
    "stopped": ("■", "dim"),
    "stale": ("~", "warn"),
    # What people want of a node that is ready.
    "cordoned": ("⊘", "warn"),
    "draining": ("◐", "warn"),
}
_STEP: dict[str, tuple[str, str]] = {
    "accepted": ("◌", "focus"),
    "pending": ("◌", "dim"),
    "running": ("◐", "active"),
    "waiting": ("?", "warn"),
    "paused": ("‖", "warn"),
    "done": ("✔", "ok"),
    "failed": ("✖", "bad"),
    "skipped": ("⊘", "dim"),
    "cancelled": ("■", "dim"),
}
_TASK = {
    "scheduled": ("◌", "dim"),
    "queued": ("◌", "text"),
    "running": ("◐", "active"),
    "retrying": ("↻", "warn"),
    "done": ("✔", "ok"),
    "dead": ("✖", "bad"),
    "cancelled": ("○", "dim"),
}
_UNKNOWN = ("?", "dim")
#: A circuit breaker that is not closed.
BREAKER = "⊘"


def of_agent(state: str) -> tuple[str, str]:
    """Symbol and pen of an agent's state."""
    return _AGENT.get(state, _UNKNOWN)


def of_node(state: str) -> tuple[str, str]:
    """Symbol and pen of a node's state."""
    return _NODE.get(state, _UNKNOWN)


def of_step(state: str) -> tuple[str, str]:
    """Symbol and pen of the state of a step or a run."""
    return _STEP.get(state, _UNKNOWN)


def of_task(state: str) -> tuple[str, str]:
    """Symbol and pen of a task's state."""
    return _TASK.get(state, _UNKNOWN)


def of_event(name: str) -> str:
    """The pen of an event's name."""
    what = name.partition(":")[2]
    if what in ("error", "failed", "xid", "dead"):
        return "bad"
    if what in ("lost", "stale", "throttled", "retried", "left", "waiting"):
        return "warn"
    return "focus"
