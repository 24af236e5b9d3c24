"""Where lines begin: every so many lines one place is kept, the lines between are counted."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

#: A place is kept after so many lines, or as soon as so many bytes are behind the last one: what
#: is read to find a line is then never much more than the line itself. Of a million lines that is
#: 0.24 MiB and a screen is read in 40 µs; a place for every line would be 7.6 MiB.
_LINES = 64
BYTES = 64 << 10


class Index:
    """The lines of a text that grows at its end, and at times at its beginning.

    Lines are numbered from 0 on, those put before them -1, -2 and so on; offsets likewise. A line
    that is numbered keeps its number.
    """

    def __init__(self) -> None:
        #: Line numbers and the offsets they begin at; the first line is always among them.
        self._lines = array("q", [0])
        self._offsets = array("q", [0])
        #: The offset after the last byte.
        self.end = 0
        #: The line that is not ended yet, and where it begins.
        self.open = 0
        self.open_start = 0

    @property
    def first(self) -> int:
        """The number of the first line."""
        return self._lines[0]

    @property
    def start(self) -> int:
        """The offset of the first line."""
        return self._offsets[0]

    @property
    def stop(self) -> int:
        """The number after that of the last line; an empty rest is no line."""
        return self.open + (self.end > self.open_start)

    @property
    def places(self) -> int:
        """How many places are kept."""
        return len(self._lines)

    def append(self, data: bytes) -> None:
        """Count what came at the end."""
        starts = _starts(data, self.end)
        self._keep(self._lines, self._offsets, starts, self.open + 1)
        self.end += len(data)
        if starts:
            self.open += len(starts)
            self.open_start = starts[-1]

    def prepend(self, data: bytes) -> bool:
        """Count what comes before the first byte; True when the first line became longer by it."""
        begin = self.start - len(data)
        starts = _starts(data, begin)
        longer = bool(data) and not data.endswith(b"\n")
        if longer and starts:
            self._offsets[0] = starts[-1]
        elif longer:
            self._offsets[0] = begin
        if longer and self.open == self.first:
            self.open_start = self._offsets[0]
        if starts:
            number = self.first - len(starts)
            lines, offsets = array("q", [number]), array("q", [begin])
            self._keep(lines, offsets, starts[:-1], number + 1)
            self._lines, self._offsets = lines + self._lines, offsets + self._offsets
        return longer

    @staticmethod
    def _keep(lines: array[int], offsets: array[int], starts: Sequence[int], number: int) -> None:
        """Keep places of lines that begin at `starts`, the first of which has this number."""
        while True:
            by_lines = lines[-1] + _LINES - number
            at = min(by_lines, bisect_left(starts, offsets[-1] + BYTES))
            if at >= len(starts):
                return
            lines.append(number + at)
            offsets.append(starts[at])

    def place(self, line: int) -> tuple[int, int, int, int]:
        """The lines around a place: the first and where it begins, those after them likewise."""
        at = max(0, bisect_right(self._lines, line) - 1)
        if at + 1 < len(self._lines):
            return self._lines[at], self._offsets[at], self._lines[at + 1], self._offsets[at + 1]
        return self._lines[at], self._offsets[at], self.stop, self.end

    def cut(self, offset: int) -> int:
        """Forget what is before an offset, and a little more; the offset it begins at now."""
        at = bisect_left(self._offsets, offset)
        if at < len(self._offsets):
            del self._lines[:at]
            del self._offsets[:at]
        else:
            # A line that alone is longer than what is kept loses its beginning.
            self.open_start = max(self.open_start, offset)
            self._lines, self._offsets = array("q", [self.open]), array("q", [self.open_start])
        return self.start


def _starts(data: bytes, begin: int) -> list[int]:
    """The offsets after every line end of `data`, which begins at an offset."""
    pieces = data.split(b"\n")
    pieces.pop()
    return list(accumulate([len(piece) + 1 for piece in pieces], initial=begin))[1:]
