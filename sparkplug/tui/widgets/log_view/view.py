"""The log view: of a million lines those in sight are read, laid out and drawn."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.selection import Selection

from sparkplug.tui.filter import EVERYTHING
from sparkplug.tui.widgets.log_view.cut import character_at
from sparkplug.tui.widgets.log_view.picture import END, LogPicture
from sparkplug.tui.widgets.log_view.text import decode, plain

_SIDE = 8
#: What is copied at most, in bytes; all of it can be saved.
_COPIED = 1 << 20


class LogView(LogPicture):
    """A log: follows its end, filters, searches, wraps, selects.

    `append` takes text as it comes. Posts `Earlier` when what is before the first line is wanted.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "follow the end", id="logs.follow"),
        Binding("j,down", "move(1)", "down", show=False, id="logs.down"),
        Binding("k,up", "move(-1)", "up", show=False, id="logs.up"),
        Binding("g,home", "first", "first", show=False, id="logs.first"),
        Binding("G,end", "last", "last, and follow", show=False, id="logs.last"),
        Binding("pagedown,space,ctrl+f", "page(1)", "a page down", show=False, id="logs.page-down"),
        Binding("pageup,ctrl+b", "page(-1)", "a page up", show=False, id="logs.page-up"),
        Binding("left", "side(-1)", "to the left", show=False, id="logs.left"),
        Binding("right", "side(1)", "to the right", show=False, id="logs.right"),
        Binding("w", "wrap", "wrap long lines or not", id="logs.wrap"),
        Binding("n", "next(1)", "next match", show=False, id="logs.next"),
        Binding("N", "next(-1)", "match before", show=False, id="logs.before"),
        Binding("a", "whole", "all lines, or those that match", id="logs.whole"),
        Binding("v", "select", "select lines", show=False, id="logs.select"),
        Binding("shift+down", "extend(1)", "select down", show=False, id="logs.select-down"),
        Binding("shift+up", "extend(-1)", "select up", show=False, id="logs.select-up"),
        Binding("y", "copy", "copy what is selected, or the line", id="logs.copy"),
    ]

    pulls = True

    # Moving

    def resized(self) -> None:
        """Lay out for the new size."""
        self.draw()

    def on_focus(self) -> None:
        """The mark of the line one is on shows it."""
        self._due()

    def on_blur(self) -> None:
        """And shows it no longer."""
        self._due()

    def scroll_lines(self, by: int) -> None:
        """Move what is in sight by rows; the line one is on stays in sight."""
        source, width = self.source, self.size.width - 1
        if not source.count or width <= 0 or (by > 0 and self.follows):
            return
        self._leave()
        place = source.place(self._top_line)
        step = self._after if by > 0 else self._before
        place, self._top_row = step(place, self._top_row, abs(by), width)
        self._top_line = source.line(place)
        self.draw()
        seen = [line for line, _, _ in self._seen]
        if seen and not seen[0] <= self._cursor <= seen[-1]:
            self._cursor = min(max(self._cursor, seen[0]), seen[-1])
            self.draw()

    def turn_wheel(self, by: int) -> None:
        """Scroll; turned on at the end, the end is followed."""
        before = self._top_line, self._top_row
        self.scroll_lines(by)
        stays = (self._top_line, self._top_row) == before
        if by > 0 and stays and self.text_selection is None and self._anchor is None:
            self.action_last()

    def scroll_aside(self, way: int) -> bool:
        """To the side, where lines are not wrapped."""
        self.action_side(way)
        return not self.wraps

    def _leave(self) -> None:
        self.follows = self._to_first = False

    def go_to(self, line: int) -> None:
        """Go to a line by its number, or the next one that is shown."""
        if not self.source.count:
            return
        self._leave()
        place = self.source.place(line)
        self._cursor = self.source.line(place)
        self._show_cursor()
        self._extend_selection()
        self.draw()

    def _show_cursor(self) -> None:
        """Scroll as little as needed to have all of the line in sight, or its beginning."""
        source, width, height = self.source, self.size.width - 1, max(1, self.size.height)
        place, top = source.place(self._cursor), source.place(self._top_line)
        if place < top or (place == top and self._top_row):
            self._top_line, self._top_row = self._cursor, 0
            return
        last, row = self._before(place + 1, 0, height, width)
        if (last, row) > (top, self._top_row):
            if last == place:
                row = 0
            self._top_line, self._top_row = source.line(last), row

    def action_move(self, by: int) -> None:
        """Move to another line; through one that is longer than the box by rows."""
        source = self.source
        if not source.count:
            return
        seen = [line for line, _, _ in self._seen]
        place = source.place(self._cursor)
        if by > 0 and seen and seen[-1] == self._cursor and self._more_below():
            self.scroll_lines(1)
        elif by < 0 and seen and seen[0] == self._cursor and self._top_row:
            self.scroll_lines(-1)
        elif 0 <= place + by < source.count:
            self.go_to(source.line(place + by))
        elif by < 0:
            self._leave()
            self.draw()

    def _more_below(self) -> bool:
        line, _, end = self._seen[-1]
        return self.wraps and end < len(self.source.text(line).plain)

    def action_page(self, by: int) -> None:
        """Move by a page."""
        self.scroll_lines(by * max(1, self.size.height - 1))
        seen = [line for line, _, _ in self._seen]
        if seen:
            self._cursor = seen[-1] if by > 0 else seen[0]
            self._extend_selection()
            self.draw()

    def action_first(self) -> None:
        """To the first line there is, which may have to be fetched."""
        self.follows = False
        self._to_first = self.earlier
        if self.source.count:
            self._top_line = self._cursor = self.source.line(0)
            self._top_row = 0
        self._extend_selection()
        self.draw()

    def action_last(self) -> None:
        """To the end, and stay there."""
        self._to_first = False
        self.follows = self._anchor is None
        if self._anchor is not None and self.source.count:
            self.go_to(self.source.line(self.source.count - 1))
        self.draw()

    def action_follow(self) -> None:
        """Stay at the end, or no longer."""
        self.follows = not self.follows
        self._to_first = False
        self.draw()

    def action_side(self, by: int) -> None:
        """Move to the side, where lines are not wrapped."""
        longest = max((len(self.source.text(s[0]).plain) for s in self._seen), default=0)
        left = min(max(0, self._left + by * _SIDE), longest)
        if not self.wraps and left != self._left:
            self._left = left
            self.draw()

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.wraps = not self.wraps
        self._left = self._top_row = 0
        if self.source.count and not self.follows:
            self._show_cursor()
        self.draw()

    def jump(self, text: str) -> bool:
        """Go to a line by its number from 1 on, or to a share of all, as `50%`."""
        spool = self.source.spool
        total = spool.stop - spool.first
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else None
            number = round(share * total) if share is not None else int(text.replace(",", ""))
        except (ValueError, OverflowError):
            return False
        self.go_to(spool.first + min(max(number, 1), max(1, total)) - 1)
        return True

    # Searching

    def action_next(self, way: int) -> None:
        """To the next line that matches, or the one before; waits while it is still looked for."""
        self._sought = way
        self.draw()

    def action_whole(self) -> None:
        """Show all lines, those that match marked, or only those."""
        self.source.whole = not self.source.whole
        self._top_row = 0
        if self.source.count and not self.follows:
            self._cursor = self.source.line(self.source.place(self._cursor))
            self._show_cursor()
        self.draw()

    def seek(self) -> None:
        """Go to the match that is looked for, when it is found."""
        scan, way = self.source.scan, self._sought
        if scan is None or not way:
            self._sought = 0
            return
        at = scan.at(self._cursor + 1) if way > 0 else scan.at(self._cursor) - 1
        if 0 <= at < len(scan):
            self._sought = 0
            self.go_to(scan[at])
        elif scan.done:
            self._sought = 0
            self._say("no more matches", "dim")

    # Selecting

    def select_at(self, x: int, y: int) -> Offset:
        """The character and the line at a cell."""
        if not self._seen:
            return Offset(0, 0)
        line, start, end = self._seen[max(0, min(y, len(self._seen) - 1))]
        return Offset(character_at(self.source.text(line).plain, start, end, x - 1), line)

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw what is selected now."""
        if selection is None:
            self._anchor = None
        else:
            self._leave()
        self.draw()

    def action_select(self) -> None:
        """Begin to select lines, or end that."""
        if self._anchor is not None:
            self.drop_selection()
            return
        if self.source.count:
            self._leave()
            self._anchor = self._cursor
            self._extend_selection()

    def action_extend(self, by: int) -> None:
        """Select lines up to the next one."""
        if self._anchor is None:
            self.action_select()
        self.action_move(by)

    def _extend_selection(self) -> None:
        if self._anchor is not None:
            first, last = sorted((self._anchor, self._cursor))
            self.screen.selections = {self: Selection(Offset(0, first), Offset(END, last))}

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text of what is selected, all of it, up to a megabyte."""
        start, end = selection.start, selection.end
        if start is None or end is None or not self.source.count:
            return None
        found, room = [], _COPIED
        for line, text in self.source.texts(start.y, end.y, _COPIED):
            last = end.x if line == end.y else len(text)
            part = text[start.x if line == start.y else 0 : last]
            found.append(part)
            room -= len(part) + 1
            if room <= 0:
                break
        return "\n".join(found), "\n"

    def _all_of(self, line: int, most: int) -> str:
        raws = self.source.spool.lines(line, 1, most)
        return plain(decode(raws[0].head)) if raws else ""

    def action_copy(self) -> None:
        """Copy what is selected, or the line one is on."""
        text = self.screen.get_selected_text()
        if text is None and self.source.count:
            text = self._all_of(self._cursor, _COPIED)
        if text:
            self.app.copy_to_clipboard(text)

    def _say(self, text: str, pen: str) -> None:
        tell = getattr(self.app, "tell", None)
        if tell is not None:
            tell(text, pen)

    def escape(self) -> bool:
        """Out of what one is in: the selection, the filter. False when in neither."""
        if self.drop_selection():
            return True
        if self.wanted.text:
            self.source.whole = False
            self.wanted = EVERYTHING
            return True
        return False
