"""Messages as they pass, for who asks to see them: what is asked, and what is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from sparkplug.schema.base import Record, utc_now

#: Bytes of one message that are ever shown, whatever is asked.
MOST_SHOWN_BYTES = 64 << 10
#: A tap that is not asked for again within this time ends (seconds).
TAP_KEPT_S = 10.0


class TapRequest(Record):
    """Ask for messages. What is left empty is not asked for: all pass that filter."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, serialize_by_alias=True)

    inbox: str = Field(description="where they are to be sent: below the asker's own inbox")
    agents: list[str] = Field(default_factory=list, description="said by or to one of these")
    from_: str = Field("", alias="from", description="said by this one; answers to it too")
    to: str = Field("", description="said to this one; answers of it too")
    subject: str = Field("", description="on this subject; * and > as NATS has them")
    bodies: bool = Field(True, description="false: only who, to whom and how large")
    max_bytes: int | None = Field(None, ge=0, description="of each; at most what the node allows")
    actor: str = ""


class TapReply(Record):
    """The tap is open."""

    id: str
    node: str
    max_bytes: int
    per_second: int = Field(description="messages shown in a second at most; others are counted")


class TapKeep(Record):
    """Keep a tap open, or end it."""

    id: str
    end: bool = False


class TappedMessage(Record):
    """One message, or a sign that the tap is open when `kind` is `open`."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, serialize_by_alias=True)

    kind: Literal["request", "answer", "status", "error", "end", "message", "open"]
    time: datetime = Field(default_factory=utc_now)
    from_: str = Field("", alias="from")
    to: str = ""
    subject: str = ""
    action: str = Field("", description="of a structured request")
    text: str = Field("", description="redacted, and cut to the size asked for")
    bytes: int = 0
    cut: bool = False
    redacted: int = Field(0, description="pieces of it that a rule took out")
    skipped: int = Field(0, description="messages before it that were more than may be shown")
