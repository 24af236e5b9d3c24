"""What a host keeps of how it went: rings that survive a kill, and one query of windows."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sparkplug.schema.errors import InvalidError
from sparkplug.schema.gpu import Driver, DriverState, Gpu
from sparkplug.schema.history import HistoryRequest
from sparkplug.schema.host import Cpu, HostSample, Memory
from sparkplug.telemetry.history.query import answer
from sparkplug.telemetry.history.ring import Ring
from sparkplug.telemetry.history.samples import SampleFiles
from sparkplug.telemetry.history.store import History
from sparkplug.telemetry.history.tiers import RESOLUTIONS, Tiers

MIB = 1 << 20
NOW = 1_800_000_000.0


def sample(at: float, *, cpu: float = 10.0, watts: float = 500.0) -> HostSample:
    """A sample of a host with one GPU."""
    return HostSample(
        host="here",
        sequence=1,
        time=datetime.fromtimestamp(at, UTC),
        uptime_seconds=1,
        cpu=Cpu(percent=cpu, user_percent=0, system_percent=0, cores=2, load1=0, load5=0, load15=0),
        memory=Memory(total_bytes=100, available_bytes=75),
        driver=Driver(state=DriverState.OK),
        gpus=[Gpu(index=0, uuid="GPU-0", name="any", power_watts=watts)],
    )


def asked(seconds: float, until: float, *series: str, points: int = 300) -> HistoryRequest:
    """A request for a window that ends at a moment."""
    return HistoryRequest(
        seconds=seconds,
        until=datetime.fromtimestamp(until, UTC),
        series=list(series),
        points=points,
    )


def test_a_ring_keeps_the_newest_and_is_read_again_by_another(tmp_path: Path) -> None:
    path = tmp_path / "a.ring"
    ring = Ring(path, 10, MIB)
    for number in range(25):
        ring.append(NOW + number, {"a": number, "b": None})
    times, (first, second, none) = ring.read(NOW + 16, NOW + 99, ["a", "b", "no such"])
    assert times == [NOW + n for n in range(17, 25)]
    assert first == list(range(17, 25))
    assert all(map(math.isnan, [*second, *none]))
    size = path.stat().st_size
    ring.close()
    again = Ring(path, 10, MIB)
    again.append(NOW + 25, {"a": 25})
    assert again.oldest == NOW + 16
    assert again.read(0, NOW + 99, ["a"])[1] == [list(range(16, 26))]
    assert path.stat().st_size == size, "a ring does not grow"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again.close()


def test_a_ring_takes_more_columns_and_stays_within_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.ring"
    most = 200_000
    ring = Ring(path, 100_000, most)
    for number in range(3000):
        ring.append(NOW + number, {"a": number})
    narrow = len(ring.read(0, NOW + 1e6, ["a"])[0])
    assert path.stat().st_size <= most
    for number in range(3000, 3010):
        ring.append(NOW + number, {f"gpu{n}": n for n in range(40)} | {"a": number})
    times, (first, last) = ring.read(0, NOW + 1e6, ["a", "gpu39"])
    assert first == [time - NOW for time in times]
    assert times[-1] == NOW + 3009
    assert [v for v in last if v == v] == [39.0] * 10
    assert len(times) < narrow
    assert path.stat().st_size <= most
    ring.close()


def test_a_record_that_was_cut_off_is_not_there_and_the_rest_is(tmp_path: Path) -> None:
    path = tmp_path / "a.ring"
    ring = Ring(path, 10, MIB)
    for number in range(5):
        ring.append(NOW + number, {"a": number})
    ring.close()
    with path.open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"\xff\xff\xff")
    again = Ring(path, 10, MIB)
    assert again.read(0, NOW + 99, ["a"])[1] == [[0, 1, 2, 3]]
    again.append(NOW + 5, {"a": 5})
    assert again.read(0, NOW + 99, ["a"])[1] == [[0, 1, 2, 3, 5]]
    again.close()


@pytest.mark.parametrize(
    "rubbish", [b"", b"no ring", b"SPRING\x01\n\xff\xff\xff\xff{}", b"\0" * 99]
)
def test_a_file_that_is_no_ring_is_set_aside(rubbish: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.ring"
    path.write_bytes(rubbish)
    ring = Ring(path, 10, MIB)
    ring.append(NOW, {"a": 1})
    assert ring.read(0, NOW, ["a"]) == ([NOW], [[1]])
    ring.close()
    aside = tmp_path / "a.unreadable"
    assert aside.exists() == bool(rubbish)


WRITER = """
import sys, itertools
from pathlib import Path
from sparkplug.telemetry.history.tiers import Tiers
tiers = Tiers(Path(sys.argv[1]), period=1.0, most_bytes=8 << 20)
for number in itertools.count():
    tiers.add(1.8e9 + number, {f"c{n}": number for n in range(20)})
    if number == 2000:
        print("going", flush=True)
