"""How many processes there are, and in which states."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class ProcessStates:
    """Counts over all processes of the host."""

    total: int
    zombie: int
    blocked: int


def stat_fields(text: bytes) -> tuple[bytes, list[bytes]] | None:
    """The name and the fields from `state` on of a /proc/PID/stat line (proc(5)).

    The name stands in parentheses and may itself hold blanks and parentheses.
    """
    begin, end = text.find(b"("), text.rfind(b")")
    if begin < 0 or end < begin:
        return None
    return text[begin + 1 : end], text[end + 2 :].split()


def read_stat(pid: str) -> bytes | None:
    """The stat line of a process, or None when it has ended."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, 1024)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def process_ids() -> list[str]:
    """The pids of this host's processes."""
    return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - hot path


def count_processes() -> ProcessStates:
    """The counts now."""
    total = zombie = blocked = 0
    for pid in process_ids():
        text = read_stat(pid)
        if text is None:
            continue
        total += 1
        end = text.rfind(b")")
        state = text[end + 2 : end + 3]
        zombie += state == b"Z"
        blocked += state == b"D"
    return ProcessStates(total, zombie, blocked)
