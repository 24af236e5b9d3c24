"""An agent's probes: what counts as well, and what is made of what is not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sparkplug.agents.probes import Probe, Probes, find_probe
from sparkplug.bus.cancellation import end
from sparkplug.schema.agent_spec import Health
from sparkplug.schema.errors import InvalidError

_DEADLINE_S = 60.0


class Watched:
    """Probes that run, and waiting for what they say."""

    def __init__(
        self, ready: Probe | None = None, live: Probe | None = None, **health: Any
    ) -> None:
        settings = {"probe_interval": 0.01, "probe_timeout": 10.0, **health}
        self._news = asyncio.Event()
        self.probes = Probes(Health(**settings), ready, live, self._news.set)

    async def __aenter__(self) -> Watched:
        self._task = asyncio.create_task(self.probes.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._task)

    async def until(self, condition: Callable[[Probes], bool]) -> None:
        async with asyncio.timeout(_DEADLINE_S):
            while not condition(self.probes):
                await self._news.wait()
                self._news.clear()


async def test_ready_once_and_then_not() -> None:
    says: list[Any] = [False]
    async with Watched(ready=lambda: says[0]) as watched:
        await watched.until(lambda p: p.not_ready == "it said no")
        assert not watched.probes.was_ready
        says[0] = True
        await watched.until(lambda p: p.was_ready and p.not_ready is None)
        says[0] = "the disk\nis full"
        await watched.until(lambda p: p.not_ready == "the disk is full")
        assert watched.probes.was_ready


async def test_without_a_probe_it_is_ready() -> None:
    watched = Watched()
    assert watched.probes.was_ready
    assert watched.probes.not_ready is None
    async with asyncio.timeout(_DEADLINE_S):
        await watched.probes.run()


async def test_liveness_counts_failures_in_a_row() -> None:
    answers = iter([False, False, True, False, False, False])
    asked: list[object] = []

    async def live() -> bool:
        said = next(answers, None)
        asked.append(said)
        if said is None:
            await asyncio.Event().wait()
        return bool(said)

    async with Watched(live=live, failures=3) as watched:
        await watched.until(lambda p: p.not_live is not None)
        assert watched.probes.not_live == "it said no (3 times)"
        assert asked[:6] == [False, False, True, False, False, False]


async def test_an_exception_and_a_silence_are_failures() -> None:
    def broken() -> None:
        raise ValueError("no index")

    async with Watched(ready=broken) as watched:
        await watched.until(lambda p: p.not_ready == "ValueError: no index")

    async def silent() -> None:
        await asyncio.Event().wait()

    async with Watched(ready=silent, probe_timeout=0.05) as watched:
        await watched.until(lambda p: p.not_ready == "no answer within 0.05 s")


async def test_a_plain_probe_that_hangs_holds_neither_the_loop_nor_more_threads() -> None:
    began: list[int] = []
    go = threading.Event()

    def hanging() -> bool:
        began.append(1)
        go.wait(_DEADLINE_S)
        return True

    async with Watched(ready=hanging, probe_timeout=0.02) as watched:
        await watched.until(lambda p: p.not_ready == "no answer within 0.02 s")
        await asyncio.sleep(0.2)
        assert began == [1]
        go.set()
        await watched.until(lambda p: p.not_ready is None)


def test_a_probe_is_a_method_or_a_function_of_a_module() -> None:
    class Agent:
        def well(self) -> bool:
            return True

    class Runtime:
        instance = Agent()

    assert find_probe("well", Runtime(), [])() is True
    assert find_probe("os:getpid", object(), [])() > 0
    for name in ("nothing", "os:sep"):
        with pytest.raises(InvalidError, match="is no function"):
            find_probe(name, Runtime(), [])
