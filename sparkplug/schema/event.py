"""Events: what happened, under names other systems know."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from pydantic import Field

from sparkplug.schema.base import Record, utc_now

#: Every name an event may have, by the thing it is about.
EVENT_NAMES: dict[str, tuple[str, ...]] = {
    "agent": (
        "registered",
        "started",
        "ready",
        "busy",
        "idle",
        "insight",
        "error",
        "stopped",
        "lost",
        "changed",
        "forged",
        "scaled",
        "rollout",
        "cancelled",
        "deadlocked",
        "tapped",
        "step",
    ),
    "question": ("asked", "answered", "expired", "withdrawn", "resumed", "done", "failed"),
    "step": (
        *("started", "completed", "failed", "retried", "skipped", "waiting"),
        *("answered", "fallback"),
    ),
    "plan": (
        "accepted",
        "started",
        "completed",
        "failed",
        "fallback",
        "resumed",
        "cancelled",
        "paused",
    ),
    "task": ("queued", "claimed", "completed", "failed", "dead", "requeued"),
    "host": (
        *("joined", "left", "stale", "invited", "admitted", "expelled"),
        *("cordoned", "uncordoned", "drained", "signalled", "reniced", "acknowledged"),
    ),
    "gpu": ("xid", "event", "throttled", "stale", "lost", "recovered", "limited"),
    "memory": ("added", "updated", "deleted"),
    "decision": ("opened", "voted", "decided"),
}


def present(**data: object) -> dict[str, object]:
    """Data of an event, of what there is: nothing that is empty."""
    return {name: value for name, value in data.items() if value}


class Event(Record):
    """One thing that happened. `sequence` is the stream's, and orders events."""

    id: str = Field(default_factory=lambda: secrets.token_hex(8))
    sequence: int | None = None
    name: str = Field(description="kind:what, as in agent:ready")
    time: datetime = Field(default_factory=utc_now)
    host: str | None = None
    actor: str = Field("", description="who did it: a user, a node, an agent")
    subject: str = Field("", description="what it happened to")
    trace: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
