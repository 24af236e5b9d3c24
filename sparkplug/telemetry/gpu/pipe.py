"""The worker process as its parent sees it: questions down one pipe, answers up another."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sparkplug.telemetry.gpu.reading import WorkerAnswer

#: `-P` keeps a json.py of the folder the daemon was started in from being imported.
WORKER = (sys.executable, "-P", "-m", "sparkplug.telemetry.gpu.worker")
LINE_BYTES = 16 << 20


class NoAnswerError(Exception):
    """The worker ended, or said something that is no answer."""


class WorkerPipe:
    """One worker. Answers are matched to questions by number, so orders do not hold up samples."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.started = asyncio.get_running_loop().time()
        #: Of the last event that it told.
        self.event_sequence = 0
        self.answered = False
        self._number = 0
        self._waiting: dict[int, asyncio.Future[WorkerAnswer]] = {}
        self._broken: str | None = None
        self._reading = asyncio.create_task(self._read())
        #: The question for a sample that is open.
        self.pending: asyncio.Future[WorkerAnswer] | None = None

    @classmethod
    async def start(cls, environment: Mapping[str, str] | None) -> WorkerPipe:
        """Start a worker. Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            *WORKER,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(environment) if environment is not None else None,
            limit=LINE_BYTES,
            start_new_session=True,
        )
        return cls(process)

    def ask(self, **question: Any) -> asyncio.Future[WorkerAnswer]:
        """Put a question; the answer comes into the future. Raises NoAnswerError."""
        if self._broken is not None or self.process.stdin is None:
            raise NoAnswerError(self._broken or "the worker has no pipes")
        self._number += 1
        future: asyncio.Future[WorkerAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = future
        # A pipe takes 64 KiB: more questions than any worker leaves open.
        self.process.stdin.write(json.dumps({"id": self._number, **question}).encode() + b"\n")
        return future

    def sample(self) -> asyncio.Future[WorkerAnswer]:
        """The question for a sample, put once until it is answered. Raises NoAnswerError."""
        if self.pending is None:
            self.pending = self.ask(events_after=self.event_sequence)
        return self.pending

    def kill(self) -> None:
        """End it without waiting: in state D it ends when the driver lets it."""
        self._reading.cancel()
        self._break("the process that asks NVML was ended")
        if self.process.returncode is None:
            try:
                self.process.kill()
            except ProcessLookupError:
                return

    async def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        try:
            while line := await stream.readline():
                answer = WorkerAnswer.model_validate_json(line)
                future = self._waiting.pop(answer.id, None)
                if future is not None and not future.done():
                    future.set_result(answer)
        except (ValidationError, ValueError) as error:
            self._break(f"the process that asks NVML said: {error}")
            return
        self._break("the process that asks NVML ended")

    def _break(self, reason: str) -> None:
        self._broken = reason
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(NoAnswerError(reason))
                # Whoever waited may have given up.
                future.exception()
