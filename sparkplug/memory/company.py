"""What the memory has to know of the mesh: agents' `memory:` sections, and who works in a run."""

from __future__ import annotations

import contextlib
import logging
import time

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.bus.journal import read_journal
from sparkplug.schema.agent import DesiredAgent
from sparkplug.schema.agent_spec import AgentMemory, AgentSpec
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.journal_fold import fold
from sparkplug.schema.run import RUN_ENDED, RunView

log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 1.0
_MOST_RUNS = 2_000


class Company:
    """The agents there are, followed; runs, read from the journal when they are asked about."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._specs: dict[str, AgentSpec] = {}
        self._runs: dict[str, tuple[float, RunView | None]] = {}

    async def run(self) -> None:
        """Follow the agents for ever."""
        watch = Bucket(self._bus, subjects.BUCKET_SPECS).watch(">")
        async with contextlib.aclosing(watch) as changes:
            async for change in changes:
                if change.reset:
                    self._specs.clear()
                if change.entry is None:
                    continue
                desired = decode(DesiredAgent, change.entry)
                if desired is None:
                    self._specs.pop(change.entry.key, None)
                else:
                    self._specs[change.entry.key] = desired.spec

    def policy_of(self, agent: str) -> AgentMemory:
        """What an agent's file says of memory; what every file says that does not, for others."""
        spec = self._specs.get(agent)
        return spec.memory if spec is not None else AgentMemory()

    async def run_agents(self, run: str) -> set[str]:
        """The agents that have, or had, a step of a run; nobody when there is no such run."""
        view = await self._view(run)
        if view is None:
            return set()
        found = {step.agent for step in view.steps if step.agent}
        wanted = await self._capabilities(run)
        found |= {name for name, spec in self._specs.items() if wanted & set(spec.capabilities)}
        return found

    async def run_state(self, run: str) -> str:
        """How a run is; empty when it is not known any more."""
        view = await self._view(run) if run else None
        return str(view.state) if view is not None else ""

    async def _capabilities(self, run: str) -> set[str]:
        """What steps of a run ask for without naming an agent."""
        try:
            entries = await read_journal(self._bus, run)
        except (TimeoutError, SparkplugError):
            return set()
        plan = next((entry.plan for entry in entries if entry.plan is not None), None)
        return {s.capability for s in plan.steps if s.capability} if plan is not None else set()

    async def _view(self, run: str) -> RunView | None:
        read, view = self._runs.get(run, (0.0, None))
        over = view is not None and view.state in RUN_ENDED
        if over or (read and time.monotonic() - read < _LOOK_AGAIN_S):
            return view
        if not all(c.isalnum() or c in "-_" for c in run):
            return None
        try:
            entries = await read_journal(self._bus, run)
            view = fold(entries) if entries and entries[0].plan is not None else None
        except (TimeoutError, SparkplugError) as error:
            log.debug("run %s: %s", run, error)
        if len(self._runs) >= _MOST_RUNS:
            self._runs.clear()
        self._runs[run] = (time.monotonic(), view)
        return view
