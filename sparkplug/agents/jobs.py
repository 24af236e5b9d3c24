"""What a zygote is told to start, and what it says back: one JSON object a line."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sparkplug.schema.base import Record


class SpawnJob(Record):
    """Everything an agent process needs; its credentials come here, never by disk or argv."""

    id: str = Field(description="unique to this process, for the answer")
    agent: str
    replica: str
    owner: str
    host: str
    node: str
    runtime: str
    entrypoint: str
    folder: str
    description: str = ""
    type: str = "agent"
    capabilities: list[str] = Field(default_factory=list)
    concurrency: int = 8
    heartbeat_seconds: float = 2.0
    model: str = "auto"
    llm: dict[str, Any] = Field(default_factory=dict)
    env: dict[str, str] = Field(default_factory=dict)
    url: str
    jwt: str = Field("", repr=False, description="empty on a server that asks for none")
    seed: str = Field("", repr=False)
    drain_seconds: float = Field(8.0, description="to finish what is in hand when stopped")
    log: str = Field(description="path of the log the process holds open")
    exits: str = Field(description="folder where its end is recorded")
    record: str = Field("", description="path where the process writes that it is the one")
    recorded: dict[str, Any] = Field(
        default_factory=dict, description="what it writes there, beside its pid and start time"
    )
    modules: list[str] = Field(default_factory=list, description="more folders to import from")


class ZygoteMessage(Record):
    """What a zygote tells its node."""

    kind: Literal["ready", "spawned", "exited", "failed"]
    id: str = ""
    pid: int = 0
    started: float = Field(0.0, description="start time of the process, seconds since the epoch")
    status: int = Field(0, description="the wait status, as waitpid gives it")
    error: str = ""
