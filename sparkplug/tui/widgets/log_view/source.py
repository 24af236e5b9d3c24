"""What a log view shows of its spool: all lines, or those a filter takes, by their places."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from sparkplug.tui.filter import EVERYTHING, Filter
from sparkplug.tui.widgets.log_view.scan import Scan
from sparkplug.tui.widgets.log_view.spool import Raw, Spool
from sparkplug.tui.widgets.log_view.text import LIMIT, Text, decode, plain, read

_BATCH = 1024
_PIECE = 1 << 20


class Source:
    """The lines there are to show, by their places, and their text.

    Lines have numbers that stay; the place of a line is where it stands among those shown.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.spool = Spool(changed)
        self.wanted = EVERYTHING
        self.scan: Scan | None = None
        #: Show all lines, those that match among them.
        self.whole = False
        self._texts: dict[int, Text] = {}
        self._stands = 0

    def filter(self, wanted: Filter) -> None:
        """Look for other lines."""
        if self.scan is not None:
            self.scan.end()
        self.wanted = wanted
        self.scan = Scan(self.spool, wanted, self._changed) if wanted.text else None

    @property
    def _picked(self) -> Scan | None:
        return None if self.whole else self.scan

    @property
    def count(self) -> int:
        """How many lines there are to show."""
        picked = self._picked
        return self.spool.stop - self.spool.first if picked is None else len(picked)

    def line(self, place: int) -> int:
        """The number of the line at a place."""
        picked = self._picked
        return self.spool.first + place if picked is None else picked[place]

    def place(self, line: int) -> int:
        """The place of a line, or of the next one that is shown."""
        picked = self._picked
        found = line - self.spool.first if picked is None else picked.at(line)
        return max(0, min(found, self.count - 1))

    def load(self, places: range) -> None:
        """Have the lines at some places in memory, and no others but those in sight before."""
        if self._stands != self.spool.changes:
            self._stands, self._texts = self.spool.changes, {}
        if self._picked is None and len(places) > 1:
            first = self.line(places[0])
            opened = self.spool.open
            lines = self.spool.lines(first, len(places), LIMIT)
            for number, raw in enumerate(lines, first):
                if number not in self._texts and number < opened:
                    self._texts[number] = self._read(raw.start, raw.size, raw.head)

    def text(self, line: int) -> Text:
        """The text of a line. One that may still grow is read each time."""
        found = self._texts.get(line)
        if found is None:
            ended = line < self.spool.open
            raws = self.spool.lines(line, 1, LIMIT)
            found = self._read(*raws[0]) if raws else Text("")
            if ended:
                self._texts[line] = found
        return found

    def texts(self, first: int, last: int, most: int) -> Iterator[tuple[int, str]]:
        """The lines that are shown from one to another, each up to so many bytes, without pens."""
        for line, raw in self.raws(first, last, most):
            yield line, plain(decode(raw.head))

    def raws(self, first: int, last: int, most: int) -> Iterator[tuple[int, Raw]]:
        """The lines that are shown from one to another, as they are kept."""
        picked, spool = self._picked, self.spool
        if picked is None:
            for line in range(max(first, spool.first), last + 1, _BATCH):
                count = min(_BATCH, last + 1 - line)
                yield from enumerate(spool.lines(line, count, most), line)
            return
        for place in range(picked.at(first), len(picked)):
            line = picked[place]
            if line > last:
                return
            for raw in spool.lines(line, 1, most):
                yield line, raw

    def save(self, path: Path) -> int:
        """Write the lines that are shown to a new file, for this user alone; how many they were.

        Raises OSError, FileExistsError when there is one already.
        """
        descriptor = os.open(path.expanduser(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        count, spool = 0, self.spool
        with os.fdopen(descriptor, "wb") as file:
            for _, raw in self.raws(spool.first, spool.stop, 0):
                for at in range(raw.start, raw.start + raw.size, _PIECE):
                    file.write(spool.read(at, min(_PIECE, raw.start + raw.size - at)))
                file.write(b"\n")
                count += 1
        return count

    def keep(self, kept: set[int]) -> None:
        """Keep the text of these lines only."""
        self._texts = {line: self._texts[line] for line in kept if line in self._texts}

    def _read(self, start: int, size: int, head: bytes) -> Text:
        if b"\r" in head[:-1] and size > len(head):
            # It was written over and over: what stands is at its end.
            tail = self.spool.read(start + size - LIMIT, LIMIT)
            return read(decode(tail[tail.rfind(b"\r", 0, -1) + 1 :]))
        return read(decode(head), size - len(head))

    def close(self) -> None:
        """End; the text is gone."""
        self.spool.close()
