"""Whole samples of the last hour in files: for windows, and for looking at a moment again.

A file holds ten minutes: for each sample its length, a checksum (crc32), the time (double) and
the sample as deflated JSON. What a kill cut off at the end of a file is not read.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from sparkplug.schema.host import HostSample

_ENTRY = struct.Struct("<IId")
FILE_SECONDS = 600.0
#: What one file may take of all there may be; samples beyond that are not kept.
_ONE_FILE = 1 / 6
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
KEPT_SECONDS = 3600.0


class SampleFiles:
    """Appends samples and reads them. Not for several threads at once; raises OSError."""

    def __init__(self, folder: Path, *, kept: float = KEPT_SECONDS, most_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._kept = kept
        self._most = most_bytes
        self._number = -1

    def append(self, time: float, body: bytes) -> None:
        """Keep a sample, given as JSON."""
        number = int(time // FILE_SECONDS)
        path = self._folder / f"{number}.samples"
        if number != self._number:
            self._number = number
            self._forget(time)
        packed = zlib.compress(body, 1)
        entry = _ENTRY.pack(len(packed), zlib.crc32(packed), time) + packed
        with open(os.open(path, _FLAGS, 0o600), "ab", buffering=0) as file:  # noqa: PTH123
            if file.tell() + len(entry) <= self._most * _ONE_FILE:
                file.write(entry)

    def read(self, since: float, until: float) -> list[HostSample]:
        """The samples after `since` up to `until`, oldest first."""
        found: list[tuple[float, HostSample]] = []
        for path in self._files():
            begins = int(path.stem) * FILE_SECONDS
            if begins > until or begins + FILE_SECONDS < since:
                continue
            data, at = path.read_bytes(), 0
            while at + _ENTRY.size <= len(data):
                length, checksum, time = _ENTRY.unpack_from(data, at)
                packed = data[at + _ENTRY.size : at + _ENTRY.size + length]
                at += _ENTRY.size + length
                if len(packed) < length or zlib.crc32(packed) != checksum:
                    break
                if since < time <= until:
                    sample = HostSample.model_validate_json(zlib.decompress(packed))
                    found.append((time, sample))
        return [sample for _, sample in sorted(found, key=lambda pair: pair[0])]

    def _files(self) -> list[Path]:
        files = [path for path in self._folder.glob("*.samples") if path.stem.isdigit()]
        return sorted(files, key=lambda path: int(path.stem))

    def _forget(self, now: float) -> None:
        """Remove files that are too old, and the oldest where there is more than there may be.

        Files of a time to come are of a clock that was set back: they count as the newest.
        """
        files = self._files()
        sizes = {path: path.stat().st_size for path in files}
        for path in files:
            old = (int(path.stem) + 1) * FILE_SECONDS < now - self._kept
            if old or sum(sizes.values()) > self._most * (1 - _ONE_FILE):
                del sizes[path]
                path.unlink(missing_ok=True)
