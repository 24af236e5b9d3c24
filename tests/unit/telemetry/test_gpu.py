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

from sparkplug.schema.errors import RefusedError
from sparkplug.schema.host import DriverState, GpuState
from sparkplug.shipped import shipped
from sparkplug.telemetry.gpu.client import GpuSource
from sparkplug.telemetry.gpu.fake.environment import fake_nvml_environment
from sparkplug.telemetry.gpu.holders import agent_of, container_of, slurm_job_of
from sparkplug.telemetry.gpu.pipe import WORKER
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
    source: GpuSource, wanted: Callable[[GpuReading], bool], deadline: float = 60.0
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
        assert gpu.unified_memory
        assert gpu.power_limit_watts is None
        assert gpu.utilization_percent is not None
        assert (gpu.fan_percent, gpu.nvlink, gpu.gpm) == (None, None, None)
    finally:
        await source.close()


async def test_a_driver_that_hangs_freezes_nobody_and_recovers(
    library: Path, tmp_path: Path
) -> None:
    hanging = shipped_scenario("frozen").read_text()
    scenario = tmp_path / "changing.scenario"
    scenario.write_text(hanging)
    source = GpuSource(environment=environment(scenario, library), succeed_after=0.5)
    try:
        await first(source, answered)
        reading = await first(source, lambda r: r.driver.state is DriverState.NOT_RESPONDING)
        assert reading.driver.age_seconds is not None
        assert reading.gpus[0].state is GpuState.STALE
        assert reading.gpus[0].age_seconds is not None
        assert reading.gpus[0].name, "the GPUs keep their names"
        assert reading.gpus[0].utilization_percent is None
        async with asyncio.timeout(60):
            await source.read()
        scenario.write_text(shipped_scenario("healthy").read_text())
        assert (await first(source, answered)).gpus[0].utilization_percent is not None
    finally:
        await source.close()


async def test_one_gpu_that_hangs_is_stale_and_the_rest_goes_on(
    library: Path, tmp_path: Path
) -> None:
    scenario = tmp_path / "hang.scenario"
    text = shipped_scenario("hang").read_text()
    assert "hang power 5 60" in text
    scenario.write_text(text.replace("hang power 5 60", "hang power 1 6"))
    source = GpuSource(environment=environment(scenario, library), succeed_after=100)
    try:
        await first(source, answered)
        worker = source._worker
        stale = await first(source, lambda r: r.gpus[2].state is GpuState.STALE)
        assert stale.driver.state is DriverState.OK
        assert stale.gpus[2].age_seconds is not None
        assert stale.gpus[2].name == "NVIDIA H100 80GB HBM3"
        assert stale.gpus[2].memory is None
        assert not stale.gpus[2].unified_memory
        energy = [gpu.energy_joules for gpu in stale.gpus]
        later = await first(source, lambda r: r.gpus[3].energy_joules != energy[3])
        assert later.gpus[2].state is GpuState.STALE
        again = await first(source, lambda r: r.gpus[2].state is GpuState.OK)
        assert again.gpus[2].power_watts is not None
        assert source._worker is worker, "nobody was replaced for it"
    finally:
        await source.close()


async def test_another_worker_takes_over_when_it_gets_through(
    library: Path, tmp_path: Path
) -> None:
    scenario = tmp_path / "hang.scenario"
    text = shipped_scenario("hang").read_text()
    scenario.write_text(text.replace("hang power 5 60", "hang power 0.5 3600"))
    source = GpuSource(environment=environment(scenario, library), succeed_after=0.3)
    try:
        await first(source, lambda r: answered(r) and r.gpus[2].state is GpuState.STALE)
        stuck = source._worker
        assert stuck is not None
        # The driver is well again, for who asks anew: the call that hangs still does.
        scenario.write_text(text.replace("hang power 5 60", ""))
        reading = await first(
            source, lambda r: answered(r) and r.gpus[2].state is GpuState.OK, deadline=60
        )
        assert reading.gpus[2].power_watts is not None
        assert source._worker is not None
        assert source._worker.process.pid != stuck.process.pid
        assert await asyncio.wait_for(stuck.process.wait(), 10) != 0
    finally:
        await source.close()


def has(*what: str) -> Callable[[GpuReading], bool]:
    """A reading in which the first GPU has these fields."""
    return lambda r: answered(r) and all(getattr(r.gpus[0], name) is not None for name in what)


