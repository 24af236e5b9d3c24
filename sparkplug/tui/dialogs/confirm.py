"""A question before something that ends work or forgets."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.decision import NO, YES, answer_keys
from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.widgets.key_row import KeyRow
from sparkplug.tui.widgets.page import Page

_BORDER = 2
_LEAST = 3


class Confirm(Dialog[bool]):
    """Yes or no. Enter is not yes: a hasty key must not end anything."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", id="confirm.yes"),
        Binding("n,q", "answer(False)", "no", id="confirm.no"),
    ]

    def __init__(self, title: str, sentence: str) -> None:
        super().__init__(classes="asking")
        self._page = Page(title)
        self._sentence = sentence
        self._keys = KeyRow()

    def compose(self) -> ComposeResult:
        """The question, and the keys that answer."""
        with Vertical():
            yield self._page
            yield self._keys

    def on_mount(self) -> None:
        """Show it."""
        self._page.focus()
        self._page.show(self._lines)
        self._keys.set_keys(answer_keys((YES, NO)))

    def on_resize(self) -> None:
        """As high as what it asks, where there is room."""
        self.call_after_refresh(self._grow)

    def _grow(self) -> None:
        wanted = len(self._page.lines) + _BORDER
        self._page.styles.height = max(_LEAST, min(wanted, self.size.height - 1 - _BORDER))

    def _lines(self, width: int) -> list[Line]:
        return [(("text", line),) for line in wrap(self._sentence, width)]

    def action_answer(self, yes: bool) -> None:
        """Answered."""
        self.dismiss(yes)
