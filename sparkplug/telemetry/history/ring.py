"""A ring of records in a file of fixed size, that a kill at any moment leaves readable.

The file begins with 8 bytes (SPRING and a version), the length of a JSON head and the head
itself (columns, how many records, how wide), in a page of its own; then records: a checksum
(crc32, four bytes), four bytes of nothing, the time (double), and the columns (float32 each, NaN
for what was not measured). A record is written at once and over the oldest; one that was cut
off fails its checksum and is not there. A file that cannot be read is set aside and begun anew.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import struct
import zlib
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path

LOG = logging.getLogger(__name__)

_MAGIC = b"SPRING\x01\n"
_HEAD_BYTES = 64 << 10
_COLUMNS_STEP = 16
_RECORD = struct.Struct("<I4xd")
_NAN = math.nan


class Ring:
    """The newest `capacity` records of a set of columns that may grow, within `most_bytes`: fewer
    of them where they are wide.

    Not for several threads at once. Raises OSError where the disk does.
    """

    def __init__(self, path: Path, capacity: int, most_bytes: int) -> None:
        self._path = path
        self._wanted = max(capacity, 2)
        self._most = most_bytes
        self._capacity = self._wanted
        self._columns: dict[str, int] = {}
        self._width = 0
        self._next = 0
        #: The time of the record in each place; NaN where there is none.
        self._times = array("d")
        self._file = -1
        self._open()

    def append(self, time: float, values: Mapping[str, float | None]) -> None:
        """Write a record over the oldest."""
        if values.keys() - self._columns.keys():
            self._widen([*self._columns, *(name for name in values if name not in self._columns)])
        row = array("f", [_NAN]) * self._width
        for name, value in values.items():
            if value is not None and -3e38 < value < 3e38:
                row[self._columns[name]] = value
        self._write(self._next, time, row.tobytes())
        self._times[self._next] = time
        self._next = (self._next + 1) % self._capacity

    def columns(self) -> list[str]:
        """The names there are."""
        return list(self._columns)

    @property
    def oldest(self) -> float | None:
        """The time of the oldest record; None when there is none."""
        return min((time for time in self._times if time == time), default=None)

    def read(
        self, since: float, until: float, columns: Sequence[str]
    ) -> tuple[list[float], list[list[float]]]:
        """The records after `since` up to `until`, oldest first: their times, and a list of
        values for each of `columns` (NaN where there is none)."""
        places = [
            place
            for place in (*range(self._next, self._capacity), *range(self._next))
            if since < self._times[place] <= until
        ]
        at = [self._columns.get(name) for name in columns]
        times: list[float] = []
        found: list[list[float]] = [[] for _ in columns]
        for place in places:
            record = self._record(place)
            if record is None:
                continue
            time, row = record
            times.append(time)
            for values, column in zip(found, at, strict=True):
                values.append(_NAN if column is None else row[column])
        return times, found

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _size(self) -> int:
        return _RECORD.size + 4 * self._width

    def _record(self, place: int) -> tuple[float, array[float]] | None:
        data = os.pread(self._file, self._size(), _HEAD_BYTES + place * self._size())
        if len(data) < self._size() or zlib.crc32(data[8:]) != _RECORD.unpack_from(data)[0]:
            return None
        row = array("f")
        row.frombytes(data[_RECORD.size :])
        return _RECORD.unpack_from(data)[1], row

    def _write(self, place: int, time: float, row: bytes) -> None:
        body = struct.pack("<d", time) + row
        data = struct.pack("<I4x", zlib.crc32(body)) + body
        os.pwrite(self._file, data, _HEAD_BYTES + place * self._size())

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(self._file, 0o600)
        head = self._read_head()
        if head is None:
            if os.fstat(self._file).st_size:
                LOG.warning("%s cannot be read; it is set aside and begun anew", self._path)
                with contextlib.suppress(OSError):
                    self._path.rename(self._path.with_suffix(".unreadable"))
                self.close()
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._begin([])
            return
        columns, self._width, self._capacity = head
        self._columns = {name: place for place, name in enumerate(columns)}
        self._find_records()
        if self._fitting() != self._capacity:
            self._rewrite(columns)

    def _read_head(self) -> tuple[list[str], int, int] | None:
        data = os.pread(self._file, _HEAD_BYTES, 0)
        if not data.startswith(_MAGIC) or len(data) < 12:
            return None
        (length,) = struct.unpack_from("<I", data, 8)
        try:
            head = json.loads(data[12 : 12 + length])
            columns = [str(name) for name in head["columns"]]
            width, capacity = int(head["width"]), int(head["capacity"])
        except (ValueError, KeyError, TypeError):
            return None
        if not 2 <= capacity <= 10_000_000 or not len(columns) <= width <= 100_000:
            return None
        return columns, width, capacity

    def _write_head(self) -> None:
        head = {
            "columns": list(self._columns),
            "width": self._width,
            "capacity": self._capacity,
        }
        text = json.dumps(head, separators=(",", ":")).encode()
        if 12 + len(text) > _HEAD_BYTES:
            raise OSError(f"{self._path} has more columns than its head takes")
        os.pwrite(self._file, _MAGIC + struct.pack("<I", len(text)) + text, 0)

    def _begin(self, columns: Sequence[str]) -> None:
        self._columns = {name: place for place, name in enumerate(columns)}
        self._width = -(-max(len(columns), 1) // _COLUMNS_STEP) * _COLUMNS_STEP
        self._capacity = self._fitting()
        self._times = array("d", [_NAN]) * self._capacity
        self._next = 0
        self._write_head()

    def _fitting(self) -> int:
        """How many records of this width there may be."""
        return max(2, min(self._wanted, (self._most - _HEAD_BYTES) // self._size()))

    def _find_records(self) -> None:
        """Which places hold a record, and which is the oldest."""
        self._times = array("d", [_NAN]) * self._capacity
        newest, after = -math.inf, 0
        for place in range(self._capacity):
            record = self._record(place)
            if record is None:
                continue
            self._times[place] = record[0]
            if record[0] > newest:
                newest, after = record[0], place + 1
        self._next = after % self._capacity

    def _widen(self, columns: Sequence[str]) -> None:
        if len(columns) <= self._width:
            # Records that are there have NaN in these places already.
            self._columns = {name: place for place, name in enumerate(columns)}
            self._write_head()
            return
        self._rewrite(columns)

    def _rewrite(self, columns: Sequence[str]) -> None:
        """The same records in a file of another shape, put in the place of this one when whole.

        Where that fails (a full disk) the ring is of no use any more: it is to be opened anew.
        """
        order = [*range(self._next, self._capacity), *range(self._next)]
        kept = [r for place in order if (r := self._record(place)) is not None]
        old, target = self._file, self._path
        fresh = target.with_suffix(".new")
        self._file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.close(old)
        self._begin(columns)
        for place, (time, row) in enumerate(kept[-self._capacity :]):
            row.extend([_NAN] * (self._width - len(row)))
            self._write(place, time, row[: self._width].tobytes())
            self._times[place] = time
            self._next = (place + 1) % self._capacity
        fresh.replace(target)
