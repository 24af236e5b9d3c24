"""Memory: what agents know, whose it is, where it is from; searched as one types, corrected.

Beside the tree of scopes stands one of three lists: memories, what happened to them over time,
and proposals to tidy them. The latter two are made when they are first looked at.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.worker import Worker, WorkType

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.panes.memory_columns import Choice, scope_nodes, usage_lines
from sparkplug.tui.panes.memory_items import MemoryItems
from sparkplug.tui.panes.memory_view import MemoryView
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.page import Page
from sparkplug.tui.widgets.tree import Tree

if TYPE_CHECKING:
    from sparkplug.schema.memory import MemoryDescription
    from sparkplug.schema.memory_stats import MemoryStats
    from sparkplug.tui.panes.memory_pairs import MemoryPairs
    from sparkplug.tui.panes.memory_timeline import MemoryTimeline
    from sparkplug.tui.store import Topics

#: A pause of the cursor before all is read of a row.
_REST_S = 0.12
#: What is changed is shown at most this often, and no sooner than this after it is told of.
_AGAIN_S, _SOON_S = 2.0, 0.15
_WIDE, _TALL = 100, 18
#: The nodes of the tree that are no scope, and what they show.
_VIEWS = ("timeline", "proposals")


class MemoryPane(Pane):
    """A tree of scopes, a list of the chosen one, and the selected row in full."""

    TOPICS: ClassVar[frozenset[str]] = frozenset({"events", "link"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "find", "search by meaning and words", id="memory.find"),
        Binding("t", "timeline", "timeline of the scope, or back", id="memory.over-time"),
        Binding("T", "life", "timeline of this memory", show=False, id="memory.life"),
        Binding("P", "proposals", "proposals to tidy, or back", show=False, id="memory.review"),
        Binding("o", "scopes", "the tree of scopes", show=False, id="memory.scopes"),
        Binding("v", "usage", "use and growth, or the memory", show=False, id="memory.usage"),
    ]

    def __init__(self) -> None:
        super().__init__(id="memory")
        self._scopes = Tree("scopes", id="memory-scopes")
        self._items = MemoryItems()
        self._right = Vertical(self._items, id="memory-right")
        self._view: MemoryView = self._items
        self._timeline: MemoryTimeline | None = None
        self._pairs: MemoryPairs | None = None
        self._detail = Page(id="memory-detail")
        self._choice: Choice = ("kept", "")
        self._stats: MemoryStats | None = None
        self._told: MemoryDescription | None = None
        self._shows_usage = False
        #: The tree has the place of the list, where there is none for both.
        self._shows_scopes = False
        self._events = 0
        self._read_once = False
        self._read_at = 0.0

    def compose(self) -> ComposeResult:
        """The tree beside the list; below them what is selected."""
        yield Horizontal(self._scopes, self._right, id="memory-area")
        yield self._detail

    @property
    def main(self) -> Listing:
        """The list that is shown."""
        return self._view.listing

    def on_resize(self, event: Resize) -> None:
        """Where there is little room the list has it."""
        self._share_room(event.size.width, event.size.height)
        self._detail.styles.height = max(8, event.size.height * 2 // 5)
        self.call_after_refresh(self._draw_detail)

    def _share_room(self, width: int, height: int) -> None:
        wide = width >= _WIDE
        self._scopes.display = wide or self._shows_scopes
        self._scopes.styles.width = 28 if wide else "1fr"
        self._right.display = wide or not self._shows_scopes
        self._detail.display = height >= _TALL

    # What is shown

    def draw(self, topics: Topics) -> None:
        """Read what there is, at first and when somebody changed something."""
        view = self._view
        if not view.was_read:
            view.listing.set_empty(waiting(self.store, "reading the memory"))
        if self.store.client is None:
            return
        held = self.store.view
        count = 0
        if held is not None:
            count = max(
                (e.sequence or 0 for e in held.events if e.name.startswith("memory:")), default=0
            )
        if not self._read_once or "link" in topics or count != self._events:
            pause = 0.0
            if self._read_once and not self._items.is_empty:
                # Of changes that do not end, each of which begins this anew, one is shown, too.
                pause = max(_SOON_S, self._read_at + _AGAIN_S - time.monotonic())
            self._read_once, self._events = True, count
            self._begin(partial(self._read_again, pause))
            self._begin_stats(pause)

    def tick(self) -> None:
        """Ages."""
        self._view.listing.tick()

    def _begin(self, work: WorkType[None]) -> None:
        self.run_worker(work, group="memory", exclusive=True)

    def on_memory_view_work(self, event: MemoryView.Work) -> None:
        """A view wants something done."""
        event.stop()
        self.run_worker(event.work, group="memory", exclusive=event.instead)

    async def _read_again(self, pause: float) -> None:
        await asyncio.sleep(pause)
        self._told = None
        await self._view.read(again=True)
        self._read_at = time.monotonic()

    def _begin_stats(self, pause: float) -> None:
        _: Worker[None] = self.run_worker(
            partial(self._read_stats, pause), group="memory-stats", exclusive=True
        )

    async def _read_stats(self, pause: float) -> None:
        from sparkplug.client import memory

        await asyncio.sleep(pause)
        client = self.store.client
        if client is None:
            return
        try:
            self._stats = await memory.stats(client)
        except SparkplugError:
            self._stats = None  # the list says why
            return
        self._draw_scopes()
        if self._shows_usage:
            self._draw_detail()

    def _draw_scopes(self) -> None:
        count = self._pairs.count if self._pairs is not None else None
        self._scopes.set_nodes(scope_nodes(self._stats, count), open_to=2)

    def on_memory_view_read(self, event: MemoryView.Read) -> None:
        """A list shows something else."""
        event.stop()
        self.settle()
        self._draw_detail()
        if self._view is self._pairs:
            self._draw_scopes()

    # Moving

    def on_listing_moved(self, event: Listing.Moved) -> None:
        """Another row, or another scope."""
        if event.listing is self._scopes:
            row = self._scopes.row
            if not self._scopes.has_focus and self._view is not self._items:
                return  # that its nodes come moves its cursor, too: nobody chose anything
            if row is not None and row.value is not None and row.value != self._standing:
                self._choose(row.value)
            return
        if event.listing is not self._view.listing:
            return
        self._shows_usage = False
        self._detail.top = 0
        self._draw_detail()
        self._view.moved()

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Into a scope: its memories; into a row: all of it."""
        if event.listing is self._scopes:
            event.stop()
            self._shows_scopes = False
            self._share_room(self.size.width, self.size.height)
            if event.row.value != self._standing:
                self._choose(event.row.value)
            self.main.focus()

    @property
    def _standing(self) -> Choice:
        """The node of the tree that what is shown belongs to."""
        if self._choice[1] or self._view is self._items:
            return self._choice
        return ("timeline" if self._view is self._timeline else "proposals", "")

    def _choose(self, choice: Choice) -> None:
        self._shows_usage = False
        if choice[0] in _VIEWS:
            self._choice = ("kept", "")
            if choice[0] == "timeline":
                self.show_timeline({}, here=False)
            else:
                self.show_proposals(here=False)
            return
        self._choice = choice
        self._show(self._items, here=False)
        self._items.choose(choice)

    def _show(self, view: MemoryView, *, here: bool) -> None:
        """Bring one of the lists in sight; `here`: and stand in it."""
        if view.parent is None:
            self._right.mount(view)
        for one in (self._items, self._timeline, self._pairs):
            if one is not None:
                one.display = one is view
        self._view, self._told, self._shows_usage = view, None, False
        self._detail.top = 0
        if here:
            self.call_after_refresh(view.listing.focus)
        self._draw_detail()

    def action_scopes(self) -> None:
        """To the tree of scopes, and back."""
        if self.size.width < _WIDE:
            self._shows_scopes = not self._shows_scopes
            self._share_room(self.size.width, self.size.height)
        at_tree = self.app.focused is self._scopes
        (self.main if at_tree else self._scopes).focus()

    def action_find(self) -> None:
        """Search as one types."""
        if self._view is not self._items:
            self._show(self._items, here=False)
        self._items.find()

    def leave(self) -> bool:
        """What `esc` leaves first: the tree, a search, one kind alone, the other lists."""
        if self._shows_scopes and self.size.width < _WIDE:
            self.action_scopes()
            return True
        if self._view.leave():
            return True
        if self._view is self._items:
            return False
        self._back()
        return True

    def _back(self) -> None:
        """To the memories."""
        self._show(self._items, here=True)
        self._begin(partial(self._items.read, again=True))

    # The other lists

    def action_timeline(self) -> None:
        """What happened in the chosen scope, or back to its memories."""
        if self._view is self._timeline:
            self._back()
        else:
            self.show_timeline({})

    def action_life(self) -> None:
        """What happened to the memory under the cursor."""
        known = self._view.item
        if not known:
            self.centre.tell("select a memory", "warn")
            return
        self.show_timeline({"memory": known})

    def action_proposals(self) -> None:
        """Pairs of the chosen scope that could be one, or back to its memories."""
        if self._view is self._pairs:
            self._back()
        else:
            self.show_proposals()

    def show_timeline(self, asked: dict[str, Any], *, here: bool = True) -> None:
        """What happened, as it is asked for by words; without any in the chosen scope."""
        from sparkplug.tui.panes.memory_timeline import MemoryTimeline

        if self._timeline is None:
            self._timeline = MemoryTimeline()
        self._show(self._timeline, here=here)
        scope = self._choice if not asked else ("kept", "")
        self.call_after_refresh(self._timeline.ask, scope, asked)

    def show_proposals(self, *, decided: bool = False, here: bool = True) -> None:
        """Pairs of the chosen scope that could be one."""
        from sparkplug.tui.panes.memory_pairs import MemoryPairs

        if self._pairs is None:
            self._pairs = MemoryPairs()
        self._show(self._pairs, here=here)
        ask = partial(self._pairs.ask, self._choice, decided=decided)
        self.call_after_refresh(ask)

    def settled(self, pair: str) -> None:
        """A pair was decided about, or that was taken back."""
        if self._pairs is not None:
            self._pairs.settled(pair)

    def go_to(self, box: str, row: str | None, filter_text: str) -> None:
        """Stand where `stand` told, in the list that was shown."""
        for view in (self._timeline, self._pairs, self._items):
            if view is not None and view.listing.id == box and view is not self._view:
                self._show(view, here=False)
        super().go_to(box, row, filter_text)

    def stand(self) -> tuple[str, str | None, str]:
        """The box one is in, the row under its cursor, and its filter."""
        box, row, words = super().stand()
        return box or self.main.id or "", row, words

    # The selected one

    def action_usage(self) -> None:
        """How it grew and who uses it, or the memory again."""
        self._shows_usage = not self._shows_usage
        self._detail.top = 0
        self._draw_detail()
        if self._shows_usage:
            self._begin_stats(0.0)

    def _draw_detail(self) -> None:
        if not self._detail.display:
            return
        if self._shows_usage:
            stats = self._stats
            self._detail.retitle("use and growth")
            self._detail.show(lambda width: usage_lines(stats, width) if stats else [])
            return
        known, told = self._view.item, self._told
        if told is not None and told.item.id != known:
            told = None
        title, layout = self._view.detail(told)
        self._detail.retitle(title)
        self._detail.show(layout)
        if known and told is None:
            _: Worker[None] = self.run_worker(
                partial(self._describe, known), group="memory-detail", exclusive=True
            )

    async def _describe(self, known: str) -> None:
        from sparkplug.client import memory

        await asyncio.sleep(_REST_S)
        client = self.store.client
        if client is None or not self.in_sight:
            return
        try:
            told = await memory.describe(client, known)
        except SparkplugError:
            return  # what the row has is shown
        self._told = told
        if self._view.item == known and not self._shows_usage:
            self._draw_detail()
