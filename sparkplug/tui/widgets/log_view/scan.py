"""The lines that match, found by a thread that goes on while lines come."""

from __future__ import annotations

import re
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable

from sparkplug.tui.filter import Filter
from sparkplug.tui.widgets.log_view.spool import Spool
from sparkplug.tui.widgets.log_view.text import decode, plain

_PIECE = 256 << 10
#: Characters of a line that are searched: a plain word is looked for in all of a long line, an
#: expression, which may take time that grows with the square of it, in the beginning.
_WORD_WITHIN = 1 << 20
_PATTERN_WITHIN = 8 << 10
# Whether there is anything in a piece that `plain` would take away.
_ODD = re.compile(
    rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x80-\xaf]|\xe2\x81[\xa6-\xa9]"
)


class Scan:
    """The numbers of the lines a filter takes, in order, kept up to date. Ends with its spool.

    `changed` is called by the thread when there are more, or all were looked at.
    """

    def __init__(self, spool: Spool, wanted: Filter, changed: Callable[[], None]) -> None:
        self._spool = spool
        self._changed = changed
        self._within = _WORD_WITHIN if wanted.plain else _PATTERN_WITHIN
        self._wanted = wanted
        self._ended = False
        #: Lines that were ended and match.
        self._matches = array("q")
        #: The line that is not ended, when it matches so far.
        self._open: int | None = None
        self._low = self._high = 0
        self._number = 0
        self._stands = -1
        self._looked = -1
        self._begin()
        threading.Thread(target=self._work, name="log scan", daemon=True).start()

    def end(self) -> None:
        """Stop."""
        self._ended = True
        with self._spool.more:
            self._spool.more.notify_all()

    # What was found

    @property
    def share(self) -> float:
        """How much of the text was looked at, from 0 to 1."""
        start, end = self._spool.bounds
        left = end - max(self._high, self._looked) + max(0, self._low - start)
        return 1.0 if end <= start else min(1.0, 1 - left / (end - start))

    @property
    def done(self) -> bool:
        """Whether all there is was looked at, or nearly so while it grows."""
        return self.share > 0.99

    def __len__(self) -> int:
        return len(self._matches) - self._gone + (self._open is not None)

    def __getitem__(self, at: int) -> int:
        """The number of the line at a place of the result."""
        at += self._gone
        matches, opened = self._matches, self._open
        if at < len(matches):
            return matches[at]
        return opened if opened is not None else matches[-1]

    def at(self, line: int) -> int:
        """The place of the first line of the result that is this one or a later one."""
        place = bisect_left(self._matches, line)
        if place == len(self._matches) and self._open is not None and line > self._open:
            place += 1
        return max(0, place - self._gone)

    @property
    def _gone(self) -> int:
        """Lines of the result that are no longer kept."""
        return bisect_left(self._matches, self._spool.first) if self._spool.dropped else 0

    # The thread

    def _begin(self) -> None:
        with self._spool.more:
            self._stands = self._spool.changes
            self._low = self._high = self._spool.bounds[0]
            self._number = self._spool.first
        self._matches = array("q")
        self._open = None
        self._looked = self._low - 1

    def _work(self) -> None:
        spool = self._spool
        while True:
            with spool.more:
                while not (self._ended or spool.closed or self._due()):
                    spool.more.wait()
            if self._ended or spool.closed:
                return
            with spool.more:
                start, first = spool.bounds[0], spool.first
            if spool.changes != self._stands or start > self._high:
                self._begin()
            elif start < self._low:
                self._before(start, first)
            else:
                self._low = start
                self._after()
            self._changed()

    def _due(self) -> bool:
        start, end = self._spool.bounds
        return start < self._low or end > self._looked

    def _before(self, start: int, number: int) -> None:
        """What was put before the beginning."""
        found = array("q")
        at = start
        while at < self._low and not self._ended:
            numbers, at, number = self._step(at, number, self._low)
            found.extend(numbers)
        self._matches = found + self._matches
        self._low = start

    def _after(self) -> None:
        """The next piece of what came at the end."""
        end = self._spool.bounds[1]
        numbers, at, number = self._step(self._high, self._number, end)
        if at > self._high:
            self._matches.extend(numbers)
            self._open = None
            self._high, self._number = at, number
            return
        rest = self._spool.lines(number, 1, self._within)
        taken = bool(rest) and self._wanted.takes(plain(decode(rest[0].head)))
        self._open = number if taken else None
        self._looked = end

    def _step(self, at: int, number: int, end: int) -> tuple[list[int], int, int]:
        """The lines that match of a piece, and the offset and line after it.

        The offset stays where no line is ended before `end`.
        """
        data = self._spool.read(at, min(_PIECE, end - at))
        cut = data.rfind(b"\n") + 1
        if cut:
            texts = self._texts(data[: cut - 1])
            found = [number + place for place in self._wanted.passing(texts)]
            return found, at + cut, number + len(texts)
        if len(data) < _PIECE or number >= self._spool.open:
            return [], at, number
        (line,) = self._spool.lines(number, 1, self._within)
        found = [number] if self._wanted.takes(plain(decode(line.head))) else []
        return found, line.start + line.size + 1, number + 1

    def _texts(self, data: bytes) -> list[str]:
        within = self._within
        if _ODD.search(data) is None and max(map(len, data.split(b"\n"))) <= within:
            return decode(data).split("\n")
        return [plain(decode(line[:within])) for line in data.split(b"\n")]
