"""The host's own figures, read from this very host and compared with what the kernel says."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil

from sparkplug.schema.host import HostSample
from sparkplug.telemetry.sampler import Sampler


async def take(count: int, period: float = 0.2) -> tuple[Sampler, list[HostSample]]:
    """The first samples of a sampler of this host."""
    samples: list[HostSample] = []
    enough = asyncio.Event()

    async def publish(sample: HostSample, body: bytes) -> None:
        assert HostSample.model_validate_json(body) == sample
        samples.append(sample)
        if len(samples) >= count:
            enough.set()

    sampler = Sampler(
        "here", period=period, owner_of=lambda pid: f"me/{pid}" if pid == os.getpid() else None
    )
    task = asyncio.create_task(sampler.run(publish))
    try:
        async with asyncio.timeout(60):
            await enough.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return sampler, samples


async def test_a_sample_agrees_with_the_kernel() -> None:
    _, samples = await take(3)
    last = samples[-1]
    assert last.memory.total_bytes == psutil.virtual_memory().total
    assert 0 < last.memory.available_bytes <= last.memory.total_bytes
    assert last.cpu.cores == psutil.cpu_count()
    assert 0 <= last.cpu.percent <= 100
    assert [s.sequence for s in samples] == [1, 2, 3]
    roots = [disk for disk in last.disks if disk.mount == "/"]
    assert roots
    stat = os.statvfs("/")
    assert roots[0].total_bytes == stat.f_blocks * stat.f_frsize
    if Path("/proc/pressure/memory").exists():
        assert set(last.pressure) == {"cpu", "io", "memory"}


async def test_the_window_holds_what_was_sampled() -> None:
    sampler, samples = await take(4)
    assert [s.sequence for s in await sampler.window(60)] == [s.sequence for s in samples]
    assert sampler.latest == samples[-1]
    assert len(await sampler.window(0.001)) <= 1


async def test_the_process_table_names_owners_and_states() -> None:
    sampler, _ = await take(1)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        try:
            table = {process.pid: process for process in await sampler.processes()}
        finally:
            child.kill()
    assert table[os.getpid()].agent == f"me/{os.getpid()}"
    assert table[child.pid].ppid == os.getpid()
    assert table[child.pid].agent is None
    assert table[child.pid].rss_bytes > 0


async def test_zombies_are_counted() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    try:
        while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)
        _, samples = await take(2)
        assert samples[-1].processes_zombie >= 1
    finally:
        child.wait()
