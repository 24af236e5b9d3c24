"""Planners on a real server, with agents of the stock SDK: what tests of plans run on."""

from __future__ import annotations

import asyncio
from typing import Any

from fakes.mesh import HostedAgents
from fakes.mesh_server import MeshServer
from sparkplug.bus import subjects
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.journal import follow_journal, read_journal
from sparkplug.bus.results import Results
from sparkplug.bus.service import call
from sparkplug.plans.asking import answer as leave_answer
from sparkplug.plans.planner import Planner
from sparkplug.schema.errors import NoMeshError
from sparkplug.schema.journal_fold import fold
from sparkplug.schema.node import Nothing
from sparkplug.schema.plan import Plan
from sparkplug.schema.run import (
    AnswerRequest,
    CancelRequest,
    JournalEntry,
    PauseRequest,
    ReplayRequest,
    RunView,
    SubmitReply,
    SubmitRequest,
)

DEADLINE_S = 60.0


class PlanMesh:
    """A server, agents on a connection of their own, and planners each on theirs."""

    def __init__(self, server: MeshServer, bus: Bus, agents: HostedAgents) -> None:
        self.server = server
        self.bus = bus
        self.agents = agents
        self._planners: list[tuple[asyncio.Task[None], Bus]] = []

    async def plan(self, node: str = "n1") -> asyncio.Task[None]:
        """Start a planner; cancelling the task is its orderly end."""
        bus = await self.server.connect(node)

        async def run() -> None:
            try:
                await Planner(bus, node, known_agents=self.agents.names).run()
            finally:
                await bus.close()

        task = asyncio.create_task(run())
        self._planners.append((task, bus))
        return task

    async def submit(self, plan: dict[str, Any], **inputs: Any) -> str:
        request = SubmitRequest(plan=Plan.model_validate(plan), inputs=inputs, actor="tester")
        reply = await self._ask(subjects.RUNS_SUBMIT, request, SubmitReply)
        return str(reply.run)

    async def cancel(self, run: str) -> None:
        await self._ask(subjects.RUNS_CANCEL, CancelRequest(run=run, actor="tester"), Nothing)

    async def pause(self, run: str, *, resume: bool = False) -> None:
        request = PauseRequest(run=run, resume=resume, actor="tester")
        await self._ask(subjects.RUNS_PAUSE, request, Nothing)

    async def answer(self, run: str, verdict: str, **more: Any) -> None:
        request = AnswerRequest.model_validate(
            {"run": run, "verdict": verdict, "actor": "tester", **more}
        )
        await self._ask(subjects.RUNS_ANSWER, request, Nothing)

    async def answer_unserved(self, run: str, value: Any) -> None:
        """Answer while no planner is there to take it."""
        request = AnswerRequest(run=run, verdict="answer", value=value, actor="tester")
        await leave_answer(self.bus, request)

    async def replay(self, run: str, start: str = "", **more: Any) -> str:
        request = ReplayRequest(run=run, start=start, actor="tester", **more)
        return str((await self._ask(subjects.RUNS_REPLAY, request, SubmitReply)).run)

    async def done(self, plan: dict[str, Any], **inputs: Any) -> RunView:
        """Run a plan to its end."""
        return await self.ended(await self.submit(plan, **inputs))

    async def view(self, run: str) -> RunView:
        """The run as it is now."""
        return fold(await read_journal(self.bus, run))

    async def result(self, name: str) -> Any:
        """An output that is stored apart."""
        return await Results(self.bus).read(name)

    async def _ask(self, subject: str, request: Any, reply: Any) -> Any:
        """Planners started a moment ago may not be listening yet."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    return await call(self.bus, subject, request, reply, deadline=20.0)
                except NoMeshError:
                    await asyncio.sleep(0.02)

    async def ended(self, run: str) -> RunView:
        """The run, once it has ended."""
        async with asyncio.timeout(DEADLINE_S):
            return fold([entry async for entry in follow_journal(self.bus, run)])

    async def reached(self, run: str, kind: str, count: int = 1) -> None:
        """Return once the journal has that many entries of the kind."""
        async with asyncio.timeout(DEADLINE_S):
            seen = 0
            async for entry in follow_journal(self.bus, run):
                seen += entry.kind == kind
                if seen == count:
                    return

    async def entries(self, run: str) -> list[JournalEntry]:
        return await read_journal(self.bus, run)

    async def stop(self) -> None:
        await end(*(task for task, _ in self._planners))
