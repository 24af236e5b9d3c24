"""What a replica can be told while it works: to let go of requests, and how long to finish."""

from __future__ import annotations

from pydantic import Field

from sparkplug.schema.base import Record

#: How long cancelled code is given to let go before whoever asked is told that it does not.
LET_GO_S = 5.0


class ControlRequest(Record):
    """Sent to one replica. Without `cancel` and `drain` it only asks what is in hand."""

    cancel: bool = False
    request: str | None = Field(
        None,
        max_length=64,
        description="this one, by its id or the one it was asked under; None: all of them",
    )
    by: str = Field("", max_length=200, description="who asks, as callers are told")
    reason: str = Field("", max_length=500)
    drain: float | None = Field(None, ge=0, description="seconds to finish once it is to stop")


class Withdrawal(Record):
    """Sent to one replica by who asked it: the answer is no longer wanted."""

    call: str = Field(min_length=16, max_length=64, description="the id it was asked under")


class RequestView(Record):
    """One request a replica works on."""

    id: str
    action: str = "prompt"
    age_seconds: float = 0.0
    run: str = Field("", description="the run it belongs to; empty outside one")
    step: str = ""
    thread: str = Field("", description="the conversation it belongs to; empty: none")
    steps: list[str] = Field(default_factory=list, description="of its work, that run now")
    cancelled_by: str = Field("", description="who cancelled it, while it has not let go")


class ControlReply(Record):
    """What a replica has in hand, or what became of what was cancelled."""

    requests: list[RequestView] = Field(default_factory=list, description="in hand now")
    cancelled: list[str] = Field(default_factory=list, description="ids that have ended")
    stuck: list[str] = Field(default_factory=list, description="ids that did not let go in time")
