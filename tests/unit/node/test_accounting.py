"""Accounting of replicas: over restarts, and in a process they share."""

from __future__ import annotations

import os
import time
from typing import Any, cast

import pytest

from sparkplug.node.accounting import Accounting, Serving
from sparkplug.node.usage_history import UsageTrack
from sparkplug.schema.agent import AgentState, ObservedAgent
from sparkplug.schema.host import Gpu, GpuProcess
from sparkplug.schema.usage import AgentCounts, AgentUsage, UsageRequest


def replica(name: str, pid: int | None, **more: Any) -> ObservedAgent:
    return ObservedAgent(
        name=name, replica="0", runtime="python", owner="me", state=AgentState.IDLE, pid=pid, **more
    )


def accounting(serving: list[Serving], gpus: list[Gpu] | None = None) -> Accounting:
    return Accounting(
        cast("Any", None),
        "here",
        serving=lambda: serving,
        gpus=lambda: gpus or [],
        history_seconds=60,
    )


async def usage(books: Accounting) -> dict[str, AgentUsage]:
    await books.take()
    reply = await books.answer(UsageRequest())
    return {u.agent: u.model_copy() for u in reply.now.agents}


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


async def test_counts_add_up_over_restarts() -> None:
    serving: list[Serving] = []
    books = accounting(serving)
    lives = [
        (101, AgentCounts(received=5, sent=7), 4, 1),
        (None, None, 4, 1),  # between two lives
        (102, None, 4, 1),  # started, and nothing heard of it yet
        (102, AgentCounts(received=2, sent=1), 2, 0),
        (102, AgentCounts(received=3, sent=1), 3, 2),
    ]
    for pid, counts, served, failed in lives:
        serving[:] = [Serving(replica("a", pid, served=served, failed=failed), "", "", counts)]
        found = (await usage(books))["a"]
    assert (found.received, found.sent) == (8, 8)
    assert (found.prompts, found.errors) == (10, 3)
    serving.clear()
    assert await usage(books) == {}


async def test_agents_of_a_process_have_all_of_it_together_by_their_steps() -> None:
    pid = os.getpid()

    def serving(busy: float, idle: float) -> list[Serving]:
        return [
            Serving(replica("busy", pid), "1", "s", AgentCounts(cpu_seconds=busy)),
            Serving(replica("idle", pid), "2", "s", AgentCounts(cpu_seconds=idle)),
        ]

    now = serving(0.0, 0.0)
    books = accounting(now)
    first = await usage(books)
    began = time.process_time()
    burn(0.3)
    now[:] = serving(0.3, 0.1)
    second = await usage(books)
    spent = time.process_time() - began
    taken = {n: second[n].cpu_seconds - first[n].cpu_seconds for n in second}
    assert taken["busy"] == pytest.approx(3 * taken["idle"], rel=0.01)
    # What reading it all takes is in part of this span and in part of the next.
    assert 0.28 <= sum(taken.values()) <= spent + 0.1
    assert second["busy"].shared == second["idle"].shared == 2
    assert second["busy"].rss_bytes == second["idle"].rss_bytes
    assert (second["busy"].rss_bytes or 0) > 1 << 20
    assert (second["busy"].pss_bytes or 1) > 0


async def test_memory_on_gpus_is_added_up() -> None:
    gpus = [
        Gpu(
            index=number,
            uuid=f"GPU-{number}",
            name="any",
            processes=[GpuProcess(pid=os.getpid(), used_bytes=used, sm_percent=percent)],
        )
        for number, used, percent in ((0, 100, 20.0), (1, 50, 90.0))
    ]
    books = accounting([Serving(replica("a", os.getpid()), "", "", None)], gpus)
    found = (await usage(books))["a"]
    assert (found.gpu_memory_bytes, found.gpu_percent) == (150, 90.0)


def test_history_is_a_ring() -> None:
    track = UsageTrack("a", "0", 3)
    taken = AgentUsage(agent="a", replica="0", rss_bytes=1 << 30)
    for number in range(6):
        taken.latency_p95_ms = float(number)
        track.keep(taken)
    points = track.since(60).points
    assert [point.latency_p95_ms for point in points] == [3.0, 4.0, 5.0]
    assert {point.rss_bytes for point in points} == {1 << 30}
    assert [point.gpu_memory_bytes for point in points] == [None] * 3
    assert points == sorted(points, key=lambda point: point.time)
    assert track.since(0).points == []
