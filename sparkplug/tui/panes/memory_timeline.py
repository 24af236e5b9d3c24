"""The timeline in the Memory pane: bars over time, below them what happened, newest first."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, Span, wrap
from sparkplug.tui.figures import since
from sparkplug.tui.panes.memory_bars import (
    SORTS,
    axis,
    bars,
    kinds_of,
    legend,
    sort_of,
    totals,
)
from sparkplug.tui.panes.memory_columns import Choice, scopes_of, title_of
from sparkplug.tui.panes.memory_lines import memory_lines
from sparkplug.tui.panes.memory_view import NEAR, MemoryView
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.page import Layout
from sparkplug.tui.widgets.table import Column, Table

if TYPE_CHECKING:
    from sparkplug.schema.memory import MemoryDescription
    from sparkplug.schema.memory_timeline import Happening, TimelineReply

_FIRST, _MORE, _MOST = 200, 500, 1000
#: Spans that are asked for: one for each cell of the bars, or as many where these are not laid out.
_SPANS, _MOST_SPANS = 100, 500
#: Rows of bars with a legend where there is room for them, else the few; and the rows from which
#: on there is.
_BARS, _FEW_BARS, _TALL, _LEAST = 5, 1, 20, 9
_AROUND = 2
#: Times that it is looked whether the bars have a width yet.
_LAID_OUT = 10
#: How far back, in seconds; None is all there is.
_REACHES: tuple[tuple[str, float | None], ...] = (
    ("all", None),
    ("30 days", 30 * 86400.0),
    ("7 days", 7 * 86400.0),
    ("a day", 86400.0),
    ("an hour", 3600.0),
)


def _draw_kind(value: Any) -> Span:
    sort = sort_of(value)
    return (sort.pen, f"{sort.sign} {value}")


def _by(one: Happening) -> str:
    run = f" in {one.run}" if one.run else ""
    ended = f" ({one.ended})" if one.ended else ""
    return f"{one.by or 'the memory'}{run}{ended}"


def _more(one: Happening) -> str | None:
    """What else is to be known: how often, which version, why."""
    parts = [f"{one.times} times"] if one.times > 1 else []
    parts += [f"version {one.version}"] if one.version else []
    parts += [one_line(one.why)] if one.why else []
    return ", ".join(parts) or None


def _when(moment: Any) -> Span:
    here = moment.astimezone()
    today = datetime.now(UTC).astimezone().date() == here.date()
    return ("dim", f"{here:%H:%M:%S}" if today else f"{here:%m-%d %H:%M}")


TIMELINE_COLUMNS = (
    Column("when", 11, lambda h: h.time, draw=_when, order=lambda t: t.timestamp()),
    Column("what", 13, lambda h: str(h.kind), draw=_draw_kind),
    Column("text", 30, lambda h: one_line(h.text) or f"({h.state})", grows=True),
    Column("by", 12, _by, rank=1, pen="focus", full=32),
    Column("more", 14, _more, rank=2, pen="dim", none="", grows=True),
    Column("scope", 12, lambda h: h.scope, rank=3, full=24),
    Column("run", 14, lambda h: h.run or None, extra=True, full=24),
    Column("id", 8, lambda h: h.id[:8], extra=True, pen="dim"),
    Column("why", 20, lambda h: one_line(h.why) or None, extra=True, full=60),
)


class MemoryTimeline(MemoryView):
    """Bars and a list. `x` shows one sort of happening alone, `<` and `>` how far back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "sort", "one kind of happening alone", id="memory-timeline.kind"),
        Binding("less_than_sign", "reach(1)", "less far back", id="memory-timeline.nearer"),
        Binding(
            "greater_than_sign", "reach(-1)", "further back", show=False, id="memory-timeline.far"
        ),
        Binding("r", "again", "read anew", show=False, id="memory-timeline.read"),
    ]

    def __init__(self) -> None:
        super().__init__(id="memory-timeline")
        self._bars = Lines("over time", id="memory-bars")
        self._rows = Table(
            TIMELINE_COLUMNS,
            key=_key,
            title="timeline",
            failing=lambda h: sort_of(h.kind).pen == "bad",
            id="memory-timeline-list",
        )
        self._reply: TimelineReply | None = None
        self._happenings: list[Happening] = []
        self._more = ""
        self._reading = False
        self._bar_rows, self._has_legend = _FEW_BARS, False
        #: The sort that is shown alone; empty: all of them.
        self._alone = ""
        self._reach = 0
        #: What was asked for by words, as `timeline_request` of the actions takes it.
        self._asked: dict[str, Any] = {}

    def compose(self) -> ComposeResult:
        """The bars and the list."""
        yield self._bars
        yield self._rows

    @property
    def listing(self) -> Table:
        """The list."""
        return self._rows

    @property
    def item(self) -> str:
        """The memory that the thing under the cursor happened to."""
        row = self._rows.row
        one: Happening | None = row.value if row is not None else None
        return one.id if one is not None and one.state != "gone" else ""

    def ask(self, choice: Choice, asked: dict[str, Any]) -> None:
        """Show what happened in a scope, or what is asked for by words."""
        self.choice, self._asked = choice, dict(asked)
        self._alone, self._reach, self._happenings = "", 0, []
        self.begin(self.read)

    def on_resize(self) -> None:
        """Bars where there is room."""
        self._share_room()
        self.call_after_refresh(self._fit_bars)

    def _share_room(self) -> None:
        """As many rows of bars as there is room for now: a size may be told of late."""
        height = self.size.height
        tall = height >= _TALL
        self._bar_rows, self._has_legend = _BARS if tall else _FEW_BARS, tall
        self._bars.display = height >= _LEAST
        self._bars.styles.height = self._bar_rows + 1 + tall + _AROUND

    def _fit_bars(self) -> None:
        """A bar is of one span: of another width they are counted anew."""
        reply = self._reply
        if reply is not None and reply.spans and len(reply.spans) != self._spans:
            self.begin(partial(self.read, again=True))
        else:
            self._draw_bars()

    @property
    def _spans(self) -> int:
        return min(_MOST_SPANS, self._bars.size.width) or _SPANS

    async def read(self, *, again: bool = False) -> None:
        """The newest of what is asked for, and how much there is of it when."""
        for _ in range(_LAID_OUT):
            if self._bars.size.width or not self._bars.display:
                break
            await asyncio.sleep(0.02)  # it is looked at for the first time
        limit = min(_MOST, max(_FIRST, len(self._happenings))) if again else _FIRST
        await self._read_page("", limit, self._spans)

    async def _read_page(self, before: str, limit: int, spans: int) -> None:
        from sparkplug.actions.memory_review import timeline_request
        from sparkplug.client import memory

        client = self.client
        if client is None:
            return
        self._reading = True
        try:
            request = timeline_request(**{**self._asked, "limit": limit, "before": before})
            if not self._asked.get("scope"):
                request.scopes = scopes_of(self.choice)
            if self._alone:
                request.kinds = kinds_of(self._alone)
            seconds = _REACHES[self._reach][1]
            if seconds is not None:
                request.since = datetime.now(UTC) - timedelta(seconds=seconds)
            request.spans = spans
            reply = await memory.timeline(client, request)
        except SparkplugError as error:
            self._happenings, self._more, self._reply = [], "", None
            self._draw_bars()
            self.fail(error)
            return
        finally:
            self._reading = False
        self.problem = ""
        if before:
            self._happenings += reply.happenings
        else:
            self._happenings, self._reply = list(reply.happenings), reply
        self._more = reply.more
        self._show()

    def _show(self) -> None:
        asked = self._asked.get("memory")
        name = str(asked)[:8] if asked else title_of(self.choice)
        of = f" of {name}" if name else ""
        alone = f", {self._alone} alone" if self._alone else ""
        total = self._reply.total if self._reply is not None else None
        more = f" (of {total})" if self._more and total else ""
        self._rows.name_it(f"timeline{of}{alone}{more}")
        self._rows.set_empty("nothing happened there in that time")
        self._rows.set_rows(self._happenings)
        self._share_room()
        self._draw_bars()
        self.shown()

    def _draw_bars(self) -> None:
        reply = self._reply
        width = self._bars.size.width
        if not self._bars.display or width <= 0:
            return
        if (
            reply is None
            or reply.since is None
            or reply.until is None
            or not any(span.counts for span in reply.spans)
        ):
            self._bars.set_lines([])
            return
        row = self._rows.row
        mark = row.value.time if row is not None else None
        self._bars.retitle("over time", _REACHES[self._reach][0])
        lines = bars(reply.spans, width, self._bar_rows)
        lines.append(axis(reply.since, reply.until, width, mark))
        if self._has_legend:
            lines.append(legend(totals(reply.spans)))
        self._bars.set_lines(lines)

    def moved(self) -> None:
        """The bars show when it happened; near the end of what was read, more is."""
        self._draw_bars()
        row = self._rows.row
        place = self._rows.place_of(row.key) if row is not None else None
        if place is None or place < self._rows.shown - NEAR or not self._more or self._reading:
            return
        self._reading = True
        self.begin(partial(self._read_page, self._more, _MORE, 0), instead=False)

    def action_sort(self) -> None:
        """Show one sort of happening alone, the next one; after the last all of them."""
        names = ["", *(sort.name for sort in reversed(SORTS))]
        self._alone = names[(names.index(self._alone) + 1) % len(names)]
        self.begin(self.read)

    def action_reach(self, by: int) -> None:
        """Look less far back, or further."""
        reach = min(max(0, self._reach + by), len(_REACHES) - 1)
        if reach != self._reach:
            self._reach = reach
            self.begin(self.read)

    def action_again(self) -> None:
        """As it is now: that something was read, nobody is told of."""
        self.begin(partial(self.read, again=True))

    def leave(self) -> bool:
        """Out of one sort alone. False when all are shown."""
        if not self._alone:
            return False
        self._alone = ""
        self.begin(self.read)
        return True

    def detail(self, told: MemoryDescription | None) -> tuple[str, Layout]:
        """What happened, and the memory it happened to."""
        row = self._rows.row
        if row is None:
            return "what happened", lambda _: []
        one: Happening = row.value
        return "what happened", lambda width: happening_lines(one, told, width)


def _key(one: Happening) -> str:
    return f"{one.time.timestamp():.6f} {one.kind} {one.id} {one.by} {one.run} {one.version}"


def happening_lines(one: Happening, told: MemoryDescription | None, width: int) -> list[Line]:
    """One thing that happened, and all about the memory it happened to."""
    now = datetime.now(UTC)
    sort = sort_of(one.kind)
    lines: list[Line] = [
        (
            (sort.pen, f"{sort.sign} {one.kind}"),
            ("text", f" by {one_line(_by(one))}"),
            ("dim", f", {since(one.time, now)} ago, {one.time.astimezone():%Y-%m-%d %H:%M:%S}"),
        )
    ]
    more = _more(one)
    if more:
        lines += [(("warn" if sort.pen == "bad" else "text", part),) for part in wrap(more, width)]
    lines.append(())
    if one.state == "gone":
        lines.append((("dim", f"{one.id[:8]} is gone: nothing is left of what it said"),))
    elif told is not None and told.item.id == one.id:
        lines += memory_lines(told.item, told, width)
    else:
        lines += [(("text", part),) for part in wrap(one_line(one.text), width)]
    return lines
