"""The GPUs of this host, asked through the worker process with a deadline."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import deque
from collections.abc import Mapping

from pydantic import ValidationError

from sparkplug.schema.host import Driver, DriverState, Gpu, GpuState, Xid
from sparkplug.telemetry.gpu.reading import GpuReading, WorkerAnswer, identity_only

LOG = logging.getLogger(__name__)

#: `-P` keeps a json.py of the folder the daemon was started in from being imported.
WORKER = (sys.executable, "-P", "-m", "sparkplug.telemetry.gpu.worker")
DEADLINE_SECONDS = 2.0
#: Loading NVML takes seconds on hosts with many GPUs and no persistence daemon.
LOAD_SECONDS = 20.0
#: Looking again for a driver that was not there: first after, and at most every.
LOOK_AGAIN_SECONDS = 30.0
LOOK_AGAIN_MOST_SECONDS = 300.0
BACKOFF_SECONDS = 0.5
BACKOFF_MOST_SECONDS = 30.0
#: Workers stuck in the driver cannot be killed; beyond this many no other is started.
WORKERS_MOST = 3
CLOSE_SECONDS = 1.0
XIDS_KEPT = 32
LINE_BYTES = 16 << 20


class _NoAnswerError(Exception):
    """The worker ended, or said something that is no answer."""


class GpuSource:
    """Reads driver and GPUs; `read` never raises, whatever the driver does.

    `environment` replaces the worker's environment (a scripted NVML is set up there). A worker
    that misses the deadline (seconds) is killed and another started after a pause that doubles.
    """

    def __init__(
        self,
        *,
        deadline: float = DEADLINE_SECONDS,
        load_deadline: float = LOAD_SECONDS,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._deadline = deadline
        self._load_deadline = load_deadline
        self._environment = dict(environment) if environment is not None else None
        self._worker: asyncio.subprocess.Process | None = None
        self._killed: list[asyncio.subprocess.Process] = []
        self._pending: asyncio.Task[WorkerAnswer] | None = None
        self._loading_since: float | None = None
        self._request = 0
        self._xid_sequence = 0
        self._xids: deque[Xid] = deque(maxlen=XIDS_KEPT)
        self._misses = 0
        self._not_before = 0.0
        self._answered: float | None = None
        self._last = GpuReading(driver=Driver(state=DriverState.STARTING))

    async def read(self) -> GpuReading:
        """The reading now, within the deadline; the state of the driver says when there is none.

        While the driver does not answer, the GPUs keep their names and lose their metrics.
        """
        now = asyncio.get_running_loop().time()
        if now < self._not_before:
            return self._while_waiting()
        try:
            if self._worker is None:
                await self._start()
            answer = await self._ask()
        except TimeoutError:
            return self._missed()
        except (_NoAnswerError, OSError, ValueError) as error:
            return self._broken(str(error))
        if answer is None:
            self._last = GpuReading(
                driver=self._driver_away(DriverState.STARTING, "NVML is being loaded"),
                gpus=self._last.gpus,
                xids=list(self._xids),
            )
            return self._last
        return self._take(answer)

    async def close(self) -> None:
        """End the worker. One stuck in the driver is left to the kernel after a second."""
        self._discard_worker()
        if self._killed:
            waits = [asyncio.ensure_future(worker.wait()) for worker in self._killed]
            _, stuck = await asyncio.wait(waits, timeout=CLOSE_SECONDS)
            for wait in stuck:
                wait.cancel()

    async def _start(self) -> None:
        self._killed = [worker for worker in self._killed if worker.returncode is None]
        if len(self._killed) >= WORKERS_MOST:
            raise TimeoutError
        self._worker = await asyncio.create_subprocess_exec(
            *WORKER,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
            limit=LINE_BYTES,
            start_new_session=True,
        )
        self._loading_since = asyncio.get_running_loop().time()
        self._xid_sequence = 0

    async def _ask(self) -> WorkerAnswer | None:
        """The worker's answer; None while it still loads NVML. Raises TimeoutError on a miss."""
        worker = self._worker
        if worker is None:
            raise _NoAnswerError("the worker is gone")
        if self._pending is None:
            self._request += 1
            self._pending = asyncio.create_task(self._exchange(worker, self._request))
        done, _ = await asyncio.wait({self._pending}, timeout=self._deadline)
        if done:
            task, self._pending = self._pending, None
            answer = task.result()
            self._loading_since = None
            return answer
        loading = self._loading_since
        if loading is not None and (
            asyncio.get_running_loop().time() - loading < self._load_deadline
        ):
            return None
        raise TimeoutError

    async def _exchange(self, worker: asyncio.subprocess.Process, number: int) -> WorkerAnswer:
        if worker.stdin is None or worker.stdout is None:
            raise _NoAnswerError("the worker has no pipes")
        request = {"id": number, "xids_after": self._xid_sequence}
        worker.stdin.write(json.dumps(request).encode() + b"\n")
        await worker.stdin.drain()
        line = await worker.stdout.readline()
        if not line:
            raise _NoAnswerError("the process that asks NVML ended")
        try:
            return WorkerAnswer.model_validate_json(line)
        except ValidationError as error:
            raise _NoAnswerError(f"the process that asks NVML said: {error}") from error

    def _take(self, answer: WorkerAnswer) -> GpuReading:
        now = asyncio.get_running_loop().time()
        for event in answer.xids:
            self._xid_sequence = max(self._xid_sequence, event.sequence)
            self._xids.append(Xid.model_validate(event.model_dump(exclude={"sequence"})))
        if answer.driver.state is DriverState.OK:
            self._misses = 0
            self._answered = now
        else:
            # Nothing to keep a process for: look again later, in a fresh one that would find
            # a library installed meanwhile.
            self._discard_worker()
            pause = LOOK_AGAIN_SECONDS * 2.0 ** min(self._misses, 8)
            self._not_before = now + min(pause, LOOK_AGAIN_MOST_SECONDS)
            self._misses += 1
        self._last = GpuReading(
            driver=answer.driver,
            gpus=[self._named(gpu) for gpu in answer.gpus],
            xids=list(self._xids),
        )
        return self._last

    def _named(self, gpu: Gpu) -> Gpu:
        """A GPU that was lost before the worker started has no name: the one it had is kept."""
        if gpu.uuid or gpu.state is GpuState.OK:
            return gpu
        known = next((old for old in self._last.gpus if old.index == gpu.index), None)
        if known is None:
            return gpu
        return gpu.model_copy(update={"uuid": known.uuid, "name": known.name})

    def _missed(self) -> GpuReading:
        if self._worker is not None:
            LOG.warning("NVML did not answer in %.1f s; its process is replaced", self._deadline)
        self._back_off()
        self._last = GpuReading(
            driver=self._driver_away(DriverState.NOT_RESPONDING, "the driver does not answer"),
            gpus=[identity_only(gpu) for gpu in self._last.gpus],
            xids=list(self._xids),
        )
        return self._while_waiting()

    def _broken(self, reason: str) -> GpuReading:
        LOG.warning("asking NVML failed: %s", reason)
        self._back_off()
        self._last = GpuReading(
            driver=self._driver_away(DriverState.ERROR, reason),
            gpus=[identity_only(gpu) for gpu in self._last.gpus],
            xids=list(self._xids),
        )
        return self._while_waiting()

    def _driver_away(self, state: DriverState, reason: str) -> Driver:
        return self._last.driver.model_copy(update={"state": state, "reason": reason})

    def _while_waiting(self) -> GpuReading:
        """The last reading, with the age of the last true answer as it is now."""
        if self._answered is None or self._last.driver.state in (
            DriverState.OK,
            DriverState.NO_DRIVER,
        ):
            return self._last
        age = asyncio.get_running_loop().time() - self._answered
        driver = self._last.driver.model_copy(update={"age_seconds": round(age, 1)})
        return self._last.model_copy(update={"driver": driver})

    def _back_off(self) -> None:
        self._discard_worker()
        pause = min(BACKOFF_SECONDS * 2.0 ** min(self._misses, 8), BACKOFF_MOST_SECONDS)
        self._misses += 1
        self._not_before = asyncio.get_running_loop().time() + pause

    def _discard_worker(self) -> None:
        """Kill the worker without waiting: in state D it ends when the driver lets it."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if worker.returncode is None:
            try:
                worker.kill()
            except ProcessLookupError:
                return
            self._killed.append(worker)
