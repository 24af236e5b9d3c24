"""Zygotes that die: killed before they could fork, unable to start, dying again and again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.node import eventually
from sparkplug.node.zygotes import ZygotePool
from sparkplug.schema.errors import InvalidError


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[ZygotePool]:
    """A pool that is kept alive."""
    pool = ZygotePool(tmp_path, {})
    keeping = asyncio.create_task(pool.keep_alive())
    yield pool
    keeping.cancel()
    await pool.stop()


async def test_one_killed_before_it_is_ready_is_started_again(pool: ZygotePool) -> None:
    first = await pool.warm("", "python")
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    await eventually(lambda: pool.pids() not in ([], [first.pid]), 30)
    assert not first.was_ready, "it was killed in the middle of its imports"
    await pool.ready("", "python")


async def test_who_waits_for_one_that_is_killed_gets_its_successor(pool: ZygotePool) -> None:
    first = await pool.warm("", "python")
    waiting = asyncio.create_task(pool.ready("", "python"))
    await asyncio.sleep(0)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        await waiting
    assert first.pid is None and len(pool.pids()) == 1


async def test_one_that_cannot_start_says_why_and_is_not_tried_again(
    pool: ZygotePool, tmp_path: Path
) -> None:
    interpreter = _interpreter(tmp_path, 'echo "ModuleNotFoundError: No module named nats" >&2')
    with pytest.raises(InvalidError, match="No module named nats"):
        await pool.ready(interpreter, "python")
    await eventually(lambda: (interpreter, "python") not in pool._zygotes, 30)
    assert _starts(tmp_path) == 1


async def test_one_that_keeps_dying_young_is_tried_again(pool: ZygotePool, tmp_path: Path) -> None:
    interpreter = _interpreter(tmp_path, "kill -9 $$")
    await pool.warm(interpreter, "python")
    await eventually(lambda: _starts(tmp_path) >= 3, 30)
    died, not_before = pool._died_young[interpreter, "python"]
    assert died >= 2
    assert not_before - asyncio.get_running_loop().time() <= 2.0**died


def _interpreter(folder: Path, does: str) -> str:
    """An interpreter that notes each start and then does that."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho started >> {folder}/starts\n{does}\n")
    path.chmod(0o755)
    return str(path)


def _starts(folder: Path) -> int:
    path = folder / "starts"
    return len(path.read_text().splitlines()) if path.exists() else 0
