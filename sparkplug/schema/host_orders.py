"""What a node is told to do on its host: end or renice a process, set a GPU's power limit."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from sparkplug.schema.base import Record

SignalName = Literal["TERM", "KILL", "INT", "HUP", "QUIT", "STOP", "CONT", "USR1", "USR2"]


class SignalRequest(Record):
    """Send a signal to a process. With `started`, only to the one that began then."""

    pid: int = Field(gt=0)
    signal: SignalName = "TERM"
    started: datetime | None = None


class ReniceRequest(Record):
    """Make a process more or less urgent: -20, the most, to 19."""

    pid: int = Field(gt=0)
    nice: int = Field(ge=-20, le=19)
    started: datetime | None = None


class ProcessOrderReply(Record):
    """The process it was done to."""

    pid: int
    name: str
    done: str


class PowerLimitRequest(Record):
    """Set the power limit of the GPU of this index."""

    gpu: int = Field(ge=0)
    watts: float = Field(gt=0, lt=1e5)


class PowerLimitReply(Record):
    """What it was and is."""

    gpu: int
    before_watts: float
    now_watts: float
