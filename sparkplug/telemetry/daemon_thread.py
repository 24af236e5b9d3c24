"""Blocking work in a thread that a stuck kernel call can keep for ever without harm."""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sparkplug.schema.errors import DeadlineError

Result = TypeVar("Result")


class DaemonThread:
    """Runs one call at a time in a daemon thread, so leaving the program waits for none.

    The thread is kept for the next call: to start one takes as long as what is read every second.

    `what` names the work in errors. A call that missed its deadline goes on in its thread; until
    it returns, other calls are refused at once.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._turn = asyncio.Lock()
        self._stuck = False
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = False

    async def call(self, work: Callable[[], Result], *, timeout: float) -> Result:
        """What `work` returns, or what it raises. Raises DeadlineError after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout), self._turn:
                if self._stuck:
                    raise DeadlineError(f"{self._what} is still stuck in an earlier call")
                return await self._run(work)
        except TimeoutError as error:
            raise DeadlineError(f"{self._what} took more than {timeout:g} s") from error

    async def _run(self, work: Callable[[], Result]) -> Result:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def finish(deliver: Callable[[], None]) -> None:
            self._stuck = False
            if not future.done():
                deliver()

        def run() -> None:
            try:
                result = work()
                deliver = partial(future.set_result, result)
            except Exception as error:  # noqa: BLE001 - handed whole to whoever awaits
                deliver = partial(future.set_exception, error)
            try:
                loop.call_soon_threadsafe(finish, deliver)
            except RuntimeError:
                return  # the loop was closed while the call was stuck: nobody waits

        self._stuck = True
        if not self._started:
            self._started = True
            thread = threading.Thread(
                target=_serve, args=(self._work,), name=self._what, daemon=True
            )
            thread.start()
            weakref.finalize(self, self._work.put, None)
        self._work.put(run)
        return await future


def _serve(work: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    """Do what comes, until None does. Holds nothing of what was done."""
    while (one := work.get()) is not None:
        one()
        del one
