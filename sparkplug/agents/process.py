"""The agent process: serves one replica on the bus from the moment it is forked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import threading
import time
from pathlib import Path
from typing import Any

import nats.errors
from synadia_ai.agent_service import AgentService, PromptStream, RequestRejectedError
from synadia_ai.agents import Envelope

from sparkplug import __version__
from sparkplug.agents.activity import Activity
from sparkplug.agents.answering import Answering
from sparkplug.agents.cancelling import CodeExitError, Requests
from sparkplug.agents.entrypoint import load_entrypoint
from sparkplug.agents.exits import (
    record_reason,
)
from sparkplug.agents.jobs import SpawnJob
from sparkplug.agents.probes import Probe, Probes, find_probe
from sparkplug.agents.runtimes.port import ProcessMustEnd, Runtime, Seat, load_runtime
from sparkplug.agents.signing import KnownSenders
from sparkplug.agents.step_events import StepEvents
from sparkplug.agents.tasking import TaskWorker
from sparkplug.agents.thinking import Thinking
from sparkplug.agents.threads import Threads
from sparkplug.agents.waits import WaitTeller
from sparkplug.bus import subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.events import EventLog
from sparkplug.bus.jwt import Credentials
from sparkplug.bus.service import Services
from sparkplug.processes import identity
from sparkplug.schema.agent import AgentReport
from sparkplug.schema.agent_control import ControlRequest
from sparkplug.schema.agent_state import AgentState, ReasonKind
from sparkplug.schema.errors import (
    ConflictError,
    DeadlineError,
    InvalidError,
    NotFoundError,
    RefusedError,
    SparkplugError,
)
from sparkplug.schema.task_services import GivenTask
from sparkplug.schema.text import one_line
from sparkplug.schema.thread import ThreadsRequest
from sparkplug.schema.units import bytes_text
from sparkplug.schema.usage import AgentCounts, Latency

log = logging.getLogger("sparkplug.agent")

_CONNECT_DEADLINE_S = 20.0
_REPORT_SPACING_S = 0.1
_GOODBYE_DEADLINE_S = 1.0
_ABANDON_S = 0.5
_END_S = 3.0
_MAX_DESCRIPTION = 200
_CODES = {
    InvalidError: 400,
    RefusedError: 403,
    NotFoundError: 404,
    DeadlineError: 408,
    ConflictError: 409,
}


class AgentProcess:
    """One replica: a runtime, its service on the bus, and what it tells about itself."""

    def __init__(self, job: SpawnJob) -> None:
        self.job = job
        self._thinking = Thinking(job)
        self._activity = Activity(self._changed)
        self._probes: Probes | None = None
        self._process = identity(os.getpid())
        self._sequence = 0
        self._requests = Requests()
        self._stopping = asyncio.Event()
        self._dirty = asyncio.Event()
        self._service: AgentService | None = None
        self._latency = Latency()
        self._must_end: ProcessMustEnd | CodeExitError | None = None

    async def run(self) -> None:
        """Serve until told to stop. Raises InvalidError when the entrypoint does not hold."""
        self._take_signals()
        job = self.job
        target = load_entrypoint(job.entrypoint, [job.folder, *job.modules])
        self._runtime: Runtime = await load_runtime(job.runtime, target, _seat(job))
        self._probes = Probes(
            job.health, self._find(job.health.ready), self._find(job.health.live), self._changed
        )
        prefix = subjects.inbox("agent", f"{job.agent}={job.replica}")
        self._take_inbox(prefix)
        self._bus: Bus = await connect(
            job.url,
            name=f"agent {job.agent}/{job.replica}",
            inbox_prefix=prefix,
            credentials=Credentials(job.jwt, job.seed) if job.jwt else None,
            ca=job.ca,
            record=Path(job.server) if job.server else None,
            deadline=_CONNECT_DEADLINE_S,
        )
        self._thinking.start(self._bus)
        log_ = EventLog(self._bus, job.host, f"agent {job.agent}/{job.replica}")
        self._answering = Answering(
            job=job,
            bus=self._bus,
            runtime=self._runtime,
            model=self._thinking.model,
            activity=self._activity,
            events=StepEvents(log_, job.agent, job.replica),
        )
        events = asyncio.create_task(log_.run())
        try:
            await self._runtime.start(self._bus)
            await self._serve()
            await log_.drain(_GOODBYE_DEADLINE_S)
            if isinstance(self._must_end, CodeExitError):
                raise SystemExit(self._must_end.status)
            if self._must_end is not None:
                _end_soon(job, self._must_end)
                raise self._must_end
        finally:
            await end(events)
            await self._runtime.close()
            await self._thinking.close()
            await self._bus.close()

    def _find(self, probe: str | None) -> Probe | None:
        folders = [self.job.folder, *self.job.modules]
        return find_probe(probe, self._runtime, folders) if probe else None

    def stop(self) -> None:
        """End soon: finish what is in hand, take nothing new."""
        self._stopping.set()

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    def _take_inbox(self, prefix: str) -> None:
        wire.use_inbox(prefix)

    def _beat_seconds(self) -> int:
        return max(1, round(self.job.heartbeat_seconds))

    def _cpu_seconds(self) -> float | None:
        """Its share of the processor time of its process; None when it has all of it."""
        return None

    async def _serve(self) -> None:
        job = self.job
        service = self._service = AgentService(
            agent=job.agent,
            owner=job.owner,
            session_name=job.replica,
            nc=self._bus.nc,
            description=job.description,
            heartbeat_interval_s=self._beat_seconds(),
            extra_metadata={
                "sparkplug": __version__,
                "node": job.node,
                "runtime": job.runtime,
                "type": job.type,
                "capabilities": ",".join(job.capabilities),
                "actions": json.dumps(self._runtime.actions),
            },
            heartbeat_extras=lambda: {"sparkplug": self._report().model_dump(mode="json")},
            max_concurrent_prompts=job.concurrency,
            min_sender_trust=job.senders,
            accept_sender=KnownSenders(self._bus).accept if job.senders == "signed" else None,
        )
        service.on_prompt(self._on_prompt)
        control = Services(self._bus)
        await control.serve(
            subjects.agent_control(job.agent, job.replica), ControlRequest, self._requests.control
        )
        await control.serve(
            subjects.agent_threads(job.agent, job.replica),
            ThreadsRequest,
            Threads(self._runtime, job.agent).answer,
        )
        withdrawn = await self._bus.nc.subscribe(
            subjects.withdraw(job.agent, job.replica), cb=self._requests.withdraw
        )
        heard = await self._answering.listen(self._requests)
        await service.start()
        tasks = TaskWorker(
            self._bus,
            job.agent,
            job.replica,
            instance=service.instance_id,
            capacity=lambda: 0 if self._stopping.is_set() else job.concurrency,
            work=self._do_task,
        )
        if job.capabilities:
            await tasks.start()
        self._activity.park(*await self._answering.asking.mine())
        self._changed()
        self._bus.on_reconnect(self._tell)
        reporter = asyncio.create_task(self._report_changes())
        assert self._probes is not None
        prober = asyncio.create_task(self._probes.run())
        waits = WaitTeller(job.agent, job.replica, job.concurrency, self._activity)
        teller = asyncio.create_task(waits.run(self._bus))
        if self._probes.was_ready:
            log.info("%s/%s is ready", job.agent, job.replica)
        else:
            log.info("%s/%s is on the bus, and asks whether it is ready", job.agent, job.replica)
        try:
            await self._stopping.wait()
            await tasks.say_all()
            await self._drain()
            await tasks.close()
        finally:
            await end(reporter, prober, teller)
            # On a link that is cut it would wait until long after the lease of its node.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_DEADLINE_S):
                    await service.stop()
                    await control.close()
                    for subscription in (withdrawn, *heard):
                        await subscription.unsubscribe()

    async def _drain(self) -> None:
        """Finish what is in hand, for a while; the callers of what is not done are told."""
        began = time.monotonic()
        await self._tell()
        while self._activity.inflight:
            given = self._requests.drain
            if time.monotonic() - began >= (self.job.drain_seconds if given is None else given):
                await self._requests.abandon("the agent was stopped", _ABANDON_S)
                return
            await asyncio.sleep(0.02)

    async def _on_prompt(self, envelope: Envelope, stream: PromptStream) -> None:
        if self._stopping.is_set():
            raise RequestRejectedError(503, "it is stopping and takes nothing new")
        if self._probes is not None and self._probes.not_ready is not None:
            raise RequestRejectedError(503, _described(f"not ready: {self._probes.not_ready}"))
        began = time.monotonic()
        with self._activity.request() as activity:
            try:
                work = self._answering.answer(envelope, stream, activity)
                await self._requests.run(work, envelope, activity)
            except RequestRejectedError as error:
                # One that waits for a person has not failed.
                self._activity.failed += error.code != wire.WAITING_CODE
                raise
            except SparkplugError as error:
                self._activity.failed += 1
                self._heed(error)
                code = next((c for kind, c in _CODES.items() if isinstance(error, kind)), 500)
                raise RequestRejectedError(code, _described(error.in_a_line)) from error
            except Exception as error:
                # User code: its traceback goes to the agent's log, its gist to the caller.
                self._activity.failed += 1
                log.exception("request failed")
                raise RequestRejectedError(500, _described(gist(error))) from error
            else:
                self._activity.served += 1
            finally:
                self._latency.note(time.monotonic() - began)

    async def _do_task(self, given: GivenTask) -> Any:
        """Do a task as a prompt or a structured call is answered; its answer."""
        answer: list[Any] = []

        async def work() -> None:
            answer.append(await self._answering.do_task(given, activity))

        with self._activity.request() as activity:
            try:
                await self._requests.run_named(
                    work(), given.action or "task", given.context, activity
                )
            except BaseException as error:
                self._activity.failed += 1
                self._heed(error)
                raise
            self._activity.served += 1
        return answer[0]

    def _heed(self, error: BaseException) -> None:
        """End the process after what ended a request, where nothing else will do."""
        if isinstance(error, ProcessMustEnd | CodeExitError):
            self._must_end = error
            self.stop()

    def _changed(self) -> None:
        """The counts changed: say so, but a burst of requests says it once."""
        self._dirty.set()

    def _report(self) -> AgentReport:
        activity = self._activity
        state, reason, kind = self._own_state()
        probes = self._probes
        self._sequence += 1
        return AgentReport(
            agent=self.job.agent,
            replica=self.job.replica,
            pid=os.getpid(),
            process=self._process,
            sequence=self._sequence,
            incarnation=self.job.incarnation,
            counts=self._counts(),
            instance=self._service.instance_id if self._service else "",
            state=state,
            reason=reason,
            reason_kind=kind,
            accepting=probes is None or (probes.not_ready is None and probes.not_live is None),
            unhealthy=probes is not None and probes.not_live is not None,
            inflight=activity.inflight,
            served=activity.served,
            failed=activity.failed,
            breakers=self._answering.routes.breakers.views(),
            models_left_alone=self._thinking.model.models.left_alone(),
        )

    def _own_state(self) -> tuple[AgentState, str | None, ReasonKind | None]:
        probes = self._probes
        if self._stopping.is_set():
            return AgentState.STOPPING, None, None
        if probes is not None and probes.not_live is not None:
            why = f"liveness fails: {probes.not_live}"
            return AgentState.DEGRADED, why, ReasonKind.UNHEALTHY
        if probes is not None and probes.not_ready is not None:
            state = AgentState.DEGRADED if probes.was_ready else AgentState.STARTING
            return state, f"not ready: {probes.not_ready}", ReasonKind.NOT_READY
        return self._activity.state, None, None

    def _counts(self) -> AgentCounts:
        stats, thought = self._bus.nc.stats, self._thinking.counts
        return AgentCounts(
            received=stats["in_msgs"],
            sent=stats["out_msgs"],
            received_bytes=stats["in_bytes"],
            sent_bytes=stats["out_bytes"],
            cpu_seconds=self._cpu_seconds(),
            latency=self._latency.buckets,
            model_calls=thought.calls,
            tokens_in=thought.tokens_in + self._activity.tokens_in,
            tokens_out=thought.tokens_out + self._activity.tokens_out,
            model_cost=round(thought.cost, 9),
        )

    async def _tell(self) -> None:
        report = self._report()
        report.actions = self._runtime.actions
        with contextlib.suppress(nats.errors.Error):
            await self._bus.nc.publish(
                subjects.agent_state(self.job.agent, self.job.replica),
                report.model_dump_json().encode(),
            )

    async def _report_changes(self) -> None:
        told: tuple[object, ...] = ()
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            now = (self._own_state(), self._activity.inflight)
            if now != told:
                told = now
                await self._tell()
            await asyncio.sleep(_REPORT_SPACING_S)


def _seat(job: SpawnJob) -> Seat:
    return Seat(
        agent=job.agent,
        replica=job.replica,
        host=job.host,
        folder=job.folder,
        model=job.model,
        checkpoints=job.checkpoints,
        state=job.state,
    )


def _end_soon(job: SpawnJob, why: ProcessMustEnd) -> None:
    """See that the process ends, though a thread it would wait for never does."""
    record_reason(Path(job.exits), os.getpid(), str(why))
    timer = threading.Timer(_END_S, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _described(text: str) -> str:
    """What an answer's header can say."""
    return one_line(text)[:_MAX_DESCRIPTION]


def gist(error: BaseException) -> str:
    """What an error of the agent's code comes to, in a line."""
    if not isinstance(error, MemoryError):
        return f"{type(error).__name__}: {error}"
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    if limit == resource.RLIM_INFINITY:
        return "out of memory"
    return f"out of memory: its limit is {bytes_text(limit)}, by rlimit"
