"""The agent process: serves one replica on the bus from the moment it is forked."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nats.errors
from synadia_ai.agent_service import AgentService, PromptStream, RequestRejectedError
from synadia_ai.agents import Envelope, StatusChunk

from sparkplug import __version__
from sparkplug.agents.authoring import as_json, as_text
from sparkplug.agents.cancelling import Requests
from sparkplug.agents.context import Activity, Context, Request, Routes
from sparkplug.agents.entrypoint import load_entrypoint
from sparkplug.agents.exits import EXIT_MISCONFIGURED, forget_exit, record_reason
from sparkplug.agents.jobs import SpawnJob
from sparkplug.agents.ownership import take_replica
from sparkplug.agents.runtimes.port import Result, Runtime, Status, Text, load_runtime
from sparkplug.bus import subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.jwt import Credentials
from sparkplug.bus.service import Services
from sparkplug.llm.provider import Model
from sparkplug.processes import start_time
from sparkplug.schema.agent import AgentReport, AgentState
from sparkplug.schema.agent_control import ControlRequest
from sparkplug.schema.errors import InvalidError, NotFoundError, RefusedError, SparkplugError

log = logging.getLogger("sparkplug.agent")

_CONNECT_DEADLINE_S = 20.0
_REPORT_SPACING_S = 0.1
_ABANDON_S = 0.5
_MAX_DESCRIPTION = 200
_CODES = {InvalidError: 400, RefusedError: 403, NotFoundError: 404}


class AgentProcess:
    """One replica: a runtime, its service on the bus, and what it tells about itself."""

    def __init__(self, job: SpawnJob) -> None:
        self.job = job
        self._model = Model(**job.llm)
        self._activity = Activity(self._changed)
        self._requests = Requests()
        self._stopping = asyncio.Event()
        self._dirty = asyncio.Event()
        self._state = AgentState.STARTING
        self._service: AgentService | None = None

    async def run(self) -> None:
        """Serve until told to stop. Raises InvalidError when the entrypoint does not hold."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        job = self.job
        target = load_entrypoint(job.entrypoint, [job.folder, *job.modules])
        self._runtime: Runtime = await load_runtime(job.runtime, target)
        prefix = subjects.inbox("agent", f"{job.agent}={job.replica}")
        wire.use_inbox(prefix)
        self._bus: Bus = await connect(
            job.url,
            name=f"agent {job.agent}/{job.replica}",
            inbox_prefix=prefix,
            credentials=Credentials(job.jwt, job.seed) if job.jwt else None,
            deadline=_CONNECT_DEADLINE_S,
        )
        self._routes = Routes(self._bus)
        try:
            await self._serve()
        finally:
            await self._bus.close()

    async def _serve(self) -> None:
        job = self.job
        service = self._service = AgentService(
            agent=job.agent,
            owner=job.owner,
            session_name=job.replica,
            nc=self._bus.nc,
            description=job.description,
            heartbeat_interval_s=max(1, round(job.heartbeat_seconds)),
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
        )
        service.on_prompt(self._on_prompt)
        control = Services(self._bus)
        await control.serve(
            subjects.agent_control(job.agent, job.replica), ControlRequest, self._requests.control
        )
        await service.start()
        self._changed()
        self._bus.on_reconnect(self._tell)
        reporter = asyncio.create_task(self._report_changes())
        log.info("%s/%s is ready", job.agent, job.replica)
        try:
            await self._stopping.wait()
            await self._drain()
        finally:
            reporter.cancel()
            await service.stop()
            await control.close()

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
        with self._activity.doing("inflight"):
            try:
                await self._requests.run(self._answer(envelope, stream), envelope)
            except RequestRejectedError:
                self._activity.failed += 1
                raise
            except SparkplugError as error:
                self._activity.failed += 1
                code = next((c for kind, c in _CODES.items() if isinstance(error, kind)), 500)
                raise RequestRejectedError(code, _one_line(str(error))) from error
            except Exception as error:
                # User code: its traceback goes to the agent's log, its gist to the caller.
                self._activity.failed += 1
                log.exception("request failed")
                gist = f"{type(error).__name__}: {error}"
                raise RequestRejectedError(500, _one_line(gist)) from error
            else:
                self._activity.served += 1

    async def _answer(self, envelope: Envelope, stream: PromptStream) -> None:
        request, ids = _read(envelope)

        async def progress(text: str) -> None:
            await stream.send(StatusChunk(status=text))

        ctx = Context(
            bus=self._bus,
            agent=self.job.agent,
            replica=self.job.replica,
            host=self.job.host,
            activity=self._activity,
            routes=self._routes,
            model=self._model,
            progress=progress,
            ids=ids,
        )
        pieces: list[str] = []
        value: Any = None
        outputs = self._runtime.serve(ctx, request)
        with ctx.bound():
            async for output in outputs:
                match output:
                    case Status(text):
                        await progress(text)
                    case Text(text) if request.structured:
                        pieces.append(text)
                    case Text(text):
                        await stream.send(text)
                    case Result(result):
                        value = result
        if request.structured:
            await stream.send(as_json("".join(pieces) if pieces else value))
        elif value is not None:
            await stream.send(as_text(value))

    def _changed(self) -> None:
        """The counts changed: say so, but a burst of requests says it once."""
        self._dirty.set()

    def _report(self) -> AgentReport:
        activity = self._activity
        if self._stopping.is_set():
            state = AgentState.STOPPING
        elif activity.thinking:
            state = AgentState.THINKING
        elif activity.inflight and activity.asking >= activity.inflight:
            state = AgentState.WAITING_AGENT
        elif activity.inflight:
            state = AgentState.RUNNING
        else:
            state = AgentState.IDLE
        return AgentReport(
            agent=self.job.agent,
            replica=self.job.replica,
            pid=os.getpid(),
            instance=self._service.instance_id if self._service else "",
            state=state,
            inflight=activity.inflight,
            served=activity.served,
            failed=activity.failed,
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
            report = self._report()
            if (report.state, report.inflight) != told:
                told = (report.state, report.inflight)
                await self._tell()
            await asyncio.sleep(_REPORT_SPACING_S)


def _read(envelope: Envelope) -> tuple[Request, Mapping[str, Any]]:
    """The request in an envelope. Raises RequestRejectedError for extras that do not hold."""
    extras = envelope.extras
    action, input_, ids = (extras.get(k) for k in ("action", "input", wire.CONTEXT_FIELD))
    if action is not None and not (isinstance(action, str) and action):
        raise RequestRejectedError(400, "`action` must be a non-empty string")
    if input_ is not None and not isinstance(input_, dict):
        raise RequestRejectedError(400, "`input` must be an object")
    try:
        files = tuple((f.filename, f.to_bytes()) for f in envelope.attachments or ())
    except (binascii.Error, ValueError) as error:
        raise RequestRejectedError(400, "an attachment is not base64") from error
    request = Request(
        text=envelope.prompt,
        action=action or "prompt",
        input=input_ or {},
        files=files,
        structured=action is not None,
    )
    return request, ids if isinstance(ids, dict) else {}


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MAX_DESCRIPTION]


def main(job: SpawnJob) -> int:
    """Run one agent in this process, freshly forked, and return its exit code."""
    forget_exit(Path(job.exits), os.getpid())
    _become(job)
    try:
        if job.record:
            pid = os.getpid()
            own = {**job.recorded, "pid": pid, "started": start_time(pid) or 0.0}
            take_replica(Path(job.record), own)  # held until the process ends
        asyncio.run(AgentProcess(job).run())
    except SparkplugError as error:
        log.error("%s", error)
        record_reason(Path(job.exits), os.getpid(), str(error))
        return EXIT_MISCONFIGURED if isinstance(error, InvalidError) else 1
    except Exception as error:
        log.exception("the agent ends")
        record_reason(Path(job.exits), os.getpid(), f"{type(error).__name__}: {error}")
        return 1
    return 0


def _become(job: SpawnJob) -> None:
    """Make the forked process the agent's own: session, output, environment, randomness."""
    os.setsid()
    output = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.close(null)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    os.environ.update(job.env)
    os.chdir(job.folder or "/")
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )
