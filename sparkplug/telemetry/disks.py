"""Mounted file systems and how full they are, without hanging on a mount that is dead."""

from __future__ import annotations

import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sparkplug.schema.host import Disk

#: Asking all mounts takes at most this long (seconds); who has not answered is named.
ASK_SECONDS = 0.3
MOUNTS = 64
#: File systems that have no block device here and hold files all the same.
NETWORKED = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "lustre",
        "ceph",
        "beegfs",
        "gpfs",
        "glusterfs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "9p",
        "virtiofs",
        "zfs",
        "fuse.juicefs",
        "wekafs",
        "orangefs",
        "afs",
    ]
)
#: Images: full by nature, or not a place anybody writes to.
IMAGES = frozenset(["squashfs", "iso9660", "udf", "erofs", "cramfs"])
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A line of the mount table."""

    path: str
    device: str
    fstype: str


def real_mounts(mounts: str = "/proc/self/mounts") -> list[Mount]:
    """The mounts that are real file systems: on a block device, on the network, or a root overlay.

    A device mounted at several places is listed once, where its path is shortest.
    """
    on_block = _block_file_systems()
    by_device: dict[str, Mount] = {}
    for line in Path(mounts).read_text(errors="replace").splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        device, path = _unescaped(fields[0]), _unescaped(fields[1])
        kind = fields[2]
        wanted = kind in NETWORKED or (kind in on_block and kind not in IMAGES)
        if not wanted and not (kind == "overlay" and path == "/"):
            continue
        known = by_device.get(device)
        if known is None or len(path) < len(known.path):
            by_device[device] = Mount(path, device, kind)
    return sorted(by_device.values(), key=lambda mount: mount.path)[:MOUNTS]


class DiskTable:
    """Asks every mount in a thread of its own; a mount that hangs keeps its thread and its name."""

    def __init__(self, mounts: str = "/proc/self/mounts") -> None:
        self._mounts = mounts
        self._asking: dict[str, threading.Thread] = {}

    def read(self) -> tuple[list[Disk], list[str]]:
        """The disks that answered, and the mounts that did not within the deadline."""
        answers: dict[str, Disk] = {}
        mounts = real_mounts(self._mounts)
        self._asking = {path: t for path, t in self._asking.items() if t.is_alive()}
        asked: list[Mount] = []
        for mount in mounts:
            if mount.path in self._asking:
                continue
            thread = threading.Thread(target=_ask, args=(mount, answers), daemon=True)
            self._asking[mount.path] = thread
            asked.append(mount)
            thread.start()
        until = time.monotonic() + ASK_SECONDS
        for mount in asked:
            self._asking[mount.path].join(max(until - time.monotonic(), 0))
        silent = [mount.path for mount in mounts if self._asking[mount.path].is_alive()]
        return [answers[m.path] for m in mounts if m.path in answers], silent


def _ask(mount: Mount, answers: dict[str, Disk]) -> None:
    try:
        facts = os.statvfs(mount.path)
    except OSError:
        return  # unmounted meanwhile, or not ours to look at
    if not facts.f_blocks:
        return
    answers[mount.path] = Disk(
        mount=mount.path,
        device=mount.device,
        fstype=mount.fstype,
        total_bytes=facts.f_blocks * facts.f_frsize,
        used_bytes=(facts.f_blocks - facts.f_bfree) * facts.f_frsize,
        available_bytes=facts.f_bavail * facts.f_frsize,
        # btrfs and others make inodes as they need them and report none.
        inodes_total=facts.f_files or None,
        inodes_free=facts.f_favail if facts.f_files else None,
    )


def _block_file_systems() -> frozenset[str]:
    """File system types that lie on a block device (proc(5), /proc/filesystems)."""
    lines = Path("/proc/filesystems").read_text().splitlines()
    return frozenset(line.strip() for line in lines if not line.startswith("nodev"))


def _unescaped(text: str) -> str:
    """The mount table writes blanks as octal (fstab(5))."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
