"""An editor over the pane: a text, the keys, and nothing written is lost unasked."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from sparkplug.tui.dialogs.decision import Answer, Decision
from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.widgets.key_row import KeyRow, KeyWord


class WritingArea(TextArea):
    """Textual's text area, in which whatever was pasted can be undone."""

    def _recompute_cursor_offset(self) -> None:
        # While an undo goes on the cursor is still where the longer text was, and a scrollbar
        # that vanishes asks where that is drawn: github.com/Textualize/textual/issues/6686.
        within = self.clamp_visitable(self.cursor_location)
        self._cursor_offset = self.wrapped_document.location_to_offset(within)


class TextEditor(Dialog[str]):
    """A text to write on. Gives it on `f8` or `ctrl+s`, nothing on escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,f8", "take", "take what is written", show=False, id="editor.take"),
        # Before the area, which would leave itself with it.
        Binding("escape", "close", "leave", show=False, id="editor.leave", priority=True),
    ]
    covers = True

    def __init__(self, area: WritingArea, title: str, crumb: str, takes: str) -> None:
        super().__init__(classes="editing")
        self.crumb = crumb
        self.area = area
        self._first = area.text
        self._title = title
        self._takes = takes
        self._keys = KeyRow()

    def compose(self) -> ComposeResult:
        """The text, what is to be told of it, and the keys."""
        yield self.area
        yield from self.told()
        yield self._keys

    def told(self) -> ComposeResult:
        """What stands between the text and the keys."""
        return ()

    def on_mount(self) -> None:
        """Ready to type."""
        area, pens = self.area, self.centre.pens
        area.border_title = self._title
        area.cursor_blink = False
        area.highlight_cursor_line = False
        area.register_theme(
            TextAreaTheme(
                "sparkplug",
                cursor_style=pens["text"].chain(pens["text"], type(pens["text"])(reverse=True)),
                gutter_style=pens["dim"],
                cursor_line_gutter_style=pens["focus"],
                selection_style=pens["cursor"],
            )
        )
        area.theme = "sparkplug"
        area.focus()
        keys = ("f8", "f8", self._takes), ("escape", "esc", "leave"), ("ctrl+z", "^z", "undo")
        self._keys.set_keys([KeyWord(*one) for one in keys])

    def action_take(self) -> None:
        """Go on with what is written."""
        self.dismiss(self.area.text)

    def action_close(self) -> None:
        """Leave; what was written is lost, so that is asked about."""
        if self.area.text == self._first:
            self.dismiss(None)
            return
        question = Decision(
            "leave it?",
            lambda _: [(("text", "What you wrote is lost."),)],
            (Answer("y", "leave", "yes"), Answer("n", "write on", "no")),
        )
        self.app.push_screen(question, self._leave)

    def _leave(self, answer: str | None) -> None:
        if answer == "yes":
            self.dismiss(None)
