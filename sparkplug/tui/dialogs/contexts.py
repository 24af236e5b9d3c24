"""The choice of meshes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical

from sparkplug.tui.cells import fit
from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.rows import Row, Rows

if TYPE_CHECKING:
    from sparkplug.contexts import Context


class ContextsDialog(Dialog[str]):
    """Every context there is; enter looks at its mesh."""

    crumb = "meshes"

    def __init__(self, contexts: Sequence[Context], current: str) -> None:
        super().__init__(classes="choosing")
        self._contexts = contexts
        self._current = current
        self._rows = Rows("meshes", empty="the settings are not read yet")

    def compose(self) -> ComposeResult:
        """The list."""
        with Vertical():
            yield self._rows

    def on_mount(self) -> None:
        """Begin on the mesh one is on."""
        rows = []
        for context in self._contexts:
            here = context.name == self._current
            line = (
                ("focus" if here else "text", f"{'●' if here else ' '} {fit(context.name, 16)} "),
                ("dim", f"{context.url or 'this host'}  {context.description}"),
            )
            rows.append(Row(context.name, line, context.name))
        self._rows.set_rows(rows)
        self._rows.fit_rows()
        self._rows.select(self._current)
        self._rows.focus()

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Enter, or a click."""
        event.stop()
        self.dismiss(event.row.key)
