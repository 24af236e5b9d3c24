"""An agent ends with its node's lease, with nobody there to tell it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fakes.node import wait_until
from sparkplug.bus.leases import lease_clock
from sparkplug.schema.node_lease import LeaseTerm

_DEADLINE_S = 60.0
#: Notes that it was asked, and goes on: a loop that is blocked. Its clock is a file, if it has one,
#: and it notes what it read there.
_STUBBORN = """
import pathlib, signal, sys, time
from sparkplug.agents import lease_watch

folder = pathlib.Path(sys.argv[1])

def clock():
    now = (folder / "clock").read_text()
    with (folder / "looked").open("a") as looked:
        print(now, file=looked)
    return float(now)

if (folder / "clock").exists():
    lease_watch.lease_clock = clock
    lease_watch._LOOK_EVERY_S = 0.05
signal.signal(signal.SIGTERM, lambda *_: (folder / "asked").touch())
lease_watch.watch_lease(folder / "lease")
while True:
    time.sleep(60)
"""


def _put(path: Path, text: str) -> None:
    """As a node writes it: whole, or not yet."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def _term(folder: Path, stop_at: float, kill_at: float) -> None:
    term = LeaseTerm(epoch=1, stop_at=stop_at, kill_at=kill_at)
    _put(folder / "lease", term.model_dump_json())


@contextlib.contextmanager
def _stubborn(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", _STUBBORN, str(folder)], start_new_session=True
    ) as agent:
        try:
            yield agent
        finally:
            if agent.poll() is None:
                agent.kill()


def test_it_is_asked_and_then_killed_and_a_renewal_puts_that_off(tmp_path: Path) -> None:
    clock, looked, asked = (tmp_path / name for name in ("clock", "looked", "asked"))

    def looks(now: str) -> int:
        return looked.read_text().split().count(now) if looked.exists() else 0

    def looks_again(now: str) -> bool:
        """It has looked from beginning to end since."""
        before = looks(now)
        return wait_until(lambda: looks(now) >= before + 2, _DEADLINE_S)

    _put(clock, "100")
    _term(tmp_path, 101, 102)
    with _stubborn(tmp_path) as agent:
        assert looks_again("100")
        _term(tmp_path, 201, 202)
        assert looks_again("100")
        _put(clock, "200")
        assert looks_again("200")
        assert not asked.exists(), "its term was renewed"
        _put(clock, "201.5")
        assert wait_until(asked.exists, _DEADLINE_S)
        assert looks_again("201.5")
        assert agent.poll() is None, "it has until it is killed"
        _put(clock, "202.5")
        assert agent.wait(_DEADLINE_S) == -signal.SIGKILL


def test_one_that_begins_when_the_term_is_over_ends_before_it_did_anything(tmp_path: Path) -> None:
    now = lease_clock()
    _term(tmp_path, now - 2, now - 1)
    with _stubborn(tmp_path) as agent:
        assert agent.wait(_DEADLINE_S) == -signal.SIGKILL
    assert not (tmp_path / "asked").exists()
