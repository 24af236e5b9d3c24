"""What the table costs with 100,000 rows, beside Textual's own DataTable on the same screen."""

from __future__ import annotations

import asyncio
import gc
import os
import pty
import random
import select
import struct
import subprocess
import sys
import termios
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from fcntl import ioctl
from typing import Any

from textual.app import App, ComposeResult
from textual.widgets import DataTable

from bench.figures import Figure, p50
from sparkplug.tui.gallery import large_table
from sparkplug.tui.looks import Looks
from sparkplug.tui.screen.writer import PaintedApp
from sparkplug.tui.themes import DEFAULT, Terminal, load_themes
from sparkplug.tui.widgets.table import Table

_SIZE = (160, 50)
_TIMES = 5
_FIRE_S = 8.0
_CHANGES = 1000
#: Arrays against lists, as the design's prototype had them: 12 MiB and 44.
_MEMORY_RATIO = 12 / 44
_PEER = "DataTable"


class Ours(Looks, PaintedApp):
    """The table alone."""

    def __init__(self) -> None:
        super().__init__(themes=load_themes()[0], terminal=Terminal())
        self.theme = DEFAULT
        self.table = Table(large_table.columns(), title="rows")

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours the table names."""
        return dict(self.themes[DEFAULT].variables) if hasattr(self, "themes") else {}

    def compose(self) -> ComposeResult:
        """The table."""
        yield self.table

    def fill(self) -> None:
        """100,000 rows."""
        self.table.set_rows(range(large_table.COUNT))
        self.table.flush()

    def change(self, number: int, value: float) -> None:
        """One cell."""
        self.table.change(str(number), "share", value)

    async def sort(self, name: str) -> None:
        """Sort, and wait until it is."""
        self.table.sort(name)
        while self.table._busy:
            await asyncio.sleep(0)


class Theirs(App[None]):
    """The stock table alone."""

    def __init__(self) -> None:
        super().__init__()
        self.table: DataTable[Any] = DataTable()
        self._columns = large_table.columns()

    def compose(self) -> ComposeResult:
        """The table."""
        yield self.table

    def fill(self) -> None:
        """100,000 rows."""
        for column in self._columns:
            self.table.add_column(column.name, key=column.name)
        for number in range(large_table.COUNT):
            cells = [column.value(number) for column in self._columns]
            self.table.add_row(*cells, key=str(number))

    def change(self, number: int, value: float) -> None:
        """One cell."""
        self.table.update_cell(str(number), "share", value)

    async def sort(self, name: str) -> None:
        """Sort."""
        self.table.sort(name)


async def _timed(what: Callable[[], Awaitable[None] | None]) -> float:
    began = time.perf_counter()
    waiting = what()
    if waiting is not None:
        await waiting
    return time.perf_counter() - began


async def _speeds(made: type[Ours] | type[Theirs], times: int) -> dict[str, float]:
    """Seconds to open, to sort by a text and by a number, and the longest the loop was held."""
    found: dict[str, list[float]] = {"open": [], "text": [], "number": [], "held": [0.0]}
    for _ in range(times):
        app = made()
        async with app.run_test(size=_SIZE) as pilot:
            gc.collect()
            found["open"].append(await _timed(lambda app=app: app.fill()))  # type: ignore[misc]
            await pilot.pause()
            held = asyncio.create_task(_longest())
            await asyncio.sleep(0)
            found["text"].append(await _timed(lambda app=app: app.sort("name")))  # type: ignore[misc]
            found["number"].append(await _timed(lambda app=app: app.sort("memory")))  # type: ignore[misc]
            held.cancel()
            found["held"].append(await held)
    return {name: p50(values) for name, values in found.items()}


async def _longest() -> float:
    longest, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return max(longest, time.perf_counter() - last)


def _memory(made: type[Ours] | type[Theirs]) -> float:
    """MiB that 100,000 rows take, without the arrays their values stand in."""

    async def fill() -> float:
        app = made()
        async with app.run_test(size=_SIZE):
            gc.collect()
            tracemalloc.start()
            app.fill()
            gc.collect()
            size = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            return size / 2**20

    return asyncio.run(fill())


def _under_fire(name: str) -> tuple[float, float]:
    """CPU % and bytes a second of a process in a pty, while 1,000 cells change a second."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _SIZE[1], _SIZE[0], 0, 0))
    size = [0]

    def read() -> None:
        while not done.is_set():
            if select.select([master], [], [], 0.1)[0]:
                try:
                    size[0] += len(os.read(master, 1 << 16))
                except OSError:
                    return

    done = threading.Event()
    reader = threading.Thread(target=read)
    reader.start()
    told, teller = os.pipe()
    environ = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    child = subprocess.Popen(
        [sys.executable, "-P", __file__, name, str(teller)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        pass_fds=[teller],
        env={**environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    os.close(teller)
    os.close(slave)
    try:
        with os.fdopen(told) as answers:
            answers.readline()
            before = size[0]
            cpu = float(answers.readline())
            return 100 * cpu / _FIRE_S, (size[0] - before) / _FIRE_S
    finally:
        child.kill()
        child.wait()
        done.set()
        reader.join()
        os.close(master)


async def _fire(app: Ours | Theirs, teller: int) -> None:
    await asyncio.sleep(1.0)
    app.fill()
    await asyncio.sleep(3.0)
    gc.collect()
    gc.freeze()
    chance = random.Random(1)
    os.write(teller, b"begin\n")
    before, began = time.process_time(), time.monotonic()
    sent = 0
    # One in ten is of a row in sight.
    while (passed := time.monotonic() - began) < _FIRE_S:
        for _ in range(int(passed * _CHANGES) - sent):
            rows = 46 if sent % 10 == 0 else large_table.COUNT
            app.change(chance.randrange(rows), chance.randrange(1000) / 10)
            sent += 1
        await asyncio.sleep(0.05)
    os.write(teller, f"{time.process_time() - before}\n".encode())


def run() -> list[Figure]:
    """All figures of this file."""
    ours, theirs = asyncio.run(_speeds(Ours, _TIMES)), asyncio.run(_speeds(Theirs, 1))
    fire, stock = _under_fire("ours"), _under_fire("theirs")
    mine, its = _memory(Ours), _memory(Theirs)

    def beside(name: str, key: str, bar: float) -> Figure:
        return Figure(name, 1000 * ours[key], "ms", bar, _PEER, 1000 * theirs[key])

    return [
        beside("table: 100,000 rows opened", "open", 100),
        beside("table: sorted by text, p50", "text", 200),
        beside("table: sorted by number, p50", "number", 200),
        beside("table: longest turn of the loop meanwhile", "held", 50),
        Figure("table: 1,000 cells a second: CPU", fire[0], "%", 5, _PEER, stock[0]),
        Figure(
            "table: 1,000 cells a second: written",
            fire[1] / 1000,
            "kB/s",
            12,
            _PEER,
            stock[1] / 1000,
        ),
        Figure("table: memory of 100,000 rows", mine, "MiB", None, _PEER, its, _MEMORY_RATIO),
    ]


def main() -> None:
    """One of the two, under fire, in this terminal."""
    app: Ours | Theirs = Ours() if sys.argv[1] == "ours" else Theirs()
    teller = int(sys.argv[2])
    app.call_later(lambda: app.run_worker(_fire(app, teller)))
    app.run()


if __name__ == "__main__":
    main()
