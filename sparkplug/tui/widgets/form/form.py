"""A form made from a pydantic model: a row for each field, checked as one types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from pydantic import BaseModel
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from sparkplug.tui.widgets.form import draw
from sparkplug.tui.widgets.form.edit import Edit
from sparkplug.tui.widgets.form.fields import Path
from sparkplug.tui.widgets.form.filling import SUBMIT, Filling
from sparkplug.tui.widgets.form.offers import Suggest

_EMPTY = ("", '""', "[]", "{}")


class Form(Filling):
    """The fields of a model, to fill in.

    Posts `Submitted` with the model once all of it holds, `Left` on escape, `Changed` when a
    value changes. `suggest` offers texts for a field as one types.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "next", "complete, next field", show=False, id="form.next"),
        Binding("down", "move(1)", "down", show=False, id="form.down"),
        Binding("up,shift+tab", "move(-1)", "up", show=False, id="form.up"),
        Binding("pagedown", "page(1)", "a page down", show=False, id="form.page-down"),
        Binding("pageup", "page(-1)", "a page up", show=False, id="form.page-up"),
        Binding("enter", "enter", "next, open, hand in", show=False, id="form.enter"),
        Binding("ctrl+s,f8", "submit", "hand in", show=False, id="form.submit"),
        Binding("escape", "leave", "leave", show=False, id="form.leave"),
        Binding("left", "side(-1)", "left, choice before", show=False, id="form.left"),
        Binding("right", "side(1)", "right, next choice", show=False, id="form.right"),
        Binding("ctrl+left", "word(-1)", "a word left", show=False, id="form.word-left"),
        Binding("ctrl+right", "word(1)", "a word right", show=False, id="form.word-right"),
        Binding("home,ctrl+a", "edge(0)", "first character", show=False, id="form.home"),
        Binding("end,ctrl+e", "edge(1)", "last character", show=False, id="form.end"),
        Binding("backspace", "delete(True)", "delete before", show=False, id="form.backspace"),
        Binding("delete", "delete(False)", "delete after", show=False, id="form.delete"),
        Binding("ctrl+w", "delete_word", "delete a word", show=False, id="form.delete-word"),
        Binding("ctrl+u", "clear", "empty the field", show=False, id="form.clear"),
        Binding("ctrl+r", "default", "its default again", show=False, id="form.default"),
        Binding("ctrl+z", "undo", "undo", show=False, id="form.undo"),
        Binding("ctrl+y", "redo", "redo", show=False, id="form.redo"),
    ]

    class Submitted(Message):
        """The form is filled in: the model."""

        def __init__(self, form: Form, value: BaseModel) -> None:
            super().__init__()
            self.form = form
            self.value = value

    class Left(Message):
        """Escape."""

        def __init__(self, form: Form) -> None:
            super().__init__()
            self.form = form

    class Changed(Message):
        """A value is another."""

        def __init__(self, form: Form) -> None:
            super().__init__()
            self.form = form

    def changed(self) -> None:
        """Tell that a value is another."""
        self.post_message(self.Changed(self))

    # Keys

    def action_move(self, by: int) -> None:
        """To the next field, or among the offers."""
        if self._offers.shown and self._offers.move(by):
            self._show()
            return
        order = [field.path for field in self.state.rows()] + [SUBMIT]
        index = order.index(self._at) if self._at in order else 0
        self.go(order[(index + by) % len(order)])

    def action_next(self) -> None:
        """Take what is offered first, or go on."""
        if self._offers.shown:
            self._offers.at = self._offers.at or 0
            self._take_offer()
        else:
            self.action_move(1)

    def action_page(self, by: int) -> None:
        """By a page of fields."""
        order = [field.path for field in self.state.rows()] + [SUBMIT]
        index = order.index(self._at) if self._at in order else 0
        self.go(order[min(max(0, index + by * self.page), len(order) - 1)])

    def action_enter(self) -> None:
        """Take the offer, open what can be opened, hand in, or go on."""
        field = self.field
        if field is None:
            self.action_submit()
        elif self._offers.shown and self._offers.chosen is not None:
            self._take_offer()
        elif field.kind == "section":
            if not self.state.is_on(field):
                self.state.switch(field)
                self.changed()
            else:
                self.state.fold(field)
            self._show()
        elif field.kind == "choice":
            self._drop_list(field)
        else:
            self.action_move(1)

    def action_submit(self) -> None:
        """Hand in; to the first field that is wrong when there is one."""
        found = self.state.submit()
        if found is not None:
            self.post_message(self.Submitted(self, found))
            return
        wrong = self.state.first_wrong()
        self.go(wrong if wrong is not None else SUBMIT)

    def action_leave(self) -> None:
        """Close the offers, or leave."""
        if self._offers.shown:
            self._offers.close()
            self._show()
        else:
            self.post_message(self.Left(self))

    def action_side(self, by: int) -> None:
        """The cursor moves, a choice changes, a section folds."""
        field = self.field
        if field is None:
            return
        if field.kind == "section":
            if (field.path in self.state.closed) is (by > 0) and self.state.is_on(field):
                self.state.fold(field)
        elif field.kind in ("choice", "switch"):
            self._turn(by)
        elif by > 0 and not self.state.is_set(field):
            # The default is there to be changed.
            if self.state.text(field) not in _EMPTY:
                self._edit = Edit(self.state.text(field))
                self._put(self._edit.text)
            return
        else:
            self._edit.move(by)
            self.state.pause()
        self._show()

    def action_word(self, by: int) -> None:
        """By a word."""
        self._edit.move(by, word=True)
        self._show()

    def action_edge(self, end: int) -> None:
        """To the first or last character."""
        self._edit.go(len(self._edit.text) if end else 0)
        self._show()

    def action_delete(self, before: bool) -> None:
        """Take a character away."""
        if self._typed is not None and self._edit.text:
            self._edit.delete(before=before)
            self._retype()

    def action_delete_word(self) -> None:
        """Take the word before away."""
        if self._typed is not None and self._edit.text:
            self._edit.delete(before=True, word=True)
            self._retype()

    def action_clear(self) -> None:
        """Empty the field."""
        if self._typed is not None:
            self._edit = Edit()
            self._put("")

    def action_default(self) -> None:
        """Give the field its default again."""
        if self.field is not None and self.field.kind != "section":
            self._put(None)
            self._take_up()
            self._show()

    def action_undo(self) -> None:
        """Take the last change back."""
        self._step(self.state.undo())

    def action_redo(self) -> None:
        """Do it again."""
        self._step(self.state.redo())

    def _step(self, path: Path | None) -> None:
        if path is not None:
            self.go(path)
            self.changed()

    # The mouse

    def on_click(self, event: Click) -> None:
        """To the row under the mouse; one that is not typed in does what space does."""
        place = event.get_content_offset(self)
        if place is None or not 0 <= place.y < self.page:
            return
        index = self.top + place.y
        if index >= len(self._places):
            return
        found = self._places[index]
        if isinstance(found, int):
            self._offers.at = found
            self._take_offer()
            return
        self.go(found)
        field = self.field
        if field is None:
            self.action_submit()
        elif field.kind == "section":
            self.action_enter()
        elif self._typed is None:
            self._change(field)
        else:
            at = draw.sizes(list(self.state.fields), self.size.width)
            x = max(0, place.x - at.value_at)
            self._edit.go(self._edit.place(x, at.value, secret=field.kind == "secret"))
            self._show()


def offers_from(names: Callable[[], Sequence[str]]) -> Suggest:
    """Offers of names: those in which what is typed occurs, best first."""

    async def suggest(typed: str) -> Sequence[str]:
        from sparkplug.tui.fuzzy import score

        ranked = [(score(typed, name), name) for name in names()]
        return [n for _, n in sorted((-p, n) for p, n in ranked if p is not None)]

    return suggest
