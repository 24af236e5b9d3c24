"""Proposals in the Memory pane: pairs that say the same or contradict each other, for review."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Span
from sparkplug.tui.panes.memory_columns import Choice, scopes_of, title_of
from sparkplug.tui.panes.memory_pair_lines import pair_lines
from sparkplug.tui.panes.memory_view import MemoryView
from sparkplug.tui.widgets.page import Layout
from sparkplug.tui.widgets.table import Column, Table

if TYPE_CHECKING:
    from sparkplug.schema.memory import MemoryDescription
    from sparkplug.schema.memory_pruning import Proposal

_MOST = 500
#: All are compared with all, which takes its time: not while one only passes by.
_REST_S = 0.25


def _draw_kind(value: Any) -> Span:
    kind, decided = value
    if decided:
        return ("ok", "✔ both" if decided == "both" else "✔ merged")
    return ("bad", "≠ contradicts") if kind == "contradiction" else ("warn", "= same")


def _draw_likeness(value: Any) -> Span:
    return ("dim", "") if not value else ("text", f"{value:.0%}")


PAIR_COLUMNS = (
    Column("kind", 13, lambda p: (p.kind, p.decided), draw=_draw_kind, order=lambda v: v[0]),
    Column("alike", 5, lambda p: p.likeness or None, kind="number", draw=_draw_likeness, rank=3),
    Column("one", 16, lambda p: one_line(p.keep.text) if p.keep else None, grows=True),
    Column("other", 16, lambda p: one_line(p.drop.text), grows=True),
    Column("scope", 12, lambda p: p.drop.scope, rank=2, full=24),
    Column("by", 10, lambda p: p.decided_by or None, extra=True, full=20),
    Column("why", 20, lambda p: one_line(p.decided_why or p.why), extra=True, full=60),
    Column("pair", 17, lambda p: p.id, extra=True, pen="dim"),
)


class MemoryPairs(MemoryView):
    """A list of pairs. `x` shows those that were decided about, to be taken back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "decided", "decided ones, or open ones", id="memory-proposals.decided"),
        Binding("r", "again", "look again", id="memory-proposals.look"),
    ]

    def __init__(self) -> None:
        super().__init__(id="memory-proposals")
        self._rows = Table(
            PAIR_COLUMNS,
            key=lambda p: p.id,
            title="proposals",
            failing=lambda p: p.kind == "contradiction",
            id="memory-proposals-list",
        )
        self._decided = False
        self._told = ""
        self._begun = False
        #: How many are open, once they were looked for.
        self.count: int | None = None

    def compose(self) -> ComposeResult:
        """The list."""
        yield self._rows

    @property
    def listing(self) -> Table:
        """The list."""
        return self._rows

    @property
    def item(self) -> str:
        """Both sides are told of as the proposal has them."""
        return ""

    def ask(self, choice: Choice, *, decided: bool = False) -> None:
        """Look for pairs in a scope; or for what was decided."""
        self.choice, self._decided = choice, decided
        self._rows.name_it("proposals")
        self._rows.set_empty("memories are compared with each other …")
        self._rows.set_rows([])
        self.begin(self.read)

    async def read(self, *, again: bool = False) -> None:
        """Look for pairs, which compares all memories; not for every change of one of them."""
        from sparkplug.client import memory
        from sparkplug.schema.memory_review import ProposalsRequest

        if again and self._begun and not self._decided:
            return
        await asyncio.sleep(_REST_S)
        client = self.client
        if client is None:
            return
        scopes = scopes_of(self.choice)
        try:
            request = ProposalsRequest(scopes=scopes, decided=self._decided, limit=_MOST)
            reply = await memory.proposals(client, request, self._tell)
        except SparkplugError as error:
            self.fail(error)
            return
        self.problem, self._begun = "", True
        some = reply.compared < reply.items
        self._told = f"among the newest {reply.compared} of {reply.items}" if some else ""
        if not self._decided and not scopes:
            self.count = len(reply.proposals)
        self._show(reply.proposals)

    def _tell(self, how_far: str) -> None:
        if how_far and not self._rows.shown:
            self._rows.set_empty(how_far)

    def _show(self, found: list[Proposal]) -> None:
        name = title_of(self.choice)
        of = f" of {name}" if name else ""
        self._rows.name_it(f"decided{of}" if self._decided else f"proposals{of}")
        self._rows.retitle_counts()
        nothing = (
            "nothing was decided yet" if self._decided else "no two say the same or contradict"
        )
        self._rows.set_empty(f"{nothing}{f', {self._told}' if self._told else ''}")
        self._rows.set_rows(found)
        self.shown()

    def settled(self, pair: str) -> None:
        """A pair was decided about, or that was taken back: it is no longer in this list."""
        rows = [self._rows.at(index).value for index in range(self._rows.shown)]
        left = [one for one in rows if one.id != pair]
        if len(left) != len(rows) and self.count is not None and not self._decided:
            self.count -= 1
        self._show(left)

    def action_decided(self) -> None:
        """What was decided, or what is still open."""
        self._begun = False
        self.ask(self.choice, decided=not self._decided)

    def action_again(self) -> None:
        """Compare them again."""
        self._begun = False
        self.begin(partial(self.read))

    def leave(self) -> bool:
        """Back to those that are open. False when these are shown."""
        if not self._decided:
            return False
        self.action_decided()
        return True

    def detail(self, told: MemoryDescription | None) -> tuple[str, Layout]:
        """Both sides, beside each other."""
        row = self._rows.row
        if row is None:
            return "pair", lambda _: []
        one: Proposal = row.value
        return f"pair {one.id}", lambda width: pair_lines(one, width)
