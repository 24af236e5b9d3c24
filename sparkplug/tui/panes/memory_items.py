"""The memories of a scope, newest first, as far as they were read; or what a search found."""

from __future__ import annotations

import asyncio
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.panes.memory_columns import (
    MEMORY_COLUMNS,
    Choice,
    is_failing,
    scopes_of,
    title_of,
)
from sparkplug.tui.panes.memory_lines import memory_lines
from sparkplug.tui.panes.memory_list import MemoryList
from sparkplug.tui.panes.memory_view import NEAR, MemoryView
from sparkplug.tui.widgets.entry import Entry
from sparkplug.tui.widgets.page import Layout

if TYPE_CHECKING:
    from sparkplug.schema.memory import MemoryDescription, MemoryItem

#: Memories that are asked for at once: first those that fill a screen, then more at a time; and
#: as many as a page may have.
_FIRST, _MORE, _MOST = 200, 1000, 5000
_HITS = 100
#: A pause in typing before it is searched.
_PAUSE_S = 0.06
_NOTHING = {
    "kept": "nothing is remembered here yet: `:memory add TEXT` adds something",
    "quarantined": "nothing waits for a review",
    "deleted": "nothing was deleted that could be had back",
}


class MemoryItems(MemoryView):
    """A list that reaches as far as there are memories, and a line to search them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("O", "older", "read older ones", show=False, id="memory.older"),
    ]

    def __init__(self) -> None:
        super().__init__(id="memory-items")
        self._rows = MemoryList(
            MEMORY_COLUMNS,
            key=attrgetter("id"),
            title="memories",
            failing=is_failing,
            id="memory-list",
        )
        self._rows.show_hits(False)
        self._entry = Entry(prefix="search ", id="memory-find")
        self._entry.display = False
        self._items: list[MemoryItem] = []
        self._total = 0
        #: How many newer ones there are than the first that was read: not 0 at the far end.
        self._newer = 0
        self._query = ""
        #: What was shown before it was searched.
        self._before = self.choice
        self._reading = False

    def compose(self) -> ComposeResult:
        """The line to search, while one does, and the list."""
        yield self._entry
        yield self._rows

    @property
    def listing(self) -> MemoryList:
        """The list."""
        return self._rows

    @property
    def item(self) -> str:
        """The memory under the cursor."""
        row = self._rows.row
        return row.value.id if row is not None else ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was read yet."""
        return not self._items

    def detail(self, told: MemoryDescription | None) -> tuple[str, Layout]:
        """The memory under the cursor."""
        row = self._rows.row
        if row is None:
            return "memory", lambda _: []
        item: MemoryItem = row.value
        return "memory", lambda width: memory_lines(item, told, width)

    def choose(self, choice: Choice) -> None:
        """Show the memories of another scope, or state."""
        self.choice, self._items, self._query, self._newer = choice, [], "", 0
        self._entry.display = False
        self.begin(partial(self._read_page, afresh=True))

    async def read(self, *, again: bool = False) -> None:
        """The newest of what is chosen, or what is searched."""
        if self._query:
            await self._search(self._query, again=again)
        else:
            await self._read_page(afresh=True)

    async def _read_page(self, *, afresh: bool, limit: int = _FIRST) -> None:
        from sparkplug.client import memory
        from sparkplug.schema.memory import MemoryState
        from sparkplug.schema.memory_requests import ListRequest

        client = self.client
        if client is None:
            return
        self._reading = True
        try:
            request = ListRequest(
                scopes=scopes_of(self.choice),
                state=MemoryState(self.choice[0]),
                offset=self._newer + (0 if afresh else len(self._items)),
                limit=min(_MOST, max(limit, len(self._items))) if afresh else limit,
            )
            page = await memory.list_items(client, request)
        except SparkplugError as error:
            self._items, self._total = [], 0
            self.fail(error)
            return
        finally:
            self._reading = False
        self.problem = ""
        if afresh:
            self._items = list(page.items)
        else:
            known = {item.id for item in self._items}
            self._items += [item for item in page.items if item.id not in known]
        self._total = page.total
        self._show()

    def _show(self) -> None:
        state, scope = self.choice[0], title_of(self.choice)
        title = self._query and f"search {self._query}"
        title = title or scope or (state if state != "kept" else "memories")
        if self._total > len(self._items) and not self._query:
            last = self._newer + len(self._items)
            title += f" ({f'{self._newer + 1}-{last} ' if self._newer else ''}of {self._total})"
        self._rows.name_it(title)
        self._rows.show_hits(bool(self._query))
        self._rows.set_empty(self.problem or _NOTHING[state])
        self._rows.set_rows(self._items)
        self.shown()

    # Moving

    def moved(self) -> None:
        """Near an end of what was read, more is."""
        row = self._rows.row
        if row is None:
            return
        place = self._rows.place_of(row.key) or 0
        if place >= self._rows.shown - NEAR:
            self.action_older()
        elif place < NEAR:
            self._read_newer()

    def action_older(self) -> None:
        """Read more of the list."""
        if self._reading or self._query or self._newer + len(self._items) >= self._total:
            return
        self._reading = True
        self.begin(partial(self._read_page, afresh=False, limit=_MORE), instead=False)

    def _read_newer(self) -> None:
        """Read back towards the newest, from a window at the far end."""
        if self._reading or self._query or not self._newer:
            return
        self._reading = True
        self.begin(self._read_before, instead=False)

    async def _read_before(self) -> None:
        held, newer = self._items, self._newer
        if not newer:
            self._reading = False  # one went to the first of all meanwhile
            return
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
        self.begin(partial(self._jump, event.where, last))

    async def _jump(self, where: str, newer: int) -> None:
        self._items, self._newer = [], newer
        await self._read_page(afresh=True, limit=_MORE if where == "last" else _FIRST)
        self._rows.go_there(where)

    # Searching

    def find(self) -> None:
        """Search as one types; what is in quarantine or deleted nobody finds."""
        if not self._entry.display:
            self._before = self.choice
        if self.choice[0] != "kept":
            self.choice = ("kept", "")
        self._entry.display = True
        self._entry.type_here()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Another question."""
        event.stop()
        self._query = event.value.strip()
        if self._query:
            self.begin(partial(self._search, self._query))
        else:
            self.begin(partial(self._read_page, afresh=True))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Into what was found."""
        event.stop()
        self._rows.focus()

    def leave(self) -> bool:
        """Out of the search. False when nothing is searched."""
        if not self._entry.display:
            return False
        self._entry.display = False
        self._entry.value = ""
        self._query = ""
        self.choice = self._before
        self._rows.focus()
        self.begin(partial(self._read_page, afresh=True))
        return True

    async def _search(self, query: str, *, again: bool = False) -> None:
        from sparkplug.client import memory
        from sparkplug.schema.memory_requests import SearchRequest

        await asyncio.sleep(_PAUSE_S)
        client = self.client
        if client is None:
            return
        scopes = scopes_of(self.choice)
        request = SearchRequest(query=query[:10_000], scopes=scopes, limit=_HITS)
        try:
            reply = await memory.search(client, request)
        except SparkplugError as error:
            self._items, self._total = [], 0
            self.fail(error)
            return
        self.problem = "nothing fits"
        self._items, self._total = list(reply.hits), len(reply.hits)
        self._rows.sort(None)
        self._show()
        if again:
            return
        if self._rows.shown:
            self._rows.action_go("first")
        note = f", {reply.note}" if reply.note else ""
        self.centre.tell(f"{len(reply.hits)} found in {reply.took_ms:.0f} ms{note}", "dim")
