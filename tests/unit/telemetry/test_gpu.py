"""The NVML path, through the real worker process and pynvml, against a compiled scripted driver."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from sparkplug.schema.host import DriverState, GpuState
from sparkplug.shipped import shipped
from sparkplug.telemetry.gpu.client import WORKER, GpuSource
from sparkplug.telemetry.gpu.fake.environment import fake_nvml_environment
from sparkplug.telemetry.gpu.reading import GpuReading


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder the scripted driver is compiled into once."""
    return tmp_path_factory.mktemp("nvml")


def environment(scenario: Path, library: Path) -> dict[str, str]:
    """The environment of a worker that finds the scripted driver."""
    return {**os.environ, **fake_nvml_environment(scenario, library)}


def shipped_scenario(name: str) -> Path:
    """A scenario that travels with SparkPlug."""
    return shipped("config") / "scenarios" / f"{name}.scenario"


async def readings(source: GpuSource) -> AsyncIterator[GpuReading]:
    """Readings ten times a second."""
    while True:
        yield await source.read()
        await asyncio.sleep(0.1)


async def first(
    source: GpuSource, wanted: Callable[[GpuReading], bool], deadline: float = 15.0
) -> GpuReading:
    """The first reading that is as wanted."""
    async with asyncio.timeout(deadline), aclosing(readings(source)) as all_readings:  # type: ignore[type-var]
        async for reading in all_readings:
            if wanted(reading):
                return reading
    raise AssertionError("no reading")


def answered(reading: GpuReading) -> bool:
    """True once the driver answers."""
    return reading.driver.state is DriverState.OK


async def test_eight_gpus_are_read_in_full(library: Path) -> None:
    source = GpuSource(environment=environment(shipped_scenario("eight-gpus"), library))
    try:
        reading = await first(source, answered)
        assert [gpu.index for gpu in reading.gpus] == list(range(8))
        assert len({gpu.uuid for gpu in reading.gpus}) == 8
        assert reading.driver.simulated is True
        assert reading.driver.version == "580.95.05"
        gpu = reading.gpus[0]
        assert gpu.name == "NVIDIA H100 80GB HBM3"
        assert gpu.memory is not None
        assert gpu.memory.total_bytes == 80 << 30
        assert 71 << 30 <= gpu.memory.used_bytes <= 75 << 30
        assert gpu.power_limit_watts == 700
        assert gpu.utilization_percent is not None
        assert 0 <= gpu.utilization_percent <= 100
        assert gpu.processes[0].name
        assert gpu.processes[0].used_bytes == 71 << 30
        assert "hardware thermal slowdown" in reading.gpus[3].clock_event_reasons
    finally:
        await source.close()


async def test_xid_79_comes_and_the_gpu_is_lost_but_keeps_its_name(library: Path) -> None:
    source = GpuSource(environment=environment(shipped_scenario("throttle-xid79"), library))
    try:
        reading = await first(source, lambda r: any(x.xid == 79 for x in r.xids))
        assert reading.xids[-1].gpu == 1
        assert "bus" in reading.xids[-1].meaning
        reading = await first(
            source, lambda r: len(r.gpus) > 1 and r.gpus[1].state is GpuState.LOST
        )
        assert reading.gpus[1].name == "NVIDIA H100 80GB HBM3"
        assert reading.gpus[1].utilization_percent is None
        assert reading.gpus[0].state is GpuState.OK
    finally:
        await source.close()


async def test_what_a_device_does_not_support_is_none_and_never_zero(library: Path) -> None:
    source = GpuSource(environment=environment(shipped_scenario("gb10"), library))
    try:
        gpu = (await first(source, answered)).gpus[0]
        assert gpu.memory is None
        assert gpu.power_limit_watts is None
        assert gpu.utilization_percent is not None
    finally:
        await source.close()


