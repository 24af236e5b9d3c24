"""A packed agent: a replica in a shared process, apart from its neighbours as far as can be."""

from __future__ import annotations

from sparkplug.agents.jobs import SpawnJob
from sparkplug.agents.process import AgentProcess
from sparkplug.agents.shared.steps import Steps
from sparkplug.bus import synadia as wire
from sparkplug.schema.agent import AgentReport

#: Its process has one pulse for all its agents; the heartbeats of the protocol are for callers
#: elsewhere, and come as often as the protocol has them by default (section 8.2).
_BEAT_S = 30
#: Less processor time than this is not worth a report.
_LITTLE_S = 0.001


class PackedAgent(AgentProcess):
    """A replica with a connection, a user and a log of its own, and a process shared."""

    def __init__(self, job: SpawnJob, steps: Steps) -> None:
        super().__init__(job)
        self._steps = steps
        self._serving = False
        self._said: tuple[object, ...] = ()

    def news(self, *, all_of_it: bool) -> AgentReport | None:
        """Its report when something in it is new since the last time, or when all is wanted."""
        if not self._serving:
            return None
        stats = self._bus.nc.stats
        now = (
            stats["in_msgs"],
            stats["out_msgs"],
            self._activity.inflight,
            self._own_state(),
            self._steps.nanoseconds // int(_LITTLE_S * 1e9),
        )
        if now == self._said and not all_of_it:
            return None
        self._said = now
        report = self._report()
        if all_of_it:
            report.actions = self._runtime.actions
        return report

    async def abandon(self) -> None:
        """Take it off the bus, whatever its own code goes on with."""
        bus = getattr(self, "_bus", None)
        if bus is not None:
            await bus.close()

    def _changed(self) -> None:
        # Nothing changes before it serves: the first change is that it does.
        self._serving = True
        super()._changed()

    def _beat_seconds(self) -> int:
        return max(_BEAT_S, super()._beat_seconds())

    def _take_signals(self) -> None:
        """Signals are for the whole process: this one is told by its node."""

    def _take_inbox(self, prefix: str) -> None:
        wire.use_inbox_here(prefix)

    def _cpu_seconds(self) -> float | None:
        return self._steps.seconds
