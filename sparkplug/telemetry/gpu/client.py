"""The GPUs of this host, asked through the worker process with a deadline."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from sparkplug.schema.errors import DeadlineError, RefusedError, SparkplugError
from sparkplug.schema.gpu import Driver, DriverState, Gpu, GpuEvent, GpuState, Xid
from sparkplug.telemetry.gpu.pipe import NoAnswerError, WorkerPipe
from sparkplug.telemetry.gpu.reading import (
    GpuReading,
    NumberedEvent,
    NumberedXid,
    WorkerAnswer,
    identity_only,
)

LOG = logging.getLogger(__name__)

DEADLINE_SECONDS = 2.0
#: Loading NVML takes seconds on hosts with many GPUs and no persistence daemon.
LOAD_SECONDS = 20.0
#: Looking again for a driver that was not there: first after, and at most every.
LOOK_AGAIN_SECONDS = 30.0
LOOK_AGAIN_MOST_SECONDS = 300.0
BACKOFF_SECONDS = 0.5
BACKOFF_MOST_SECONDS = 30.0
#: A GPU stale for so long (seconds) has another worker started, which may get through to it.
SUCCEED_SECONDS = 4.0
SUCCEED_AGAIN_MOST_SECONDS = 120.0
#: Workers stuck in the driver cannot be killed; beyond this many no other is started.
WORKERS_MOST = 3
CLOSE_SECONDS = 1.0
ORDER_SECONDS = 10.0
EVENTS_KEPT = 32
#: Tells a scripted driver when its script began, so that it goes on in the next worker.
SINCE_VARIABLE = "SPARKPLUG_GPUS_SINCE"


class GpuSource:
    """Reads driver and GPUs; `read` never raises, whatever the driver does.

    `environment` replaces the worker's environment (a scripted NVML is set up there). A worker
    that misses the deadline (seconds) is killed and another started after a pause that doubles.
    One that goes on answering while a call hangs for one GPU stays, and another is tried beside
    it: it takes over when it gets through.
    """

    def __init__(
        self,
        *,
        deadline: float = DEADLINE_SECONDS,
        load_deadline: float = LOAD_SECONDS,
        environment: Mapping[str, str] | None = None,
        succeed_after: float = SUCCEED_SECONDS,
    ) -> None:
        self._deadline = deadline
        self._load_deadline = load_deadline
        self._environment = dict(environment) if environment is not None else None
        self._succeed_after = succeed_after
        self._worker: WorkerPipe | None = None
        self._successor: WorkerPipe | None = None
        self._succeed_not_before = 0.0
        self._succeed_pause = succeed_after
        self._killed: list[asyncio.subprocess.Process] = []
        self._xids: deque[Xid] = deque(maxlen=EVENTS_KEPT)
        self._events: deque[GpuEvent] = deque(maxlen=EVENTS_KEPT)
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
                self._worker = await self._start()
            answer = await self._ask(self._worker)
        except TimeoutError:
            return self._missed()
        except (NoAnswerError, OSError, ValueError) as error:
            return self._broken(str(error))
        if answer is None:
            self._last = self._reading(
                self._driver_away(DriverState.STARTING, "NVML is being loaded"), self._last.gpus
            )
            return self._last
        reading = self._take(answer)
        await self._tend_successor(reading)
        return reading

    async def order(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Have the worker do something that is not sampling, and what came of it.

        Raises RefusedError with the driver's reason, DeadlineError, SparkplugError.
        """
        worker = self._worker
        if worker is None or not worker.answered:
            raise RefusedError(f"the NVIDIA driver is not there: {self._last.driver.state}")
        try:
            future = worker.ask(do=name, **arguments)
            answer = await asyncio.wait_for(future, ORDER_SECONDS)
        except TimeoutError as error:
            raise DeadlineError(f"the driver did not answer in {ORDER_SECONDS:g} s") from error
        except NoAnswerError as error:
            raise SparkplugError(str(error)) from error
        if answer.done is None:
            raise RefusedError(answer.error or "the driver did not do it")
        return answer.done

    async def close(self) -> None:
        """End the worker. One stuck in the driver is left to the kernel after a second."""
        self._discard(self._worker)
        self._discard(self._successor)
        self._worker = self._successor = None
        if self._killed:
            waits = [asyncio.ensure_future(worker.wait()) for worker in self._killed]
            _, stuck = await asyncio.wait(waits, timeout=CLOSE_SECONDS)
            for wait in stuck:
                wait.cancel()

    async def _start(self) -> WorkerPipe:
        self._killed = [process for process in self._killed if process.returncode is None]
        if len(self._killed) >= WORKERS_MOST:
            raise TimeoutError
        if self._environment is None:
            self._environment = dict(os.environ)
        self._environment.setdefault(SINCE_VARIABLE, f"{time.monotonic():.3f}")
        return await WorkerPipe.start(self._environment)

    async def _ask(self, worker: WorkerPipe) -> WorkerAnswer | None:
        """The worker's answer; None while it still loads NVML. Raises TimeoutError on a miss."""
        future = worker.sample()
        done, _ = await asyncio.wait({future}, timeout=self._deadline)
        if done:
            return _answered(worker)
        if not worker.answered and self._age(worker) < self._load_deadline:
            return None
        raise TimeoutError

    def _age(self, worker: WorkerPipe) -> float:
        return asyncio.get_running_loop().time() - worker.started

    def _take(self, answer: WorkerAnswer) -> GpuReading:
        now = asyncio.get_running_loop().time()
        assert answer.driver is not None
        news: list[NumberedXid | NumberedEvent] = [*answer.xids, *answer.events]
        for event in sorted(news, key=lambda event: event.sequence):
            self._remember(event)
        gpus = [self._named(gpu) for gpu in answer.gpus]
        driver = answer.driver
        if driver.state is DriverState.OK:
            self._misses = 0
            if gpus and all(gpu.state is GpuState.STALE for gpu in gpus):
                age = max(gpu.age_seconds or 0.0 for gpu in gpus)
                driver = driver.model_copy(
                    update={
                        "state": DriverState.NOT_RESPONDING,
                        "reason": "calls into the driver hang for every GPU",
                        "age_seconds": age,
                    }
                )
            else:
                self._answered = now
        else:
            # Nothing to keep a process for: look again later, in a fresh one that would find
            # a library installed meanwhile.
            self._discard(self._worker)
            self._worker = None
            pause = LOOK_AGAIN_SECONDS * 2.0 ** min(self._misses, 8)
            self._not_before = now + min(pause, LOOK_AGAIN_MOST_SECONDS)
            self._misses += 1
        self._last = self._reading(driver, gpus)
        return self._last

    def _remember(self, event: NumberedXid | NumberedEvent) -> None:
        if self._worker is not None:
            self._worker.event_sequence = max(self._worker.event_sequence, event.sequence)
        plain = event.model_dump(exclude={"sequence"})
        if isinstance(event, Xid):
            self._xids.append(Xid.model_validate(plain))
        else:
            self._events.append(GpuEvent.model_validate(plain))

    async def _tend_successor(self, reading: GpuReading) -> None:
        """Where a GPU is stale, try another worker beside this one, and take it if it is better."""
        loop = asyncio.get_running_loop()
        stale = {gpu.index for gpu in reading.gpus if gpu.state is GpuState.STALE}
        if not stale:
            self._discard(self._successor)
            self._successor = None
            self._succeed_pause = self._succeed_after
            self._succeed_not_before = 0.0
            return
        successor = self._successor
        try:
            if successor is None:
                if not self._succeed_not_before:
                    self._succeed_not_before = loop.time() + self._succeed_pause
                if loop.time() >= self._succeed_not_before:
                    self._successor = await self._start()
                    self._successor.sample()
                return
            if not successor.sample().done():
                if self._age(successor) > self._load_deadline:
                    self._give_up_successor()
                return
            answer = _answered(successor)
        except (TimeoutError, NoAnswerError, OSError):
            self._give_up_successor()
            return
        better = answer.driver is not None and answer.driver.state is DriverState.OK
        if better and not any(gpu.state is GpuState.STALE for gpu in answer.gpus):
            LOG.warning("another process gets through to every GPU: it asks NVML from now on")
            self._discard(self._worker)
            self._worker, self._successor = successor, None
            return
        self._give_up_successor()

    def _give_up_successor(self) -> None:
        self._discard(self._successor)
        self._successor = None
        self._succeed_pause = min(self._succeed_pause * 2, SUCCEED_AGAIN_MOST_SECONDS)
        self._succeed_not_before = asyncio.get_running_loop().time() + self._succeed_pause

    def _named(self, gpu: Gpu) -> Gpu:
        """A GPU that was lost before the worker started has no name: the one it had is kept."""
        if gpu.uuid or gpu.state is GpuState.OK:
            return gpu
        known = next((old for old in self._last.gpus if old.index == gpu.index), None)
        if known is None:
            return gpu
        return gpu.model_copy(
            update={
                "uuid": known.uuid,
                "name": known.name,
                "unified_memory": known.unified_memory,
            }
        )

    def _reading(self, driver: Driver, gpus: list[Gpu]) -> GpuReading:
        return GpuReading(
            driver=driver, gpus=gpus, xids=list(self._xids), events=list(self._events)
        )

    def _missed(self) -> GpuReading:
        if self._worker is not None:
            LOG.warning("NVML did not answer in %.1f s; its process is replaced", self._deadline)
        self._back_off()
        self._last = self._reading(
            self._driver_away(DriverState.NOT_RESPONDING, "the driver does not answer"),
            [identity_only(gpu, GpuState.STALE) for gpu in self._last.gpus],
        )
        return self._while_waiting()

    def _broken(self, reason: str) -> GpuReading:
        LOG.warning("asking NVML failed: %s", reason)
        self._back_off()
        self._last = self._reading(
            self._driver_away(DriverState.ERROR, reason),
            [identity_only(gpu, GpuState.ERROR) for gpu in self._last.gpus],
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
        age = round(asyncio.get_running_loop().time() - self._answered, 1)
        driver = self._last.driver.model_copy(update={"age_seconds": age})
        gpus = [
            gpu.model_copy(update={"age_seconds": age}) if gpu.state is GpuState.STALE else gpu
            for gpu in self._last.gpus
        ]
        return self._last.model_copy(update={"driver": driver, "gpus": gpus})

    def _back_off(self) -> None:
        self._discard(self._worker)
        self._discard(self._successor)
        self._worker = self._successor = None
        pause = min(BACKOFF_SECONDS * 2.0 ** min(self._misses, 8), BACKOFF_MOST_SECONDS)
        self._misses += 1
        self._not_before = asyncio.get_running_loop().time() + pause

    def _discard(self, worker: WorkerPipe | None) -> None:
        if worker is not None:
            worker.kill()
            if worker.process.returncode is None:
                self._killed.append(worker.process)


def _answered(worker: WorkerPipe) -> WorkerAnswer:
    """The answer that came. Raises NoAnswerError for one that is no sample."""
    future, worker.pending = worker.sample(), None
    answer = future.result()
    worker.answered = True
    if answer.driver is None:
        raise NoAnswerError(answer.error or "the process that asks NVML gave no sample")
    return answer
