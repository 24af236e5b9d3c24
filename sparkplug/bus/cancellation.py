"""Cancels that are not lost: `asyncio.wait_for` as Python 3.12 has it, for 3.11.

In 3.11 a task cancelled in the moment its `wait_for` completes loses the cancellation and
runs on for ever (github.com/python/cpython/issues/86296). nats-py waits that way on every
request, so a node could not end its loops. 3.12 wrote the function anew over
`asyncio.timeout`; nats-py looks it up in the module when it calls.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

_AGAIN_S = 0.2


async def wait_for(fut: Awaitable[ResultT], timeout: float | None) -> ResultT:
    """Wait for `fut`, at most `timeout` seconds. Raises TimeoutError; cancels what it waits for."""
    if timeout is not None and timeout <= 0:
        future = asyncio.ensure_future(fut)
        if future.done():
            return future.result()
        future.cancel()
        try:
            await future
        except asyncio.CancelledError as error:
            raise TimeoutError from error
        return future.result()
    async with asyncio.timeout(timeout):
        return await fut


def install() -> None:
    """Put it in the place of Python 3.11's; newer releases are left as they are."""
    if sys.version_info < (3, 12):
        asyncio.wait_for = wait_for  # type: ignore[assignment]


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks, again where one went on, until all have ended. What they raise is dropped.

    The Synadia SDK awaits its helper tasks under `suppress(BaseException)`: a cancel that
    arrives in that moment is lost with what it suppresses.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


async def finish(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Do what ends by itself, and soon, to its end, however often that is cancelled meanwhile.

    Taking something down is such work: `end` cancels again and again. The cancel comes after it.
    """
    task = asyncio.create_task(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        task.exception()  # looked at: who was cancelled has nobody to tell
        raise asyncio.CancelledError
    return task.result()
