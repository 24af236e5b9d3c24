"""The control centre 200 ms and 50 kB/s away, on a crowd: how late what one types and sees is.

The way there and back, which no program can save, is taken off.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from bench.figures import Figure, p50, p95
from bench.pty_meter import Keys, Meter
from bench.screen import ours
from fakes.crowd_process import crowd
from fakes.slow_link import LATENCY_S, over_slow_link
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.client.session import Client
from sparkplug.config import load_settings
from sparkplug.paths import Paths
from sparkplug.schema.agent import AgentState, ObservedAgent

_T = TypeVar("_T")
_SETTLE_S = 8.0
_WATCH_S = 15.0
_TIMES = 30
_PALETTE = Keys([(b"\x10", "❯".encode()), (b"\x1b", b"")])
_LETTER = Keys([(b"Z", b"Z"), (b"\x7f", b"")])
#: To keep up is to be no further behind than a second; the screen is drawn ten times in one.
_BARS_MS = {
    "palette opens": 300.0,
    "letter in the palette": 300.0,
    "newest state of an agent shown": 1000.0,
}


class Marks:
    """An agent that says another word each time; it is the first of the list."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._client = self._do(self._connect())

    def put(self, word: str) -> None:
        """Have it say a word."""
        self._do(self._put(word))

    def close(self) -> None:
        """It says no more."""
        self._do(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _connect(self) -> Client:
        paths = Paths(Path(self._env["SPARKPLUG_HOME"]))
        return await Client.connect(
            url=None, paths=paths, settings=load_settings(environ=self._env)
        )

    async def _put(self, word: str) -> None:
        agent = ObservedAgent(
            name="aaa",
            replica="0",
            runtime="python",
            owner="tester",
            state=AgentState.ERROR,
            reason=word,
        )
        await Bucket(self._client.bus, subjects.BUCKET_OBSERVED).put("agents.aaa.0", agent)


def run() -> list[Figure]:
    """All figures of this file."""
    there_and_back = 2 * LATENCY_S
    with crowd() as env, Meter(over_slow_link(ours()), env) as meter:
        meter.painted()
        meter.read(_SETTLE_S)
        usage = meter.watch(_WATCH_S)
        opens = meter.key_times(_PALETTE, 2 * _TIMES, pause=0.8)[::2]
        # What follows an escape at once is another key.
        meter.read(1.0)
        meter.press(b"\x10")
        meter.read(1.0)
        letters = meter.key_times(_LETTER, 2 * _TIMES, pause=0.6)[::2]
        meter.press(b"\x1b")
        meter.read(1.0)
        marks = Marks(env)
        ages = []
        for number in range(_TIMES):
            word = chr(ord("A") + number % 26) * 8
            meter.read(0.3)
            ages.append(meter.time_of(lambda word=word: marks.put(word), word.encode()))
        marks.close()
    late = {
        "palette opens": [1000 * (t - there_and_back) for t in opens],
        "letter in the palette": [1000 * (t - there_and_back) for t in letters],
        "newest state of an agent shown": [1000 * (t - LATENCY_S) for t in ages],
    }
    return [
        *(
            Figure(f"200 ms, 50 kB/s: {name}, {what}", of(times), "ms", bar)
            for name, times in late.items()
            for what, of, bar in (("p50", p50, None), ("p95", p95, _BARS_MS[name]))
        ),
        Figure("200 ms, 50 kB/s: written", usage.bytes_per_second / 1000, "kB/s", 4),
    ]