"""


def test_a_writer_that_is_killed_leaves_whole_records(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "going\n"
        writer.send_signal(signal.SIGKILL)
    tiers = Tiers(tmp_path, period=1.0, most_bytes=8 << 20)
    times, means, _, _ = tiers.read(RESOLUTIONS[0], 0, NOW * 2, ["c0", "c19"])
    assert len(times) > 1500
    assert means[0] == means[1] == [time - NOW for time in times]
    assert times == sorted(times)
    tiers.close()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Tiers:
    """Two days of a host: CPU 50, but 100 for a second each minute; 300 W, a gap of an hour."""
    tiers = Tiers(tmp_path_factory.mktemp("long"), period=1.0, most_bytes=64 << 20)
    for second in range(0, 2 * 86400, 5):
        if 40 <= second / 3600 < 41:
            continue
        cpu = 100.0 if second % 60 == 0 else 50.0
        tiers.add(
            NOW + second, {"cpu": cpu, "gpu/GPU-0/drawn": 300.0, "gpu/GPU-0/busy": second / 1728}
        )
    return tiers


END = NOW + 2 * 86400


def test_the_ring_that_fits_the_window_is_read(long: Tiers) -> None:
    for window, points, kept in ((600, 300, 1.0), (6 * 3600, 2000, 10.0), (2 * 86400, 300, 60.0)):
        request = asked(window, END, "cpu", points=points)
        reply = answer(long, "here", request, [], simulated=False)
        assert reply.kept_seconds == kept
        assert len(reply.times) <= points
        (cpu,) = reply.series
        assert len(cpu.means) == len(reply.times)
        assert cpu.maximum == 100
        assert cpu.mean == pytest.approx(54.2, abs=0.5)
        assert cpu.unit == "%"


def test_energy_counts_what_was_measured_alone(long: Tiers) -> None:
    gpus = [Gpu(index=3, uuid="GPU-0", name="H100")]
    reply = answer(long, "here", asked(2 * 86400, END, "cpu"), gpus, simulated=False)
    (gpu,) = reply.energy
    assert (gpu.index, gpu.mean_watts) == (3, 300)
    assert gpu.measured_seconds == pytest.approx(47 * 3600, rel=0.01)
    assert gpu.kilowatt_hours == pytest.approx(0.3 * 47, rel=0.01)
    assert reply.kilowatt_hours == gpu.kilowatt_hours
    assert [series.name for series in reply.series] == ["cpu"]


def test_a_minute_that_was_measured_in_part_counts_for_that_part(tmp_path: Path) -> None:
    tiers = Tiers(tmp_path, period=1.0, most_bytes=16 * MIB)
    begin = NOW // 60 * 60 + 45
    for second in range(90):
        tiers.add(begin + second + 1, {"gpu/GPU-0/drawn": 360.0})
    for seconds, points in ((3600, 60), (3600, 360), (3600, 3600)):
        reply = answer(
            tiers, "here", asked(seconds, begin + 90, "cpu", points=points), [], simulated=False
        )
        assert reply.energy[0].measured_seconds == pytest.approx(90, abs=1), points
        assert reply.kilowatt_hours == pytest.approx(0.36 * 90 / 3600, rel=0.02)
    tiers.close()


def test_a_time_in_which_nothing_was_measured_is_null(long: Tiers) -> None:
    begin = NOW + 39.5 * 3600
    reply = answer(
        long, "here", asked(7200, begin + 7200, "gpu/*/busy", points=8), [], simulated=False
    )
    (busy,) = reply.series
    assert busy.name == "gpu/GPU-0/busy"
    assert [value is None for value in busy.means] == [False] * 2 + [True] * 4 + [False] * 2


def test_a_moment_is_asked_as_a_window_of_one_point(long: Tiers) -> None:
    at = NOW + 3 * 3600
    reply = answer(long, "here", asked(60, at, "gpu/*/busy", points=1), [], simulated=False)
    (busy,) = reply.series
    assert busy.means == [pytest.approx(3 * 3600 / 1728, rel=0.02)]


async def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    now = datetime.now(UTC).timestamp()
    before = History("here", tmp_path, period=1.0, most_bytes=16 * MIB)
    for second in range(300, 0, -1):
        one = sample(now - second, cpu=second % 7, watts=360.0)
        before.add(one, one.model_dump_json(exclude_none=True).encode())
    before.close()
    after = History("here", tmp_path, period=1.0, most_bytes=16 * MIB)
    reply = await after.query(HistoryRequest(seconds=600, series=["cpu"]))
    assert reply.series[0].maximum == 6
    assert reply.energy[0].kilowatt_hours == pytest.approx(0.36 * 300 / 3600, rel=0.02)
    window = await after.window(240)
    assert 230 <= len(window) <= 241
    assert [s.time for s in window] == sorted(s.time for s in window)
    assert window[-1].gpus[0].power_watts == 360
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


async def test_without_a_folder_a_window_is_what_is_at_hand() -> None:
    history = History("here", None, period=1.0, most_bytes=0)
    history.add(sample(NOW), b"{}")
    assert len(await history.window(3600)) == 1
    with pytest.raises(InvalidError, match="keeps no history"):
        await history.query(HistoryRequest())


async def test_a_disk_that_refuses_costs_no_sample(tmp_path: Path) -> None:
    blocked = tmp_path / "history"
    blocked.write_text("a file where the folder should be")
    history = History("here", blocked, period=1.0, most_bytes=MIB)
    history.add(sample(NOW), b"{}")
    await asyncio.to_thread(history.close)
    assert len(await history.window(60)) == 1


def test_whole_samples_are_kept_for_an_hour_and_within_their_bytes(tmp_path: Path) -> None:
    files = SampleFiles(tmp_path, most_bytes=400_000)
    for minute in range(180):
        at = NOW + 60 * minute
        for second in range(5):
            body = sample(at + second, cpu=second).model_dump_json().encode()
            files.append(at + second, body)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 400_000
    end = NOW + 60 * 179
    found = files.read(end - 1, end + 60)
    assert [s.cpu.percent for s in found] == list(range(5))
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-5])
    assert len(files.read(end - 1, end + 60)) == 4
    assert found[0].time == datetime.fromtimestamp(end, UTC) + timedelta(0)