async def test_links_fabric_memory_and_activity_are_read_at_their_beats(library: Path) -> None:
    source = GpuSource(environment=environment(shipped_scenario("h100-nvlink"), library))
    try:
        await first(source, has("pcie", "nvlink", "gpm"))
        reading = await first(
            source,
            lambda r: bool(r.gpus[7].nvlink and r.gpus[7].nvlink.receive_bytes_per_second),
        )
        gpu = reading.gpus[0]
        assert (gpu.pcie, gpu.nvlink, gpu.gpm, gpu.fabric) != (None,) * 4
        assert gpu.pcie is not None
        assert (gpu.pcie.generation, gpu.pcie.width, gpu.pcie.bus_id) == (5, 16, "00000000:1B:00.0")
        assert (gpu.pcie.receive_bytes_per_second or 0) > 1e9
        assert gpu.nvlink is not None
        assert (gpu.nvlink.links, gpu.nvlink.active) == (18, 18)
        assert (gpu.nvlink.version, gpu.nvlink.remote) == ("4.0", "switch")
        assert gpu.nvlink.speed_bytes_per_second == 25e9
        assert (gpu.nvlink.receive_bytes_per_second or 0) > 1e11
        assert gpu.gpm is not None
        assert 40 <= (gpu.gpm.tensor_percent or 0) <= 80
        assert gpu.fabric is not None
        assert (gpu.fabric.state, gpu.fabric.health) == ("completed", "healthy")
        assert gpu.temperature_memory_celsius is not None
        assert gpu.temperature_margin_celsius == 87 - (gpu.temperature_celsius or 0)
        assert (gpu.power_limit_min_watts, gpu.power_limit_default_watts) == (200, 700)
        assert (gpu.performance_state, gpu.compute_mode, gpu.persistence) == ("P0", "default", True)
        assert (gpu.ecc_enabled, gpu.ecc_corrected_aggregate) == (True, 3)
        assert (gpu.remapped_rows_corrected, gpu.remapped_rows_failed) == (0, False)
        assert gpu.retired_pages_single_bit is None, "an H100 remaps rows and retires no pages"
        assert (gpu.encoder_percent, gpu.mig_enabled, gpu.mig_devices) == (0, False, [])
        assert (gpu.compute_capability, gpu.cores, gpu.vbios) == ("9.0", 16896, "96.00.89.00.01")
        assert [g.numa_node for g in reading.gpus] == [0, 0, 0, 0, 1, 1, 1, 1]
    finally:
        await source.close()


async def test_mig_devices_have_their_memory_and_the_whole_no_utilisation(library: Path) -> None:
    source = GpuSource(environment=environment(shipped_scenario("mig"), library))
    try:
        reading = await first(source, lambda r: answered(r) and bool(r.gpus[0].mig_devices))
        sliced, whole = reading.gpus
        assert sliced.utilization_percent is None
        assert [device.name for device in sliced.mig_devices] == ["3g.40gb", "2g.20gb", "1g.10gb"]
        biggest = sliced.mig_devices[0]
        assert biggest.memory is not None
        assert biggest.memory.used_bytes == 21 << 30
        assert biggest.multiprocessors == 60
        assert sliced.memory is not None
        parts = [device.memory.used_bytes for device in sliced.mig_devices if device.memory]
        assert sum(parts) <= sliced.memory.used_bytes, "the whole holds what its parts do"
        assert sliced.processes[0].gpu_instance == biggest.gpu_instance == 1
        assert sliced.processes[0].sm_percent is None
        assert (whole.mig_enabled, whole.mig_devices) == (False, [])
    finally:
        await source.close()


