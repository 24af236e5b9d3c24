"""What the kernel logged of OOM kills and of the NVIDIA driver (NVRM Xid).

Sources: Linux Documentation/ABI/testing/dev-kmsg; mm/oom_kill.c for the OOM lines; NVIDIA, XID
Errors, for `NVRM: Xid`.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess

from sparkplug.schema.node_services import KernelLogReply

LINES = 200
RECORD_BYTES = 8192
RECORDS = 200_000
DMESG_SECONDS = 2.0
WANTED = re.compile(
    r"NVRM: Xid|Out of memory: Kill|Memory cgroup out of memory: Kill|oom-kill:|oom_reaper: reaped"
)


def wanted_lines(lines: list[str]) -> list[str]:
    """The lines that tell of an OOM kill or an Xid, the last 200 of them."""
    return [line for line in lines if WANTED.search(line)][-LINES:]


def read_kernel_log(device: str = "/dev/kmsg") -> KernelLogReply:
    """The OOM and Xid lines since boot as `[seconds] text`, or why they cannot be read.

    Blocking, for a short time: reads the kernel's ring buffer to its end, and where the device
    may not be opened asks dmesg(1), which has another way in.
    """
    try:
        return KernelLogReply(readable=True, lines=wanted_lines(_records(device)))
    except OSError as error:
        reason = f"{device}: {error.strerror}"
    try:
        result = subprocess.run(
            ["dmesg", "--color=never"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DMESG_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return KernelLogReply(readable=False, reason=reason)
    if result.returncode != 0:
        said = result.stderr.strip() or f"dmesg ended with {result.returncode}"
        return KernelLogReply(readable=False, reason=f"{reason}; {said}")
    return KernelLogReply(readable=True, lines=wanted_lines(result.stdout.splitlines()))


def _records(device: str) -> list[str]:
    """Every record of the ring buffer. Opened without blocking: its end answers EAGAIN."""
    descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    lines: list[str] = []
    try:
        for _ in range(RECORDS):
            try:
                record = os.read(descriptor, RECORD_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.EPIPE:
                    continue  # the record was overwritten while we read: go on with the next
                raise
            if not record:
                break
            lines.append(_as_line(record))
    finally:
        os.close(descriptor)
    return lines


def _as_line(record: bytes) -> str:
    """`priority,sequence,microseconds,flags;text` as dmesg prints it."""
    head, _, rest = record.decode(errors="replace").partition(";")
    text = rest.split("\n", 1)[0]
    fields = head.split(",")
    microseconds = int(fields[2]) if len(fields) > 2 and fields[2].isdigit() else 0
    return f"[{microseconds / 1e6:12.6f}] {text}"
