"""What a zygote is told to start, and what it says back: one JSON object a line."""

from __future__ import annotations

import json
import os
from typing import Any, Literal

from pydantic import Field

from sparkplug.schema.agent_spec import Health
from sparkplug.schema.base import Record


class SpawnJob(Record):
    """Everything an agent process needs.

    Its credentials travel beside it: in a pipe whose end the agent's process inherits.
    """

    id: str = Field(description="unique to this process, for the answer")
    incarnation: str = Field("", description="one start of a replica in a shared process")
    control: str = Field("", description="the socket a shared process listens on; empty = an agent")
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
    senders: Literal["any", "signed"] = "any"
    heartbeat_seconds: float = 2.0
    health: Health = Field(default_factory=Health)
    model: str = "auto"
    llm: dict[str, Any] = Field(default_factory=dict)
    checkpoints: str = Field("", description="where; empty: as the runtime does by itself")
    state: str = Field("", description="folder of its own, kept between its processes")
    env: dict[str, str] = Field(default_factory=dict)
    url: str
    ca: str = Field("", description="PEM of the authority to trust; empty = no TLS, or the usual")
    server: str = Field("", description="folder that records where the private server is")
    jwt: str = Field("", repr=False, description="empty on a server that asks for none")
    seed: str = Field("", repr=False)
    drain_seconds: float = Field(8.0, description="to finish what is in hand when stopped")
    log: str = Field(description="path of the log the process holds open")
    exits: str = Field(description="folder where its end is recorded")
    stalls: str = Field(
        "", description="folder where it tells that it is blocked; empty: it does not"
    )
    lease: str = Field("", description="file with the node's lease; empty: it outlives that lease")
    record: str = Field("", description="path where the process writes that it is the one")
    recorded: dict[str, Any] = Field(
        default_factory=dict, description="what it writes there, beside its pid and start time"
    )
    modules: list[str] = Field(default_factory=list, description="more folders to import from")


#: What of a job no zygote reads: it goes through a pipe into the agent's process alone.
SECRETS = frozenset({"jwt", "seed"})
_MOST_BYTES = 64 << 10


def credentials_pipe(job: SpawnJob) -> int:
    """The read end of a pipe that holds a job's credentials, and is closed on exec.

    They fit into the pipe's buffer, so nobody has to read for the write to return.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.write(writer, json.dumps({name: getattr(job, name) for name in SECRETS}).encode())
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return reader


def take_credentials(job: SpawnJob, reader: int) -> None:
    """Read the credentials into the job, and close the pipe: what was in it is gone."""
    with open(reader, "rb") as pipe:
        found = json.loads(pipe.read(_MOST_BYTES) or b"{}")
    job.jwt, job.seed = str(found.get("jwt", "")), str(found.get("seed", ""))


class ZygoteMessage(Record):
    """What a zygote tells its node."""

    kind: Literal["ready", "spawned", "exited", "failed"]
    id: str = ""
    pid: int = 0
    started: float = Field(0.0, description="start time of the process, seconds since the epoch")
    status: int = Field(0, description="the wait status, as waitpid gives it")
    error: str = ""
