"""Every change of what is wanted of an agent: when, by whom, why; and going back to before it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.worker import Worker

from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.dialog import FROM_A_PAGE
from sparkplug.tui.dialogs.filtered import Filtered
from sparkplug.tui.difference import difference_lines
from sparkplug.tui.figures import since
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.page import Page
from sparkplug.tui.widgets.table import Column, Table

if TYPE_CHECKING:
    from sparkplug.client.spec_history import SpecRevision

_KEYS = "enter goes back to it · tab reads the difference · r reads anew"

_COLUMNS = (
    Column("rev", 5, lambda r: r.revision, kind="number"),
    Column("when", 16, lambda r: _when(r.changed), pen="dim"),
    Column("who", 12, lambda r: r.changed_by or None, pen="focus", rank=2, full=24),
    Column("change", 18, lambda r: r.what or None, grows=True, full=40),
    Column("why", 10, lambda r: r.reason or None, grows=True, rank=1, full=60, none=""),
)


def _when(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    here = moment.astimezone()
    today = datetime.now(UTC).astimezone().date() == here.date()
    return f"{here:%H:%M:%S}, {since(moment)}" if today else f"{here:%Y-%m-%d %H:%M}"


class SpecHistory(Filtered):
    """The revisions of an agent's spec, and what the one under the cursor changed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="revisions.filter"),
        Binding("tab", "app.focus_next", "the difference", show=False, id="revisions.next"),
        Binding("r", "read", "read anew", id="revisions.read"),
        Binding("y", "copy", "copy the difference", id="revisions.copy"),
        Binding("q", "close", "back", id="revisions.back"),
        *FROM_A_PAGE,
    ]
    topics = frozenset({"agents"})

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self.table = Table(_COLUMNS, key=lambda r: str(r.revision), title=f"history of {agent}")
        super().__init__(self.table, "reading revisions")
        self.crumb = f"history {agent}"
        self.opened = Opened("history", "agent", agent)
        self._page = Page(id="revision-changes")
        self._newest = 0
        self._wanted: object = None

    def compose(self) -> ComposeResult:
        """The revisions, what the selected one changed, and the filter."""
        yield self.table
        yield self._page
        yield self._entry

    def on_mount(self) -> None:
        """Ready."""
        self.table.focus()
        self.table.tell_below(_KEYS)
        self.table.set_empty("reading")
        self.action_read()

    def draw(self) -> None:
        """Another revision is wanted now: read again."""
        view = self.centre.store.view
        wanted = view.desired.get(self._agent) if view is not None else None
        if wanted is not self._wanted:
            self._wanted = wanted
            self.action_read()

    def action_read(self) -> None:
        """As it is now."""
        _: Worker[None] = self.run_worker(self._read, group="read", exclusive=True)

    async def _read(self) -> None:
        from sparkplug.client import spec_history

        async with self.centre.telling(self.crumb):
            found = await spec_history.history(self.centre.client, self._agent)
            self._newest = found[0].revision if found else 0
            self.table.set_empty("nothing is kept of it")
            self.table.set_rows(found)
            self._show()

    def on_listing_moved(self, event: Listing.Moved) -> None:
        """Another revision."""
        event.stop()
        self._show()

    def _show(self) -> None:
        row = self.table.row
        if row is None:
            return
        one: SpecRevision = row.value

        def layout(width: int) -> list[Line]:
            told: list[Line] = (
                [(("warn", p),) for p in wrap(one.reason, width)] if one.reason else []
            )
            if one.removal:
                return [*told, (("bad", "it was removed"),)]
            if not one.changes:
                return [*told, (("dim", "its spec is as before, or the one before is not kept"),)]
            return told + difference_lines("\n".join(one.changes), width)

        now = " (now)" if one.revision == self._newest else ""
        self._page.show(layout)
        self._page.retitle(f"what revision {one.revision}{now} changed", "")

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Enter: want again what was wanted then; it is asked about, with the difference."""
        event.stop()
        one: SpecRevision = event.row.value
        if one.revision == self._newest and not one.removal:
            self.centre.tell("this is what is wanted now", "dim")
        elif one.removal:
            self.centre.tell("this is its removal: choose one before it", "dim")
        else:
            self.centre.ask("agents.undo", {"agent": self._agent, "to": one.revision})

    def action_copy(self) -> None:
        """What is selected, else what the revision changed."""
        row = self.table.row
        self.copy_or("\n".join(row.value.changes) if row is not None else "")
