"""What every pane is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import Container

from sparkplug.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from sparkplug.tui.app import SparkplugApp
    from sparkplug.tui.store import Store, Topics


class Pane(Container):
    """One full screen. Draws what the store holds, when something it shows has changed."""

    #: What of the store this pane shows.
    TOPICS: ClassVar[frozenset[str]] = frozenset()

    @property
    def centre(self) -> SparkplugApp:
        """The app, as what it is."""

        return cast("SparkplugApp", self.app)

    @property
    def store(self) -> Store:
        """What is known of the mesh."""
        return self.centre.store

    @property
    def main(self) -> Rows:
        """The list that has the focus at first, and the filter when none other has."""
        raise NotImplementedError

    def draw(self, topics: Topics) -> None:
        """Show what of `topics` is shown here."""
        raise NotImplementedError

    def tick(self) -> None:
        """Once a second while in sight: ages."""

    def describe(self) -> None:
        """Open what is under the cursor."""
