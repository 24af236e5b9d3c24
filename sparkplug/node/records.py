"""What a node keeps on disk about the processes it started, to know them again."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

from pydantic import Field, ValidationError

from sparkplug.agents.ownership import forget_replica
from sparkplug.processes import same_process
from sparkplug.schema.base import Record

log = logging.getLogger(__name__)


class ProcessRecord(Record):
    """One agent process. Pid and start time together name it for ever."""

    agent: str
    replica: str
    pid: int
    started: float = Field(description="start time, seconds since the epoch")
    generation: int
    restarts: int = 0
    gpus: list[str] = Field(default_factory=list)

    def alive(self) -> bool:
        """True while this very process runs."""
        return same_process(self.pid, self.started)

    def signal_group(self, number: int) -> None:
        """Signal the agent and whatever it started; silent when all are gone."""
        if number == signal.SIGKILL or self.alive():
            _signal(self.pid, number, group=True)

    def signal(self, number: int) -> None:
        """Signal the agent's own process."""
        if self.alive():
            _signal(self.pid, number, group=False)


def _signal(pid: int, number: int, *, group: bool) -> None:
    try:
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError) as error:
        log.debug("signal %d to %d: %s", number, pid, error)


class RecordFolder:
    """The records of one node, a file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)

    def path(self, agent: str, replica: str) -> Path:
        """Where the process of a replica writes its record."""
        return self._folder / f"{agent}.{replica}.json"

    def living(self, agent: str, replica: str) -> ProcessRecord | None:
        """The record of a replica's process that lives, whoever asked for it."""
        try:
            record = ProcessRecord.model_validate_json(self.path(agent, replica).read_bytes())
        except (OSError, ValidationError):
            return None
        return record if record.alive() else None

    def remove(self, agent: str, replica: str) -> None:
        """Forget a replica's process."""
        self.path(agent, replica).unlink(missing_ok=True)

    def remove_lock(self, agent: str, replica: str) -> None:
        """The replica is wanted no more: nobody will be its process."""
        forget_replica(self.path(agent, replica))

    def read(self) -> list[ProcessRecord]:
        """Every record that can be read."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                found.append(ProcessRecord.model_validate_json(path.read_bytes()))
            except (OSError, ValidationError) as error:
                log.warning("%s is left out: %s", path, error)
        return found
