"""Memory: what agents know, whose it is, where it is from; searched as one types, corrected."""

from __future__ import annotations

import asyncio
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.widgets import Input
from textual.worker import Worker, WorkType

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.panes.memory_columns import (
    MEMORY_COLUMNS,
    Choice,
    is_failing,
    scope_nodes,
    usage_lines,
)
from sparkplug.tui.panes.memory_lines import memory_lines
from sparkplug.tui.panes.memory_list import MemoryList
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.widgets.entry import Entry
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.page import Page
from sparkplug.tui.widgets.tree import Tree

if TYPE_CHECKING:
    from sparkplug.schema.memory import MemoryDescription, MemoryItem, MemoryStats
    from sparkplug.tui.store import Topics

#: Memories that are asked for at once: first those that fill a screen, then more at a time; and
#: as many as a page may have.
_FIRST, _MORE, _MOST = 200, 1000, 5000
#: Rows from the end of what was read at which more is.
_NEAR = 100
_HITS = 100
#: A pause in typing before it is searched, and of the cursor before all is read of a row.
_PAUSE_S, _REST_S = 0.06, 0.12
#: What others change is shown this often.
_AGAIN_S = 2.0
_WIDE, _TALL = 100, 18


class MemoryPane(Pane):
    """A tree of scopes, the memories of the chosen one, and the selected one in full."""

    TOPICS: ClassVar[frozenset[str]] = frozenset({"events", "link"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "find", "search by meaning and words", id="memory.find"),
        Binding("v", "usage", "use and growth, or the memory", show=False, id="memory.usage"),
        Binding("O", "older", "read older ones", show=False, id="memory.older"),
    ]

    def __init__(self) -> None:
        super().__init__(id="memory")
        self._scopes = Tree("scopes", id="memory-scopes")
        self._rows = MemoryList(
            MEMORY_COLUMNS,
            key=attrgetter("id"),
            title="memories",
            failing=is_failing,
            id="memory-list",
        )
        self._detail = Page(id="memory-detail")
        self._entry = Entry(prefix="search ", id="memory-find")
        self._entry.display = False
        self._choice: Choice = ("kept", "")
        self._items: list[MemoryItem] = []
        self._total = 0
        #: How many newer ones there are than the first that was read: not 0 at the far end.
        self._newer = 0
        self._stats: MemoryStats | None = None
        self._told: MemoryDescription | None = None
        self._problem = ""
        self._query = ""
        self._shows_usage = False
        self._reading = False
        self._events = 0
        self._read_once = False

    def compose(self) -> ComposeResult:
        """The tree beside the list; below them what is selected."""
        with Horizontal(id="memory-area"):
            yield self._scopes
            with Vertical(id="memory-right"):
                yield self._entry
                yield self._rows
        yield self._detail

    @property
    def main(self) -> Listing:
        """The list."""
        return self._rows

    def on_resize(self, event: Resize) -> None:
        """Where there is little room the list has it."""
        self._scopes.display = event.size.width >= _WIDE
        self._detail.display = event.size.height >= _TALL
        self._detail.styles.height = max(8, event.size.height * 2 // 5)
        self.call_after_refresh(self._draw_detail)

    # What is shown

    def draw(self, topics: Topics) -> None:
        """Read what there is, at first and when somebody changed something."""
        nothing = self._problem or "nothing is remembered here yet"
        self._rows.set_empty(waiting(self.store, nothing))
        if self.store.client is None:
            return
        view = self.store.view
        count = 0
        if view is not None:
            count = max(
                (e.sequence or 0 for e in view.events if e.name.startswith("memory:")), default=0
            )
        if not self._read_once or "link" in topics or count != self._events:
            self._read_once, self._events = True, count
            self._begin(partial(self._read_all, 0.0 if not self._items else _AGAIN_S))

    def tick(self) -> None:
        """Ages."""
        self._rows.tick()

    def _begin(self, work: WorkType[None]) -> None:
        self.run_worker(work, group="memory", exclusive=True)

    async def _read_all(self, pause: float) -> None:
        """The newest of the chosen scope; figures after them."""
        await asyncio.sleep(pause)
        self._told = None
        if self._query:
            await self._search(self._query, again=True)
        else:
            await self._read_page(afresh=True)
        await self._read_stats()

    async def _read_page(self, *, afresh: bool, limit: int = _FIRST) -> None:
        from sparkplug.client import memory
        from sparkplug.schema.memory import ListRequest, MemoryState

        client = self.store.client
        if client is None:
            return
        state, scope = self._choice
        self._reading = True
        try:
            request = ListRequest(
                scopes=[scope] if scope else [],
                state=MemoryState(state),
                offset=self._newer + (0 if afresh else len(self._items)),
                limit=min(_MOST, max(limit, len(self._items))) if afresh else limit,
            )
            page = await memory.list_items(client, request)
        except SparkplugError as error:
            self._fail(error)
            return
        finally:
            self._reading = False
        self._problem = ""
        if afresh:
            self._items = list(page.items)
        else:
            known = {item.id for item in self._items}
            self._items += [item for item in page.items if item.id not in known]
        self._total = page.total
        self._show_rows()

    async def _read_stats(self) -> None:
        from sparkplug.client import memory

        client = self.store.client
        if client is None:
            return
        try:
            self._stats = await memory.stats(client)
        except SparkplugError as error:
            self._fail(error)
            return
        self._scopes.set_nodes(scope_nodes(self._stats), open_to=2)
        if self._shows_usage:
            self._draw_detail()

    def _fail(self, error: SparkplugError) -> None:
        """The list says what is wrong: that the memory is away is no empty list."""
        self._problem = f"{error.message}{f'; {error.hint}' if error.hint else ''}"
        self._items, self._total, self._stats = [], 0, None
        self._rows.set_empty(self._problem)
        self._show_rows()

    def _show_rows(self) -> None:
        state, scope = self._choice
        title = self._query and f"search {self._query}"
        title = title or scope or (state if state != "kept" else "memories")
        if self._total > len(self._items) and not self._query:
            last = self._newer + len(self._items)
            title += f" ({f'{self._newer + 1}-{last} ' if self._newer else ''}of {self._total})"
        self._rows.name_it(title)
        self._rows.set_empty(self._problem or "nothing is remembered here yet")
        self._rows.set_rows(self._items)
        self.settle()
        self._draw_detail()

    # Moving

    def on_listing_moved(self, event: Listing.Moved) -> None:
        """Another memory, or another scope."""
        if event.listing is self._scopes:
            row = self._scopes.row
            if row is not None and row.value is not None and row.value != self._choice:
                self._choose(row.value)
            return
        self._shows_usage = False
        self._detail.top = 0
        self._draw_detail()
        row = self._rows.row
        if row is None:
            return
        place = self._rows.place_of(row.key) or 0
        if place >= self._rows.shown - _NEAR:
            self.action_older()
        elif place < _NEAR:
            self._read_newer()

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Into a scope: its memories; into a memory: all of it."""
        if event.listing is self._scopes:
            event.stop()
            self._choose(event.row.value)
            self._rows.focus()

    def _choose(self, choice: Choice) -> None:
        self._choice, self._items, self._query, self._newer = choice, [], "", 0
        self._entry.display = False
        self._begin(partial(self._read_page, afresh=True))

    def action_older(self) -> None:
        """Read more of the list."""
        if self._reading or self._query or self._newer + len(self._items) >= self._total:
            return
        self._reading = True
        _: Worker[None] = self.run_worker(
            partial(self._read_page, afresh=False, limit=_MORE), group="memory"
        )

    def _read_newer(self) -> None:
        """Read back towards the newest, from a window at the far end."""
        if self._reading or self._query or not self._newer:
            return
        self._reading = True
        _: Worker[None] = self.run_worker(self._read_before, group="memory")

    async def _read_before(self) -> None:
        held, newer = self._items, self._newer
        self._newer = max(0, newer - _MORE)
        await self._read_page(afresh=True, limit=newer - self._newer + len(held))

    def on_memory_list_went(self, event: MemoryList.Went) -> None:
        """To the end of all there is: of what lies between nothing is read."""
        event.stop()
        if self._query or self._rows.sorted_by is not None or self._rows.wanted.text:
            return  # the end of what is shown is the end that is meant
        last = max(0, self._total - _MORE) if event.where == "last" else 0
        reaches = self._newer + len(self._items) >= self._total
        if (event.where == "last" and reaches) or (event.where == "first" and not self._newer):
            return
        self._begin(partial(self._jump, event.where, last))

    async def _jump(self, where: str, newer: int) -> None:
        self._items, self._newer = [], newer
        await self._read_page(afresh=True, limit=_MORE if where == "last" else _FIRST)
        Listing.action_go(self._rows, where)

    # Searching

    def action_find(self) -> None:
        """Search as one types."""
        self._entry.display = True
        self._entry.type_here()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Another question."""
        event.stop()
        self._query = event.value.strip()
        if self._query:
            self._begin(partial(self._search, self._query))
        else:
            self._begin(partial(self._read_page, afresh=True))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Into what was found."""
        event.stop()
        self._rows.focus()

    def leave(self) -> bool:
        """What `esc` leaves first. False when nothing is searched."""
        if not self._entry.display:
            return False
        self._entry.display = False
        self._entry.value = ""
        self._query = ""
        self._rows.focus()
        self._begin(partial(self._read_page, afresh=True))
        return True

    async def _search(self, query: str, *, again: bool = False) -> None:
        from sparkplug.client import memory
        from sparkplug.schema.memory import SearchRequest

        await asyncio.sleep(_PAUSE_S)
        client = self.store.client
        if client is None:
            return
        _, scope = self._choice
        request = SearchRequest(query=query[:10_000], scopes=[scope] if scope else [], limit=_HITS)
        try:
            reply = await memory.search(client, request)
        except SparkplugError as error:
            self._fail(error)
            return
        self._problem = "nothing fits"
        self._items, self._total = list(reply.hits), len(reply.hits)
        self._rows.sort(None)
        self._show_rows()
        if again:
            return
        if self._rows.shown:
            self._rows.action_go("first")
        note = f", {reply.note}" if reply.note else ""
        self.centre.tell(f"{len(reply.hits)} found in {reply.took_ms:.0f} ms{note}", "dim")

    # The selected one

    def action_usage(self) -> None:
        """How it grew and who uses it, or the memory again."""
        self._shows_usage = not self._shows_usage
        self._detail.top = 0
        self._draw_detail()
        if self._shows_usage:
            self._begin(partial(self._read_all, 0.0))

    def _draw_detail(self) -> None:
        if not self._detail.display:
            return
        if self._shows_usage:
            stats = self._stats
            self._detail.retitle("use and growth")
            self._detail.show(lambda width: usage_lines(stats, width) if stats else [])
            return
        row = self._rows.row
        item: MemoryItem | None = row.value if row else None
        if item is None:
            self._detail.retitle("")
            self._detail.show(lambda _: [])
            return
        told = self._told
        self._detail.retitle("memory")
        self._detail.show(lambda width: memory_lines(item, told, width))
        if told is None or (told.item.id, told.item.version) != (item.id, item.version):
            _: Worker[None] = self.run_worker(
                partial(self._describe, item.id), group="memory-detail", exclusive=True
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
        row = self._rows.row
        if row is not None and row.key == known:
            item = row.value
            self._detail.show(lambda width: memory_lines(item, told, width))
