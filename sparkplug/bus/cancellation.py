"""Cancels that are not lost.

`asyncio.wait_for` of Python 3.11, which nats-py awaits every answer with, returns the answer and
forgets the cancel when both come in the same turn of the loop (python/cpython#86296, mended in
3.12). A task in a loop would then go on for ever, and so would the TaskGroup that waits for it.
"""

from __future__ import annotations

import asyncio
from typing import Any


def heed_cancel() -> None:
    """Raise CancelledError when this task was cancelled and went on: call it after an answer."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks, again where one went on, until all have ended. What they raise is dropped."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)
    await asyncio.gather(*tasks, return_exceptions=True)
