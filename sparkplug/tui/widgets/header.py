"""The top row: where one stands on the left; the mesh, and what must be known, on the right."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from rich.cells import cell_len
from textual.events import Click

from sparkplug.tui.cells import Line, Span, beside, clean, length
from sparkplug.tui.figures import age
from sparkplug.tui.widgets.lines import OneLine

if TYPE_CHECKING:
    from sparkplug.tui.app import SparkplugApp
    from sparkplug.tui.store import Store


#: A key, what it does, and the action that a click on it is.
Hints = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Crumb:
    """A word of where one stands, and the app's action that leads there; empty: one is there."""

    text: str
    action: str


class Header(OneLine):
    """Breadcrumbs, mesh, hosts, GPUs, the time to the minute, and SIMULATED where it holds.

    A click on a breadcrumb leads there, one on the mesh to the choice of meshes.
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._drawn: object = None
        self._places: list[tuple[int, int, str]] = []

    def draw(
        self, store: Store, crumbs: tuple[Crumb, ...], *, alone: bool = False, hints: Hints = ()
    ) -> None:
        """Show where we are in this mesh now.

        `alone`: a dialog hides the banner, so that a lost connection has to be told here. `hints`
        are those of a page, which hides the footer, in place of how much there is of the mesh.
        """
        width = self.size.width
        minute = int(time.time() // 60)
        cut = _cut(store) if alone else ""
        shown = (
            *(crumbs, store.simulated, store.complete, store.count(), store.mesh),
            *(minute, width, cut, hints),
        )
        if shown == self._drawn:
            return
        self._drawn = shown
        left: list[Span] = [("title", " SparkPlug")]
        places = [(0, 10, "pane('overview')")]
        used = 10
        for crumb in crumbs:
            text = clean(crumb.text)
            left += [("dim", " ▸ "), ("text", text)]
            used += 3 + cell_len(text)
            places.append((used - cell_len(text), used, crumb.action))
        more = _hint_line(hints) if hints else _counts(store)
        right = self._right(store, cut, more)
        if used + length(right) > width:
            # Where one is goes before how much there is of the mesh, which Overview tells too.
            more = ()
            right = self._right(store, cut, more)
        if used + length(right) > width:
            right = self._right(store, cut, more, mesh=False)
        start = max(0, width - length(right))
        places = [(begin, min(end, start), action) for begin, end, action in places]
        for _, text in right:
            size = cell_len(text)
            if text.startswith("mesh "):
                places.append((start, start + size, "contexts"))
            leads = next((action for _, does, action in hints if more and text == f" {does} "), "")
            if leads:
                places.append((start - 1, start + size, leads))
            start += size
        self._places = places
        self.set_line(beside(tuple(left), right, width))

    def action_at(self, x: int) -> str:
        """What a click in a column does; empty for nothing."""
        found = (action for begin, end, action in self._places if begin <= x < end)
        return next(found, "")

    def on_click(self, event: Click) -> None:
        """To where the word that was clicked leads."""
        cast("SparkplugApp", self.app).click_header(event.x)

    def _right(self, store: Store, cut: str, more: Line, *, mesh: bool = True) -> Line:
        found: list[Span] = [("text", " ")]
        if cut:
            found += [("alarm", f" ! {cut} "), ("dim", " ")]
        if store.simulated:
            found += [("alarm", " SIMULATED "), ("dim", " ")]
        if store.mesh and mesh:
            found.append(("dim", f"mesh {clean(store.mesh)} · "))
        found += more
        found.append(("text", f"{datetime.now().astimezone():%H:%M} "))
        return tuple(found)


def _counts(store: Store) -> Line:
    """How much there is of the mesh, once it is read."""
    if not store.complete:
        return ()
    count, gpus = store.count()
    hosts = f"{count} host{'s' * (count != 1)}"
    return (("dim", f"{hosts} · {gpus} GPU{'s' * (gpus != 1)} · "),)


def _hint_line(hints: Hints) -> Line:
    spans = (span for key, does, _ in hints for span in (("focus", key), ("dim", f" {does} ")))
    return (*spans, ("dim", "· "))


def _cut(store: Store) -> str:
    """That there is no connection, in few words; empty while there is one."""
    link = store.link
    if link.state == "lost":
        return f"lost, {age(time.monotonic() - link.since)} old"
    return "no mesh" if link.state in ("away", "broken") else ""


class Banner(OneLine):
    """A row that is there only while the connection is not, and says what to do."""

    def draw(self, store: Store, seconds: float) -> None:
        """Show that what is on the screen is old, and how old."""
        link = store.link
        self.display = link.state in ("lost", "broken", "away")
        if link.state == "lost":
            text = f" ! {link.message}: what you see is {age(seconds)} old; trying again. "
        else:
            text = f" ! {link.message} "
        self.set_line((("alarm", text), ("warn", f" {link.hint}")))
