"""How a process ended, kept in a file: whoever reaps it writes, the node reads.

An agent outlives the daemon and the zygote that forked it, so nobody may be waiting when
it ends. Its reaper (the zygote, else the parent it falls to) records the wait status; the
agent itself records a reason when it ends by its own decision.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

#: The exit code of an agent whose code or entrypoint is wrong: starting again cannot help.
EXIT_MISCONFIGURED = 78

#: The exit code of an agent that ends because its memory limit left it none.
EXIT_OUT_OF_MEMORY = 71


def _write(path: Path, record: dict[str, object]) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(record, file)
    temporary.replace(path)


def record_status(folder: Path, pid: int, status: int) -> None:
    """Keep the wait status of a process that was reaped. Silent when the folder is gone."""
    try:
        _write(folder / f"{pid}.status", {"status": status})
    except OSError:
        # The state directory was removed or is full: the node then says it was not seen.
        return


def record_reason(folder: Path, pid: int, reason: str) -> None:
    """Keep the reason a process gives for its own end."""
    try:
        _write(folder / f"{pid}.reason", {"reason": reason})
    except OSError:
        return


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. `status` is None when nobody saw it."""

    status: int | None
    reason: str | None

    @property
    def clean(self) -> bool:
        """True when it ended by itself with exit code 0."""
        return self.status == 0

    @property
    def misconfigured(self) -> bool:
        """True when starting it again cannot help."""
        return self._code == EXIT_MISCONFIGURED

    @property
    def out_of_memory(self) -> bool:
        """True when it ended by itself for want of memory."""
        return self._code == EXIT_OUT_OF_MEMORY

    @property
    def _code(self) -> int | None:
        if self.status is None or not os.WIFEXITED(self.status):
            return None
        return os.WEXITSTATUS(self.status)

    def describe(self) -> str:
        """The end in words."""
        if self.status is None:
            return self.reason or "ended, and nobody saw how"
        if os.WIFSIGNALED(self.status):
            number = os.WTERMSIG(self.status)
            name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
            return f"killed by {name}"
        code = os.WEXITSTATUS(self.status)
        return self.reason or f"exited with code {code}"


def take_exit(folder: Path, pid: int) -> Exit:
    """Read and remove what is known about the end of a process."""

    def read(kind: str) -> dict[str, object]:
        path = folder / f"{pid}.{kind}"
        try:
            record = json.loads(path.read_text())
            path.unlink(missing_ok=True)
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    status, reason = read("status").get("status"), read("reason").get("reason")
    return Exit(
        status if isinstance(status, int) else None, reason if isinstance(reason, str) else None
    )


def forget_exit(folder: Path, pid: int) -> None:
    """Remove what an earlier process of that pid left."""
    for kind in ("status", "reason"):
        (folder / f"{pid}.{kind}").unlink(missing_ok=True)
