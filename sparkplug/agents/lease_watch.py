"""An agent that may run elsewhere ends with its node's lease, also when nobody tells it to.

Its node tells it first, while that node lives. A daemon that hangs, or was killed and is not
started again, tells nobody: the lease lapses, others start the agent, and this one must be gone.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path

from pydantic import ValidationError

from sparkplug.bus.leases import lease_clock
from sparkplug.schema.node_lease import STOP_AFTER_S, LeaseTerm

log = logging.getLogger("sparkplug.agent")

#: A deadline is never set nearer than `STOP_AFTER_S` ahead: asking twice in that time finds it.
_LOOK_EVERY_S = STOP_AFTER_S / 2.5
_NEAR_S = 0.1


def watch_lease(path: Path) -> None:
    """Follow the node's term from a thread of its own: a blocked event loop changes nothing.

    A process that begins when the term is over ends here, before it did anything.
    """
    watch = _Watch(path)
    watch.look()
    threading.Thread(target=watch.run, name="lease", daemon=True).start()


class _Watch:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked = False

    def run(self) -> None:
        while True:
            time.sleep(max(self.look(), 0.01))

    def look(self) -> float:
        """End this process as the term says, or tell in how many seconds to look again."""
        term = _read(self._path)
        if term is None or term.stop_at is None or term.kill_at is None:
            return _LOOK_EVERY_S
        now = lease_clock()
        if now >= term.kill_at:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        if now < term.stop_at:
            return min(_LOOK_EVERY_S, term.stop_at - now)
        if not self._asked:
            log.warning("its node lost its lease: the agent ends, it may be started elsewhere")
            os.kill(os.getpid(), signal.SIGTERM)
        self._asked = True
        return min(term.kill_at - now, _NEAR_S)


def _read(path: Path) -> LeaseTerm | None:
    try:
        return LeaseTerm.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
