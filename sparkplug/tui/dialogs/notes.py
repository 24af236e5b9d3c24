"""Texts to read: an error with its way out, a description, any lines."""

from __future__ import annotations

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.dialog import Reading
from sparkplug.tui.difference import difference_lines
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.page import Layout


class Note(Reading):
    """Lines to read."""

    def __init__(
        self,
        title: str,
        layout: Layout,
        topics: frozenset[str] = frozenset(),
        opened: Opened | None = None,
    ) -> None:
        super().__init__(title, opened)
        self._text = layout
        self.topics = topics

    def begin(self) -> None:
        """Show them."""
        self.draw()

    def draw(self) -> None:
        """As it is now."""
        self.page.show(self._text)

    def tick(self) -> None:
        """Ages of what goes on."""
        if self.topics:
            self.draw()


def error_note(title: str, error: SparkplugError) -> Note:
    """What went wrong, where, and what to do next."""

    def layout(width: int) -> list[Line]:
        lines: list[Line] = [
            (("bad", "✖ "), ("text", first)) for first in wrap(error.message, width - 2)
        ]
        if error.where:
            lines += [(), *((("dim", line),) for line in wrap(f"at {error.where}", width))]
        if error.hint:
            lines += [(), *((("focus", line),) for line in wrap(error.hint, width))]
        return lines

    return Note(title, layout)


def text_note(title: str, text: str) -> Note:
    """A text to read, as a diff or a history; lines that came and went are told apart."""

    def layout(width: int) -> list[Line]:
        return difference_lines(text, width)

    return Note(title, layout)
