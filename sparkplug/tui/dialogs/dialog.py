"""What every dialog is: over the pane, closed by escape, the header left in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.screen import ModalScreen

from sparkplug.tui.cells import joined
from sparkplug.tui.commands import PANES
from sparkplug.tui.places import Opened
from sparkplug.tui.screen.present import PresentScreen
from sparkplug.tui.widgets.page import Page
from sparkplug.tui.widgets.selecting import LEFT, Selecting

if TYPE_CHECKING:
    from sparkplug.tui.app import SparkplugApp

ResultT = TypeVar("ResultT")

#: What a page binds: all one reads and can come back to leads on as a pane does.
FROM_A_PAGE = (
    *(
        Binding(key, f"app.pane('{pane}')", pane, show=False, id=f"pane.{pane}")
        for pane, key in PANES.items()
    ),
    Binding("ctrl+p,f2", "app.palette", "palette: find and do anything", id="palette"),
    Binding("colon", "app.command", "command line", id="command"),
    Binding("left_square_bracket", "app.history(-1)", "back to where one was", id="history.back"),
    Binding("right_square_bracket", "app.history(1)", "ahead again", id="history.forward"),
)


# The style sheet knows a class by the first of its bases alone, so that one is `ModalScreen`.
class Dialog(ModalScreen[ResultT], Selecting, PresentScreen[ResultT]):
    """A dialog of the control centre."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "back", id="dialog.back"),
        Binding("question_mark", "app.help", "help for where you stand", id="help"),
    ]

    #: What of the store it shows, and so is drawn again for.
    topics: frozenset[str] = frozenset()
    #: Whether it hides all of the pane, which then is not drawn.
    covers = False
    #: Whether one only reads here: what opens a line to type in opens it over this too.
    reads = False
    #: Where one is, in the breadcrumbs.
    crumb = ""
    #: What it is a page of; None for what cannot be come back to.
    opened: Opened | None = None
    _left = False

    @property
    def centre(self) -> SparkplugApp:
        """The app, as what it is."""

        return cast("SparkplugApp", self.app)

    def on_screen_resume(self) -> None:
        """The breadcrumbs lead here now."""
        self.centre.note_place()
        self.centre.draw_frame()

    def on_click(self, event: Click) -> None:
        """The header can be clicked while this is open, where it is in sight."""
        if event.screen_y == 0 and event.button == LEFT:
            self.centre.click_header(event.screen_x)

    def on_unmount(self) -> None:
        """And here no longer."""
        self.centre.note_place()
        if self.covers:
            self.centre.draw_pane()
        self.centre.draw_frame()

    def draw(self) -> None:
        """Show what of `topics` is shown here."""

    def tick(self) -> None:
        """Once a second, on the dialog one is in: ages go on while nothing else changes."""

    def action_close(self) -> None:
        """Back to where one was; out of a selection first."""
        if not self.centre.drop_selection():
            self.dismiss(None)

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Leave, once: of two keys that both end it, the second finds it gone."""
        if self._left or self.app.screen is not self:
            return AwaitComplete()
        self._left = True
        return super().dismiss(result)


class Reading(Dialog[None]):
    """A dialog of one page of text."""

    covers = True
    reads = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "close", "back", id="page.back"),
        Binding("y", "copy", "copy", id="page.copy"),
        *FROM_A_PAGE,
    ]

    def __init__(self, title: str, opened: Opened | None = None) -> None:
        super().__init__(classes="reading")
        self.crumb = title
        self.opened = opened
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
        """What is selected, else all of the text, into the clipboard of the terminal."""
        if not self.centre.copy_selection():
            self.centre.copy(joined(self.page.lines))