async def test_errors_of_memory_and_the_events_that_tell_of_them(
    library: Path, tmp_path: Path
) -> None:
    scenario = tmp_path / "ecc.scenario"
    text = shipped_scenario("ecc-remap").read_text()
    for later, sooner in ((" 8:", " 0.4:"), (" 9:", " 0.5:"), ("ecc 8", "ecc 0.4")):
        assert later in text
        text = text.replace(later, sooner)
    for line, sooner in (("xid 48 8", "xid 48 0.4"), ("xid 63 9", "xid 63 0.5")):
        text = text.replace(line, sooner)
    scenario.write_text(text.replace("dram_retirement 9", "dram_retirement 0.5"))
    source = GpuSource(environment=environment(scenario, library))
    try:
        reading = await first(
            source,
            lambda r: len(r.events) == 2 and len(r.xids) == 2 and has("nvlink")(r),
        )
        assert [event.kind for event in reading.events] == ["double_bit_ecc", "dram_retirement"]
        assert {event.gpu for event in reading.events} == {1}
        assert [xid.xid for xid in reading.xids] == [48, 63]
        broken = await first(source, lambda r: bool(r.gpus[1].remapped_rows_pending))
        assert broken.gpus[1].ecc_uncorrected_volatile == 2
        assert broken.gpus[1].ecc_uncorrected_aggregate == 3
        assert broken.gpus[1].remapped_rows_uncorrected == 2
        worn = broken.gpus[3]
        assert (worn.retired_pages_single_bit, worn.retired_pages_double_bit) == (4, 0)
        assert worn.nvlink is not None
        assert (worn.nvlink.active, worn.nvlink.inactive) == (17, [0])
        assert worn.fabric is not None
        assert worn.fabric.health == "limited capacity"
    finally:
        await source.close()


@pytest.mark.parametrize(
    ("scenario", "state", "words"),
    [
        ("driver-mismatch", DriverState.ERROR, "reboot, or reload"),
        ("no-permission", DriverState.ERROR, "/dev/nvidiactl"),
        ("no-gpus", DriverState.OK, ""),
    ],
)
async def test_a_driver_that_has_nothing_to_tell_says_why(
    scenario: str, state: DriverState, words: str, library: Path
) -> None:
    source = GpuSource(environment=environment(shipped_scenario(scenario), library))
    try:
        reading = await first(source, lambda r: r.driver.state is not DriverState.STARTING)
        assert reading.driver.state is state
        assert words in (reading.driver.reason or "")
        assert reading.gpus == []
        assert reading.driver.simulated
    finally:
        await source.close()


@pytest.mark.parametrize(
    ("scenario", "count", "index", "reason"),
    [
        ("power-throttle", 8, 2, "software power cap"),
        ("heat-throttle", 8, 5, "hardware thermal slowdown"),
        ("sixteen-gpus", 16, 15, ""),
    ],
)
async def test_why_clocks_are_low_is_told_of_the_gpu_it_holds_for(
    scenario: str, count: int, index: int, reason: str, library: Path
) -> None:
    source = GpuSource(environment=environment(shipped_scenario(scenario), library))
    try:
        reading = await first(source, answered)
        assert len(reading.gpus) == count
        found = {gpu.index for gpu in reading.gpus if reason in gpu.clock_event_reasons}
        assert found == ({index} if reason else set())
    finally:
        await source.close()


async def test_a_power_limit_is_set_where_it_may_be(library: Path) -> None:
    source = GpuSource(environment=environment(shipped_scenario("power-throttle"), library))
    try:
        uuids = [gpu.uuid for gpu in (await first(source, answered)).gpus]
        done = await source.order("power_limit", uuid=uuids[2], watts=650)
        assert done == {"before_watts": 400, "now_watts": 650}
        reading = await first(source, lambda r: r.gpus[2].power_limit_watts == 650)
        assert reading.gpus[1].power_limit_watts == 700
        with pytest.raises(RefusedError, match="200 to 700 W"):
            await source.order("power_limit", uuid=uuids[2], watts=900)
        with pytest.raises(RefusedError, match="only root"):
            await source.order("power_limit", uuid=uuids[1], watts=500)
        with pytest.raises(RefusedError, match="Not Found"):
            await source.order("power_limit", uuid="GPU-no-such", watts=500)
    finally:
        await source.close()


