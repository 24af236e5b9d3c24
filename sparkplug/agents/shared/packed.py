"""A packed agent: a replica in a shared process, apart from its neighbours as far as can be."""

from __future__ import annotations

from sparkplug.agents.jobs import SpawnJob
from sparkplug.agents.process import AgentProcess
from sparkplug.agents.shared.steps import Steps
from sparkplug.bus import synadia as wire


class PackedAgent(AgentProcess):
    """A replica with a connection, a user and a log of its own, and a process shared."""

    def __init__(self, job: SpawnJob, steps: Steps) -> None:
        super().__init__(job)
        self._steps = steps

    def _take_signals(self) -> None:
        """Signals are for the whole process: this one is told by its node."""

    def _take_inbox(self, prefix: str) -> None:
        wire.use_inbox_here(prefix)

    def _cpu_seconds(self) -> float | None:
        return self._steps.seconds
