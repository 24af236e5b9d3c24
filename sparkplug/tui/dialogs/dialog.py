"""What every dialog is: over the pane, closed by escape, the header left in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from sparkplug.tui.cells import joined
from sparkplug.tui.widgets.page import Page

if TYPE_CHECKING:
    from sparkplug.tui.app import SparkplugApp

ResultT = TypeVar("ResultT")


class Dialog(ModalScreen[ResultT]):
    """A dialog of the control centre."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "back", id="dialog.back"),
    ]

    #: What of the store it shows, and so is drawn again for.
    topics: frozenset[str] = frozenset()
    #: Where one is, in the breadcrumbs.
    crumb = ""

    @property
    def centre(self) -> SparkplugApp:
        """The app, as what it is."""

        return cast("SparkplugApp", self.app)

    def on_screen_resume(self) -> None:
        """The breadcrumbs lead here now."""
        self.centre.draw_frame()

    def on_unmount(self) -> None:
        """And here no longer."""
        self.centre.draw_frame()

    def draw(self) -> None:
        """Show what of `topics` is shown here."""

    def action_close(self) -> None:
        """Back to where one was."""
        self.dismiss(None)


class Reading(Dialog[None]):
    """A dialog of one page of text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "close", "back", id="page.back"),
        Binding("y", "copy", "copy", id="page.copy"),
    ]

    def __init__(self, title: str) -> None:
        super().__init__(classes="reading")
        self.crumb = title
        self.page = Page(title)

    def compose(self) -> ComposeResult:
        """The page."""
        yield self.page

    def on_mount(self) -> None:
        """Begin."""
        self.page.focus()
        self.begin()

    def begin(self) -> None:
        """Fill the page."""

    def action_copy(self) -> None:
        """The text into the clipboard of the terminal (OSC 52)."""
        self.centre.copy(joined(self.page.lines))
