"""A log's text on the disk: lines by their numbers, whatever comes at either end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparkplug.tui.filter import Filter
from sparkplug.tui.widgets.log_view.scan import Scan
from sparkplug.tui.widgets.log_view.spool import Spool


def some(chance: random.Random, longest: int) -> bytes:
    """A piece of a log: short and long lines, some of them not ended."""
    found = b""
    for _ in range(chance.randint(0, 60)):
        size = longest if chance.random() < 0.02 else chance.choice((0, 1, 3, 5, 50, 200))
        found += bytes([chance.choice(b"ab")]) * size + (b"\n" if chance.random() < 0.8 else b"")
    return found


def lines_of(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    return lines if lines[-1] else lines[:-1]


@pytest.mark.parametrize("seed", range(40))
async def test_every_line_is_found(seed: int) -> None:
    chance = random.Random(seed)
    spool, text = Spool(), b""
    for _ in range(chance.randint(1, 30)):
        piece = some(chance, 70_000)
        if chance.random() < 0.8:
            spool.append(piece)
            text += piece
        else:
            spool.prepend(piece)
            text = piece + text
    await spool.settle()
    lines, limit = lines_of(text), chance.choice((10, 1000, 16384))
    found = spool.lines(spool.first, 1 << 40, limit)
    assert [line.size for line in found] == [len(line) for line in lines]
    assert [line.head for line in found] == [line[:limit] for line in lines]
    for _ in range(20 if lines else 0):
        at, count = chance.randrange(len(lines)), chance.randint(1, 80)
        found = spool.lines(spool.first + at, count, limit)
        assert [line.head for line in found] == [line[:limit] for line in lines[at : at + count]]
        assert spool.read(found[0].start, found[0].size) == lines[at]
    spool.close()


@pytest.mark.parametrize("seed", range(40))
async def test_what_matches_is_kept_up_to_date(seed: int) -> None:
    chance = random.Random(seed)
    wanted = Filter(chance.choice(("ab", "!ab", "b{3}", "^a", "")))
    spool, text = Spool(), b""
    began, scan = chance.randint(0, 5), None
    for at in range(12):
        if at == began:
            scan = Scan(spool, wanted, lambda: None)
        piece = some(chance, 300_000)
        if chance.random() < 0.8:
            spool.append(piece)
            text += piece
        else:
            spool.prepend(piece)
            text = piece + text
        await asyncio.sleep(0)
    assert scan is not None
    await spool.settle()
    expected = [
        spool.first + at
        for at, line in enumerate(lines_of(text))
        if wanted.takes(line.decode()[: (1 << 20) if wanted.plain else (8 << 10)])
    ]
    async with asyncio.timeout(60):
        while [scan[at] for at in range(len(scan))] != expected or scan.share < 1:
            await asyncio.sleep(0.01)
    for at, line in enumerate(expected):
        assert scan.at(line) == at
    spool.close()


async def test_only_so_much_is_kept(seed: int = 3) -> None:
    chance = random.Random(seed)
    spool, text = Spool(limit=400_000), b""
    for _ in range(300):
        piece = some(chance, 5000)
        spool.append(piece)
        text += piece
        await spool.settle()
        lines = lines_of(text)
        assert spool.stop == len(lines)
        start, end = spool.bounds
        assert end == len(text)
        assert end - start <= 400_000
        assert [line.head for line in spool.lines(spool.first, 1 << 40, 1 << 20)] == lines[
            spool.first :
        ]
    assert spool.dropped
    spool.append(b"x" * 1_000_000)
    await spool.settle()
    assert spool.bounds[1] - spool.bounds[0] <= 400_000, "one line longer than all that is kept"
    spool.close()


_OPENS = """
import asyncio, os, sys
from sparkplug.tui.widgets.log_view.spool import Spool
async def main():
    spool = Spool()
    spool.append(b"a line of the log\\n" * 1000)
    spool.prepend(b"a line before\\n" * 1000)
    await spool.settle()
    links = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if
             os.path.islink(f"/proc/self/fd/{n}")]
    modes = [oct(os.fstat(f._descriptor).st_mode & 0o777) for f in (spool._after, spool._before)]
    ours = [link for link in links if link.startswith(os.environ["TMPDIR"])]
    print(len(ours), *modes, flush=True)
    if sys.argv[1] == "close":
        spool.close()
        return
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to see open files")
@pytest.mark.parametrize("end", ["close", "kill"])
def test_nothing_is_left_on_the_disk(tmp_path: Path, end: str) -> None:
    command = [sys.executable, "-P", "-c", _OPENS, end]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline().split()
        assert said == ["2", "0o600", "0o600"], "two files without a name, for this user alone"
        assert not list(tmp_path.iterdir())
        if end == "kill":
            process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert not list(tmp_path.iterdir())


async def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool()
    spool.append(b"one\n")
    await spool.settle()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    spool.append(b"two\n")
    await spool.settle()
    assert "No space left" in spool.problem
    assert [line.head for line in spool.lines(0, 9, 99)] == [b"one"]
    spool.close()


async def test_closing_ends_the_threads() -> None:
    import threading

    before = threading.active_count()
    spool = Spool()
    scan = Scan(spool, Filter("x"), lambda: None)
    spool.append(b"x\n")
    await spool.settle()
    spool.close()
    until = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < until:
        await asyncio.sleep(0.01)
    assert threading.active_count() <= before
    assert spool.lines(0, 9, 9) == []
    scan.end()
