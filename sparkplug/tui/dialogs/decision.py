"""A text to look at before one decides: a difference, or what is wrong with what was written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.widgets.key_row import KeyRow, KeyWord
from sparkplug.tui.widgets.page import Layout, Page

_BORDER = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """A key, what it does in words, and what comes of it."""

    key: str
    words: str
    value: str


YES = Answer("y", "yes", "yes")
NO = Answer("n", "no", "no")


def answer_keys(answers: Iterable[Answer]) -> list[KeyWord]:
    """The keys of answers; the one that does it stands out."""
    return [
        KeyWord(one.key, one.key, f"{one.words} ", "warn" if one.key == "y" else "focus", "text")
        for one in answers
    ]


class Decision(Dialog[str]):
    """Lines, and the keys that answer below them. Enter answers nothing: it is pressed in haste."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer('y')", "yes", show=False, id="decision.yes"),
        Binding("e", "answer('e')", "edit", show=False, id="decision.edit"),
        Binding("o", "answer('o')", "the other", show=False, id="decision.other"),
        Binding("b", "answer('b')", "both", show=False, id="decision.both"),
        Binding("n,q", "answer('n')", "no", show=False, id="decision.no"),
    ]

    def __init__(self, title: str, layout: Layout, answers: Sequence[Answer] = (YES, NO)) -> None:
        super().__init__(classes="deciding")
        self.crumb = title
        self._page = Page(title)
        self._text = layout
        self._answers = {answer.key: answer for answer in answers}
        self._keys = KeyRow()

    def compose(self) -> ComposeResult:
        """The text, and the keys."""
        with Vertical():
            yield self._page
            yield self._keys

    def on_mount(self) -> None:
        """Show them."""
        self._page.focus()
        self._page.show(self._text)
        self._keys.set_keys(answer_keys(self._answers.values()))

    def on_resize(self) -> None:
        """As high as what there is to read, where there is room."""
        self.call_after_refresh(self._grow)

    def _grow(self) -> None:
        most = self.size.height - _BORDER - 1
        self._page.styles.height = max(3, min(len(self._page.lines) + _BORDER, most))

    def action_answer(self, key: str) -> None:
        """Answered, if that is one of the answers."""
        if key in self._answers:
            self.dismiss(self._answers[key].value)
