"""What can stand beside the tree of the Memory pane: a list, read from the memory and told of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from textual.containers import Vertical
from textual.message import Message

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.widgets.page import Layout
from sparkplug.tui.widgets.table import Table

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.memory import MemoryDescription
    from sparkplug.tui.app import SparkplugApp
    from sparkplug.tui.panes.memory_columns import Choice

#: Rows from the end of what was read at which more is.
NEAR = 100


class MemoryView(Vertical):
    """A list of one kind. Says that it was `Read`, and has its `Work` done by the pane."""

    class Read(Message):
        """It shows something else."""

    class Work(Message):
        """This is to be done now: beside what is being done, or `instead` of it."""

        def __init__(self, work: Any, instead: bool) -> None:
            super().__init__()
            self.work = work
            self.instead = instead

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.choice: Choice = ("kept", "")
        self.problem = ""
        #: Whether it shows what is there, or why that is not known.
        self.was_read = False

    @property
    def listing(self) -> Table:
        """The list itself."""
        raise NotImplementedError

    @property
    def item(self) -> str:
        """The id of the memory under the cursor, that is told of below; empty: none."""
        raise NotImplementedError

    async def read(self, *, again: bool = False) -> None:
        """Read what there is; `again`: what was read may be another by now."""
        raise NotImplementedError

    def detail(self, told: MemoryDescription | None) -> tuple[str, Layout]:
        """What is told of the row under the cursor, and what that is called."""
        raise NotImplementedError

    def moved(self) -> None:
        """The cursor stands on another row."""

    def leave(self) -> bool:
        """What `esc` leaves before the view itself. False when there is nothing."""
        return False

    @property
    def centre(self) -> SparkplugApp:
        """The app, as what it is."""
        return cast("SparkplugApp", self.app)

    @property
    def client(self) -> Client | None:
        """The client of the mesh, while there is a connection."""
        return self.centre.store.client

    def begin(self, work: Any, *, instead: bool = True) -> None:
        """Have something done, instead of what is being done; what goes on is ended with it."""
        self.post_message(self.Work(work, instead))

    def fail(self, error: SparkplugError) -> None:
        """The list says what is wrong: that the memory is away is no empty list."""
        self.problem = f"{error.message}{f'; {error.hint}' if error.hint else ''}"
        self.listing.set_empty(self.problem)
        self.listing.set_rows([])
        self.shown()

    def shown(self) -> None:
        """It shows something else now."""
        self.was_read = True
        self.post_message(self.Read())
