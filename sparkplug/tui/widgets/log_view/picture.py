"""What of a log is in sight: read, laid out in rows, and drawn, at most ten times a second."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time

from textual.geometry import Region
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer

from sparkplug.tui.cells import Line, clip
from sparkplug.tui.figures import size
from sparkplug.tui.filter import Filter
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.log_view.cut import breaks, spans, window
from sparkplug.tui.widgets.log_view.source import Source
from sparkplug.tui.widgets.log_view.text import Text

#: Drawn at most ten times a second.
_FRAME_S = 0.1
#: A character behind the last one of any line.
END = 1 << 30


class LogPicture(Lines, can_focus=True):
    """The lines of a log from `_top_line` on; `LogView` moves in it."""

    class Earlier(Message, namespace="log_view"):
        """The view stands at its first line, and there may be earlier ones."""

    def __init__(self, title: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(title, id=id)
        self._label = title
        self.source = Source(self._grown)
        self.follows = True
        self.wraps = True
        #: Whether lines before the first can be had.
        self.earlier = False
        self._note: Line = ()
        self._left = 0
        #: The line at the top, the row of it that is the first in sight, the line one is on.
        self._top_line = 0
        self._top_row = 0
        self._cursor = 0
        #: The line where a selection of lines began.
        self._anchor: int | None = None
        self._to_first = False
        self._sought = 0
        #: What is in sight: the line and the characters of it in each row.
        self._seen: list[tuple[int, int, int]] = []
        self._drawn_at = 0.0
        self._timer: Timer | None = None
        self._told = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._mounted_in: contextvars.Context | None = None

    # What comes

    def append(self, text: str | bytes) -> None:
        """Add to the end. It is written by a thread, and drawn with the next frame."""
        self.source.spool.append(text)

    def prepend(self, text: str | bytes) -> None:
        """Add before the first line; what is in sight stays."""
        self.source.spool.prepend(text)

    async def settle(self) -> None:
        """Wait until what was added is kept."""
        await self.source.spool.settle()

    def clear(self, title: str | None = None) -> None:
        """Begin again with nothing."""
        self.source.close()
        wanted, self.source = self.source.wanted, Source(self._grown)
        self.source.filter(wanted)
        self._label = self._label if title is None else title
        self._top_line = self._top_row = self._cursor = self._left = 0
        self.follows, self.earlier, self._to_first = True, False, False
        self.drop_selection()
        self.draw()

    def note(self, line: Line) -> None:
        """Say something below the last line; nothing, when it is empty."""
        if line != self._note:
            self._note = line
            self._due()

    @property
    def wanted(self) -> Filter:
        """Which lines are looked for."""
        return self.source.wanted

    @wanted.setter
    def wanted(self, value: Filter) -> None:
        if value.text != self.source.wanted.text:
            self.source.filter(value)
            self._sought = 0
            self.draw()

    def on_mount(self) -> None:
        """From now on what comes is drawn."""
        self._loop, self._mounted_in = asyncio.get_running_loop(), contextvars.copy_context()

    def on_unmount(self) -> None:
        """What was kept is let go."""
        self.source.close()

    def _grown(self) -> None:
        """From a thread: there is more."""
        if not self._told and self._loop is not None:
            self._told = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._due, context=self._mounted_in)

    def _due(self) -> None:
        """Draw, now or when a tenth of a second is over since the last time."""
        self._told = False
        wait = self._drawn_at + _FRAME_S - time.monotonic()
        if wait <= 0:
            self.draw()
        elif self._timer is None and self.is_attached:
            self._timer = self.set_timer(wait, self.draw)

    # What is shown

    def draw(self) -> None:
        """Lay out what is in sight; only rows that differ are painted."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        width, height = self.size.width - 1, self.size.height
        if width <= 0 or height <= 0 or not self.is_attached:
            return
        self._drawn_at = time.monotonic()
        source = self.source
        self.seek()
        self._place(width, height)
        rows: list[Line] = []
        self._seen = []
        place, row, count = source.place(self._top_line), self._top_row, source.count
        source.load(range(place, min(place + height, count)))
        while place < count and len(rows) < height:
            line = source.line(place)
            rows += self._rows_of(line, row, width, height - len(rows))
            place, row = place + 1, 0
        if len(rows) < height and (self._note or not count):
            rows.append((("text", " "), *(self._note or self._empty())))
        self.top = 0
        self.set_lines(rows)
        source.keep({line for line, _, _ in self._seen})
        self._titles_of(count)

    def _empty(self) -> Line:
        scan = self.source.scan
        if scan is not None and not self.source.whole and self.source.spool.stop:
            word = "nothing matches" if scan.done else "looking for"
            return (("dim", f"{word} /{self.wanted.text}"),)
        return (("dim", "there is nothing yet"),)

    def _place(self, width: int, height: int) -> None:
        """Where the top is: as it was, never beyond the end, at the end while it follows."""
        source = self.source
        count = source.count
        if not count:
            return
        if self._to_first:
            self._top_line, self._top_row, self._cursor = source.line(0), 0, source.line(0)
        if self.follows:
            self._cursor = source.line(count - 1)
        else:
            self._cursor = source.line(source.place(self._cursor))
        place = source.place(self._top_line)
        if source.line(place) != self._top_line:
            self._top_line, self._top_row = source.line(place), 0
        room = height - bool(self._note)
        last, row = self._before(count, 0, max(1, room), width)
        if self.follows or (place, self._top_row) > (last, row):
            self._top_line, self._top_row = source.line(last), row
        if place <= 1 and self.earlier and not self.follows:
            self.post_message(self.Earlier())

    def _before(self, place: int, row: int, rows: int, width: int) -> tuple[int, int]:
        """The place and row that stand so many rows before others."""
        left = rows - row
        while left > 0 and place > 0:
            place -= 1
            left -= self._height(place, width)
        return place, max(0, -left)

    def _after(self, place: int, row: int, rows: int, width: int) -> tuple[int, int]:
        """The place and row that stand so many rows after others."""
        row += rows
        while (rows := self._height(place, width)) <= row and place + 1 < self.source.count:
            row -= rows
            place += 1
        return place, min(row, rows - 1)

    def _height(self, place: int, width: int) -> int:
        if not self.wraps:
            return 1
        text = self.source.text(self.source.line(place))
        return len(breaks(_with_rest(text), width))

    def _rows_of(self, line: int, row: int, width: int, room: int) -> list[Line]:
        text = self.source.text(line)
        shown = _with_rest(text)
        if self.wraps:
            starts = breaks(shown, width)
            parts = list(zip(starts, [*starts[1:], len(shown)], strict=True))[row : row + room]
        else:
            start, end = window(text.plain, self._left, width + 1)
            parts = [(start, end)]
        over = self._over(line, text)
        pens = text.pens
        if text.rest:
            pens = [*pens, (len(text.plain), len(shown), "dim")]
        found: list[Line] = []
        for at, (start, end) in enumerate(parts):
            here = line == self._cursor and at + row == 0
            mark = (("focus" if self.has_focus else "dim", "▸" if here else " "),)
            drawn = spans(shown, start, end, pens, over)
            if text.rest and not self.wraps:
                tail = shown[len(text.plain) :]
                drawn = (*clip(drawn, max(0, width - len(tail))), ("dim", tail))
            found.append((*mark, *drawn))
            self._seen.append((line, start, min(end, len(text.plain))))
        return found

    def _over(self, line: int, text: Text) -> list[tuple[int, int, str]]:
        found = [(*span, "match") for span in self.wanted.matches(text.plain)]
        selection = self.text_selection
        span = selection.get_span(line) if selection is not None else None
        if span is not None:
            found.append((span[0], END if span[1] < 0 else span[1], "selected"))
        return found

    def _titles_of(self, count: int) -> None:
        source = self.source
        words = [self._label] if self._label else []
        if source.scan is not None:
            share = "" if source.scan.done else f" {source.scan.share:.0%}"
            words.append(f"/{self.wanted.text}{share}: {len(source.scan):,}")
        words.append("follow" if self.follows else "")
        words.append("" if self.wraps else f"not wrapped, from column {self._left + 1}")
        words.append(source.spool.problem)
        total = source.spool.stop - source.spool.first
        line = self._cursor - source.spool.first + 1 if count else 0
        more = "…" if self.earlier or source.spool.dropped else ""
        self.retitle(" · ".join(filter(None, words)), f"{more}{line:,}/{total:,}" if total else "")

    def seek(self) -> None:
        """Go to the match that is looked for, before the lines are laid out."""

    # What is selected

    def _marked_lines(self, strips: list[Strip], crop: Region, selection: Selection) -> list[Strip]:
        return strips  # what is selected is drawn with the lines

    def drop_selection(self) -> bool:
        """Select nothing; False when nothing was."""
        if not self.is_attached or (self._anchor is None and self.text_selection is None):
            return False
        self._anchor = None
        self.screen.clear_selection()
        return True


def _with_rest(text: Text) -> str:
    """A line, and how much of it is not shown."""
    return f"{text.plain} … +{size(text.rest)}B" if text.rest else text.plain
