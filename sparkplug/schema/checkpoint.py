"""What nodes do for agents with their checkpoints: find them, delete them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sparkplug.schema.base import Record

_LONGEST_TOKEN = 1000
#: Checkpoints kept of each thread and namespace: past twice as many the oldest go.
KEPT = 100


class CheckpointsRequest(Record):
    """Asked by an agent about its own. The tokens are as `sparkplug.bus.kept` makes them."""

    verb: Literal["list", "latest", "trim", "delete"]
    thread: str = Field("", max_length=_LONGEST_TOKEN, description="token; empty: all threads")
    ns: str = Field("", max_length=_LONGEST_TOKEN, description="token; empty: all of the thread")
    ids: list[str] = Field(
        default_factory=list, max_length=10_000, description="tokens; empty: all of the namespace"
    )
    before: str = Field("", max_length=_LONGEST_TOKEN, description="older than this id alone")


class CheckpointsReply(Record):
    """The subjects that are kept, without what comes before the thread, the newest id first."""

    found: list[str] = Field(default_factory=list)
    more: bool = Field(False, description="there are older ones: ask again, before the last")
    spare: int = Field(0, description="with `latest`: so many are more than have to be kept")
