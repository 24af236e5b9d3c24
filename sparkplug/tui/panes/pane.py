"""What every pane is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.containers import Container

from sparkplug.tui.filter import Filter
from sparkplug.tui.widgets.listing import Listing

if TYPE_CHECKING:
    from sparkplug.tui.app import SparkplugApp
    from sparkplug.tui.store import Store, Topics


class Pane(Container):
    """One full screen. Draws what the store holds, when something it shows has changed."""

    #: What of the store this pane shows.
    TOPICS: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        #: Rows to move the cursors of lists to, when they come.
        self._awaited: dict[str, str] = {}

    @property
    def centre(self) -> SparkplugApp:
        """The app, as what it is."""

        return cast("SparkplugApp", self.app)

    @property
    def store(self) -> Store:
        """What is known of the mesh."""
        return self.centre.store

    @property
    def main(self) -> Listing:
        """The list that has the focus at first, and the filter when none other has."""
        raise NotImplementedError

    def draw(self, topics: Topics) -> None:
        """Show what of `topics` is shown here."""
        raise NotImplementedError

    def tick(self) -> None:
        """Once a second while in sight: ages."""

    def leave(self) -> bool:
        """What `esc` leaves before all else in it. False when there is nothing."""
        return False

    @property
    def in_sight(self) -> bool:
        """Whether it is the one that is shown. One that is not draws nothing."""
        return self.centre.pane is self

    # Where one is in it

    @property
    def listings(self) -> dict[str, Listing]:
        """Its lists, by the names under which they are kept."""
        return {box.id or f"list-{n}": box for n, box in enumerate(self.query(Listing))}

    def state(self) -> dict[str, Any]:
        """Its lists as they are set, the row under each cursor, and the box one is in."""
        boxes = {}
        for name, listing in self.listings.items():
            row = {"row": listing.row.key} if listing.row else {}
            boxes[name] = {**listing.state(), **row}
        return {"box": self.stand()[0], "boxes": boxes}

    def restore(self, state: dict[str, Any]) -> None:
        """Set it as it was kept. A row that is not there yet is waited for, see `settle`."""
        boxes, box = state.get("boxes"), state.get("box")
        for name, listing in self.listings.items():
            kept = boxes.get(name) if isinstance(boxes, dict) else None
            if isinstance(kept, dict):
                listing.restore(kept)
                if isinstance(kept.get("row"), str):
                    self._awaited[name] = kept["row"]
        found = self.listings.get(box) if isinstance(box, str) else None
        if found is not None and self.in_sight:
            self.centre.focus_now(found)
        self.settle()

    def settle(self) -> None:
        """Move cursors to the rows they were kept on, once these are there.

        Those that are not there when the mesh was read whole are waited for no longer.
        """
        if not self._awaited:
            return
        lists = self.listings
        for name, key in list(self._awaited.items()):
            if (name in lists and lists[name].select(key)) or self.store.complete:
                del self._awaited[name]

    def stand(self) -> tuple[str, str | None, str]:
        """The box one is in, the row under its cursor, and its filter."""
        focused = self.app.focused
        inside = focused is not None and self in focused.ancestors
        listing = focused if inside and isinstance(focused, Listing) else self.main
        box = focused.id if inside and focused is not None and focused is not self.main else None
        return box or "", listing.row.key if listing.row else None, listing.wanted.text

    def go_to(self, box: str, row: str | None, filter_text: str) -> None:
        """Stand where `stand` told."""
        found = next(iter(self.query(f"#{box}")), None) if box else self.main
        listing = found if isinstance(found, Listing) else self.main
        if listing.wanted.text != filter_text:
            listing.wanted = Filter(filter_text, listing.column_names)
        if row is not None:
            listing.select(row)
        if found is not None:
            self.centre.focus_now(found)
