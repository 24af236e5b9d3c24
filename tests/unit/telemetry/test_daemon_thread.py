"""Blocking work in a thread of its own: kept, let go, and given up on."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest

from sparkplug.schema.errors import DeadlineError
from sparkplug.telemetry.daemon_thread import DaemonThread

WAIT_S = 30.0


async def _until(condition: object) -> None:
    assert callable(condition)
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


async def test_one_thread_does_all_that_is_asked() -> None:
    thread = DaemonThread("looking")
    found = [await thread.call(threading.get_ident, timeout=WAIT_S) for _ in range(3)]
    assert len(set(found)) == 1
    assert found[0] != threading.get_ident()


async def test_what_goes_wrong_is_raised_and_the_next_is_done() -> None:
    thread = DaemonThread("looking")
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 // 0, timeout=WAIT_S)
    assert await thread.call(lambda: 7, timeout=WAIT_S) == 7


async def test_while_one_is_stuck_others_are_refused_and_then_done() -> None:
    thread, go_on = DaemonThread("looking"), threading.Event()
    with pytest.raises(DeadlineError, match="took more than"):
        await thread.call(lambda: go_on.wait(WAIT_S), timeout=0.01)
    with pytest.raises(DeadlineError, match="still stuck"):
        await thread.call(lambda: 7, timeout=WAIT_S)
    go_on.set()
    await _until(lambda: not thread._stuck)
    assert await thread.call(lambda: 7, timeout=WAIT_S) == 7


async def test_it_ends_with_whoever_asked() -> None:
    thread = DaemonThread("a name of its own")
    await thread.call(lambda: 7, timeout=WAIT_S)
    named = [one for one in threading.enumerate() if one.name == "a name of its own"]
    assert len(named) == 1
    del thread
    gc.collect()
    await _until(lambda: not named[0].is_alive())
