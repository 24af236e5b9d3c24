"""An agent ends with its node's lease, with nobody there to tell it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sparkplug.bus.leases import lease_clock
from sparkplug.schema.node_lease import LeaseTerm

#: Notes that it was asked, and goes on: a loop that is blocked.
_STUBBORN = """
import pathlib, signal, sys, time
from sparkplug.agents.lease_watch import watch_lease

signal.signal(signal.SIGTERM, lambda *_: pathlib.Path(sys.argv[2]).touch())
watch_lease(pathlib.Path(sys.argv[1]))
while True:
    time.sleep(60)
"""


def _write(path: Path, stop_in: float, kill_in: float) -> None:
    now = lease_clock()
    term = LeaseTerm(epoch=1, stop_at=now + stop_in, kill_at=now + kill_in)
    path.write_text(term.model_dump_json())


@pytest.mark.parametrize("renewed", [False, True])
def test_it_is_asked_and_then_killed_and_a_renewal_puts_that_off(
    tmp_path: Path, renewed: bool
) -> None:
    term, asked = tmp_path / "lease", tmp_path / "asked"
    _write(term, 0.5, 1.0)
    with subprocess.Popen(
        [sys.executable, "-c", _STUBBORN, str(term), str(asked)], start_new_session=True
    ) as agent:
        try:
            if renewed:
                term.write_text(LeaseTerm(epoch=1).model_dump_json())
                with pytest.raises(subprocess.TimeoutExpired):
                    agent.wait(3)
                assert not asked.exists()
                _write(term, 0.0, 0.2)
            assert agent.wait(20) == -signal.SIGKILL
        finally:
            if agent.poll() is None:
                agent.kill()
    assert renewed or asked.exists()
