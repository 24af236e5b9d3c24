"""What the kernel counts, beside what psutil reads of the same files."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from sparkplug.telemetry.counters import cpu_shares, read_counters, read_memory, read_whole


def test_processors_and_memory_are_those_that_psutil_reads() -> None:
    before = psutil.cpu_times()
    found = read_counters()
    after = psutil.cpu_times()
    hertz = 100.0
    for kind in ("user", "system", "idle"):
        least, most = getattr(before, kind) - 1, getattr(after, kind) + 1
        assert least <= found.cpu[kind] / hertz <= most, kind
    assert len(found.cores) == psutil.cpu_count()
    assert sum(whole for _, whole in found.cores.values()) > 0
    earlier = psutil.virtual_memory().available
    memory, swap, used = read_memory()
    told = psutil.virtual_memory()
    assert memory.total_bytes == told.total
    margin = 1 << 30
    least, most = sorted((earlier, told.available))
    assert least - margin < memory.available_bytes < most + margin
    assert (swap, used >= 0) == (psutil.swap_memory().total, True)


def test_a_kernel_that_does_not_tell_what_is_available(tmp_path: Path) -> None:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal: 100 kB\nMemFree: 10 kB\nBuffers: 5 kB\nCached: 20 kB\n\n")
    memory, swap, used = read_memory(str(path))
    assert memory.available_bytes == 35 * 1024
    assert (swap, used) == (0, 0)


def test_a_file_larger_than_a_piece_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 300_000)
    assert len(read_whole(str(path))) == 300_000


def test_shares_of_two_readings_stolen_time_is_neither_busy_nor_idle() -> None:
    before = {"user": 100, "nice": 0, "system": 50, "idle": 800, "iowait": 10, "steal": 0}
    after = {"user": 130, "nice": 10, "system": 60, "idle": 830, "iowait": 5, "steal": 20}
    shares = cpu_shares(before, after)
    assert shares == pytest.approx(
        {"busy": 50.0, "user": 40.0, "system": 10.0, "iowait": 0.0, "steal": 20.0}
    )
