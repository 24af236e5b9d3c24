"""A loop that does not turn is told with the function it stands in, and for as long as it does."""

from __future__ import annotations

import asyncio
import os
import selectors
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkplug.agents import stalls
from sparkplug.agents.stalls import Stall, StallWatch, read_stalls
from sparkplug.processes import identity

_DEADLINE_S = 60.0


def block_until_told(folder: Path) -> Stall:
    """Holds the thread, with no turn of the loop, until the watch has said so."""
    until = time.monotonic() + _DEADLINE_S
    while time.monotonic() < until:
        for stall in read_stalls(folder).values():
            return stall
        time.sleep(0.01)
    raise AssertionError("nothing was told")


async def test_a_blocked_loop_is_told_and_taken_back(tmp_path: Path) -> None:
    before = time.monotonic()
    with StallWatch(tmp_path, 0.1):
        await asyncio.sleep(0)
        stall = block_until_told(tmp_path)
        assert stall.process == identity(os.getpid())
        assert before <= stall.since <= stall.seen <= time.monotonic()
        # Where it stands is the test's own function, whatever that has called.
        assert f"{__name__}.block_until_told (test_stalls.py:" in stall.where
        async with asyncio.timeout(_DEADLINE_S):
            while read_stalls(tmp_path):
                await asyncio.sleep(0.01)
    assert not list(tmp_path.iterdir())


async def test_a_blocked_loop_says_so_again_and_again(tmp_path: Path) -> None:
    with StallWatch(tmp_path, 0.1):
        await asyncio.sleep(0)
        first = block_until_told(tmp_path)
        until = time.monotonic() + _DEADLINE_S
        while time.monotonic() < until:
            now = read_stalls(tmp_path).get(first.process)
            if now is not None and now.seen > first.seen:
                break
            time.sleep(0.01)
        else:
            raise AssertionError("it was told once")
        assert now.since == first.since


async def test_a_loop_that_only_waits_is_not_blocked(tmp_path: Path) -> None:
    """On a machine that gives the process no time the loop answers late, and stands in select."""
    with StallWatch(tmp_path, 0.05) as watch:

        def look() -> int:
            seen, until = 0, time.monotonic() + _DEADLINE_S
            while seen < 40 and time.monotonic() < until:
                time.sleep(0.005)
                seen += watch.waits()
            return seen

        assert await asyncio.to_thread(look) == 40
        assert not list(tmp_path.iterdir())
        assert not watch.waits()


async def test_code_that_selects_by_itself_is_blocked(tmp_path: Path) -> None:
    with selectors.DefaultSelector() as selector, StallWatch(tmp_path, 0.1):
        await asyncio.sleep(0)
        until = time.monotonic() + _DEADLINE_S
        while not read_stalls(tmp_path) and time.monotonic() < until:
            selector.select(0.02)
        (stall,) = read_stalls(tmp_path).values()
        assert "test_code_that_selects_by_itself_is_blocked" in stall.where


@pytest.fixture
def ended_process() -> Iterator[str]:
    """The identity of a process that is gone."""
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    name = identity(pid)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    yield name


def test_what_an_ended_process_left_is_removed(tmp_path: Path, ended_process: str) -> None:
    own = Stall(process=identity(os.getpid()), since=1.0, seen=2.0, where="here")
    left = own.model_copy(update={"process": ended_process})
    reused = own.model_copy(update={"process": f"{os.getpid()}-1"})
    for name, stall in (("own", own), ("left", left), ("reused", reused)):
        (tmp_path / f"{name}.json").write_text(stall.model_dump_json())
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "odd.json").write_text(own.model_dump_json().replace(own.process, "me"))
    assert read_stalls(tmp_path) == {own.process: own}
    assert [path.name for path in tmp_path.iterdir()] == ["own.json"]
    assert read_stalls(tmp_path / "missing") == {}


def test_a_frame_of_a_library_is_told_with_who_called_it() -> None:
    import sys

    def author() -> str:
        return str(max([1], key=lambda _: 0)) and stalls.describe_frame(sys._getframe())

    assert author().startswith(f"{__name__}.test_a_frame")
    assert "author (test_stalls.py:" in author()