async def test_what_was_accounted_of_processes_that_ended_is_told(
    library: Path, tmp_path: Path
) -> None:
    many = "".join(f"accounted {n} 1GiB from:-{n} to:-1\n" for n in range(100, 120))
    scenario = tmp_path / "accounting.scenario"
    scenario.write_text(
        "gpu on\nutilization 5\naccounting 1\n"
        "accounted 4711 70GiB gpu:93 memory:54 from:-7200.5 to:-3600\n"
        "accounted 4712 8GiB gpu:61 from:-60 to:1.2\n"
        "gpu off\nutilization 5\naccounting 0\naccounted 4713 1GiB to:-1\n"
        "gpu neither\nutilization 5\naccounted 4714 1GiB to:-1\n"
        f"gpu busy\nutilization 5\naccounting 1\n{many}"
    )
    source = GpuSource(environment=environment(scenario, library))
    try:
        reading = await first(source, lambda r: answered(r) and bool(r.gpus[0].accounted))
        on, off, neither, _ = reading.gpus
        assert (on.accounting, on.accounting_buffer) == (True, 4000)
        later, sooner = on.accounted
        assert (later.pid, later.running, later.seconds) == (4712, True, None)
        assert (later.utilization_percent, later.memory_bus_percent) == (61, None)
        assert (sooner.pid, sooner.running, sooner.seconds) == (4711, False, 3600.5)
        assert (sooner.utilization_percent, sooner.memory_bus_percent) == (93, 54)
        assert sooner.max_memory_bytes == 70 << 30
        assert sooner.started is not None
        assert later.started is not None
        assert 7130 < (later.started - sooner.started).total_seconds() < 7150
        assert (off.accounting, off.accounting_buffer, off.accounted) == (False, None, [])
        assert (neither.accounting, neither.accounted) == (None, [])
        reading = await first(source, lambda r: bool(r.gpus[3].accounted))
        assert [account.pid for account in reading.gpus[3].accounted] == list(range(100, 116))
        ended = await first(source, lambda r: r.gpus[0].accounted[:1] != [later])
        assert ended.gpus[0].accounted[0].seconds == pytest.approx(61.2)
    finally:
        await source.close()


async def test_a_lost_gpu_never_looks_unified(library: Path) -> None:
    source = GpuSource(environment=environment(shipped_scenario("throttle-xid79"), library))
    try:
        reading = await first(
            source, lambda r: len(r.gpus) > 1 and r.gpus[1].state is GpuState.LOST
        )
        assert reading.gpus[1].memory is None
        assert not reading.gpus[1].unified_memory
    finally:
        await source.close()


@pytest.mark.parametrize(
    ("groups", "container", "job"),
    [
        (f"0::/system.slice/docker-{'3f' * 32}.scope\n", "docker/3f3f3f3f3f3f", None),
        (f"12:memory:/docker/{'ab' * 32}\n", "docker/abababababab", None),
        (f"0::/user.slice/libpod-{'0c' * 32}.scope/container\n", "podman/0c0c0c0c0c0c", None),
        (
            f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{'de' * 32}.scope",
            "containerd/dededededede",
            None,
        ),
        ("0::/lxc.payload.build/init.scope\n", "lxc/build", None),
        ("0::/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0\n", None, "4711.0"),
        ("9:memory:/slurm/uid_1000/job_88/step_batch\n", None, "88.batch"),
        ("4:cpuset:/slurm/uid_1000/job_88\n", None, "88"),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", None, None),
    ],
)
def test_containers_and_slurm_jobs_are_named_by_their_control_groups(
    groups: str, container: str | None, job: str | None
) -> None:
    assert container_of(groups) == container
    assert slurm_job_of(groups) == job


def test_an_agents_control_group_names_it_whoever_the_parent_is() -> None:
    groups = "0::/user.slice/sparkplug-gpu-1/trainer.0.4711.3/job\n"
    assert agent_of(groups) == "trainer/0"
    assert agent_of("0::/user.slice/sparkplug-gpu-1\n") is None


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
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = tmp_path / "unloaded.scenario"
    scenario.write_text("init driver_not_loaded\n")
    source = GpuSource(environment=environment(scenario, library))
    try:
        reading = await first(source, lambda r: r.driver.state is not DriverState.STARTING)
        assert reading.driver.state is DriverState.NO_DRIVER
        assert reading.driver.reason == "Driver Not Loaded"
        monkeypatch.delattr(GpuSource, "_start")  # it is not looked for each time
        assert (await source.read()).driver.state is DriverState.NO_DRIVER
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
    worker.stdin.write(b'{"id":1,"events_after":0}\n')
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.stdout.readline(), 1.0)
    worker.stdin.close()
    assert await asyncio.wait_for(worker.wait(), 60.0) == 0


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
        worker.process.kill()
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
        worker.process.kill()
        await first(source, lambda r: not answered(r))
        await first(source, answered)
        assert source._worker is not None
        assert source._worker.process.pid != worker.process.pid
    finally:
        await source.close()