async def test_a_driver_that_hangs_freezes_nobody_and_recovers(
    library: Path, tmp_path: Path
) -> None:
    hanging = shipped_scenario("hang").read_text()
    scenario = tmp_path / "changing.scenario"
    scenario.write_text(hanging)
    source = GpuSource(environment=environment(scenario, library), deadline=0.3)
    try:
        await first(source, answered)
        reading = await first(
            source, lambda r: r.driver.state is DriverState.NOT_RESPONDING, deadline=20
        )
        assert reading.driver.age_seconds is not None
        assert reading.gpus[0].name, "the GPUs keep their names"
        assert reading.gpus[0].utilization_percent is None
        async with asyncio.timeout(10):
            await source.read()
        scenario.write_text(shipped_scenario("healthy").read_text())
        assert (await first(source, answered, deadline=40)).gpus[0].utilization_percent is not None
    finally:
        await source.close()


async def test_a_host_without_a_driver_is_a_state_and_not_an_error() -> None:
    source = GpuSource()
    try:
        reading = await first(source, lambda r: r.driver.state is not DriverState.STARTING)
        if reading.driver.state is DriverState.OK:
            pytest.skip("this host has an NVIDIA driver")
        assert reading.driver.state is DriverState.NO_DRIVER
        assert reading.driver.reason
        assert reading.gpus == []
    finally:
        await source.close()


async def test_a_library_without_its_kernel_module_is_no_driver(
    library: Path, tmp_path: Path
) -> None:
    scenario = tmp_path / "unloaded.scenario"
    scenario.write_text("init driver_not_loaded\n")
    source = GpuSource(environment=environment(scenario, library))
    try:
        reading = await first(source, lambda r: r.driver.state is not DriverState.STARTING)
        assert reading.driver.state is DriverState.NO_DRIVER
        assert reading.driver.reason == "Driver Not Loaded"
        began = asyncio.get_running_loop().time()
        assert (await source.read()).driver.state is DriverState.NO_DRIVER
        assert asyncio.get_running_loop().time() - began < 0.05, "it is not looked for each time"
        assert source._worker is None, "no process is kept for a driver that is not there"
    finally:
        await source.close()


async def test_a_worker_stuck_in_the_driver_ends_with_its_parent(
    library: Path, tmp_path: Path
) -> None:
    scenario = tmp_path / "stuck.scenario"
    scenario.write_text("gpu stuck\nutilization 5\nblocked 3600\n")
    worker = await asyncio.create_subprocess_exec(
        *WORKER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment(scenario, library),
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(b'{"id":1,"xids_after":0}\n')
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.stdout.readline(), 1.0)
    worker.stdin.close()
    assert await asyncio.wait_for(worker.wait(), 5.0) == 0


async def test_a_stand_in_is_marked_simulated_while_its_worker_starts_again(
    library: Path, tmp_path: Path
) -> None:
    scenario = tmp_path / "stuck.scenario"
    scenario.write_text("gpu first\nutilization 5\n")
    source = GpuSource(environment=environment(scenario, library), deadline=0.2)
    try:
        await first(source, answered)
        scenario.write_text("gpu first\nutilization 5\nblocked 3600\n")
        worker = source._worker
        assert worker is not None
        worker.kill()
        await first(source, lambda r: not answered(r))
        reading = await first(source, lambda r: r.driver.state is DriverState.STARTING)
        assert reading.driver.simulated is True
    finally:
        await source.close()


def test_without_a_compiler_the_error_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from sparkplug.telemetry.gpu.fake.build import NoCompilerError, build_fake_nvml\n"
        "try: build_fake_nvml(Path(sys.argv[1]))\n"
        "except NoCompilerError as error: print(error)\n"
    )
    bare = {k: v for k, v in os.environ.items() if k != "CC"} | {"PATH": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=bare,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "needs a C compiler" in said.stdout
    assert "apt-get install gcc" in said.stdout


async def test_a_worker_that_is_killed_is_replaced(library: Path) -> None:
    source = GpuSource(environment=environment(shipped_scenario("healthy"), library))
    try:
        await first(source, answered)
        worker = source._worker
        assert worker is not None
        worker.kill()
        await first(source, lambda r: not answered(r))
        await first(source, answered, deadline=30)
        assert source._worker is not None
        assert source._worker.pid != worker.pid
    finally:
        await source.close()
