"""Cancels that must not be lost, on whatever Python and whatever library."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from sparkplug.bus import cancellation, connection


async def test_a_cancel_that_comes_with_the_answer_is_kept() -> None:
    assert connection.Bus, "importing the connection installs it"
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def ask() -> int:
        return await asyncio.wait_for(answer, 10)

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    answer.set_result(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_wait_for_times_out_and_passes_on_what_it_waits_for() -> None:
    with pytest.raises(TimeoutError):
        await cancellation.wait_for(asyncio.Event().wait(), 0.01)
    with pytest.raises(TimeoutError):
        await cancellation.wait_for(asyncio.Event().wait(), 0)
    assert await cancellation.wait_for(asyncio.sleep(0, "done"), None) == "done"


async def test_a_task_that_swallows_a_cancel_is_ended_all_the_same() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 2:
            with contextlib.suppress(BaseException):
                try:
                    await asyncio.Event().wait()
                finally:
                    swallowed += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await cancellation.end(task)
    assert task.cancelled()
    assert swallowed == 2


async def test_what_is_taken_down_is_taken_down_though_it_is_cancelled_again_and_again() -> None:
    began, may, done = asyncio.Event(), asyncio.Event(), []

    async def take_down() -> None:
        began.set()
        await may.wait()
        done.append("down")

    task = asyncio.create_task(cancellation.finish(take_down()))
    await began.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    may.set()
    await cancellation.end(task)
    assert task.cancelled()
    assert done == ["down"]
    assert await cancellation.finish(asyncio.sleep(0, "result")) == "result"
