"""The rows of a form: where one is, what is drawn, what is typed and offered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from pydantic import BaseModel
from rich.style import Style
from textual.events import Blur, Focus, Key, Paste
from textual.strip import Strip
from textual.worker import Worker

from sparkplug.schema.text import strip_controls
from sparkplug.tui.cells import Line, strip
from sparkplug.tui.widgets.form import draw
from sparkplug.tui.widgets.form.edit import Edit
from sparkplug.tui.widgets.form.fields import Field, Path
from sparkplug.tui.widgets.form.offers import Offers, Suggest
from sparkplug.tui.widgets.form.state import Check, FormState
from sparkplug.tui.widgets.lines import Lines, standing

#: Characters a field takes.
_LONGEST = 1 << 16
#: Rows below which what is said of a field has no room.
_ROWS_FOR_ABOUT = 5
_ROWS_FOR_TWO = 9
#: The path of the row that hands the form in.
SUBMIT: Path = ()


class Filling(Lines, can_focus=True):
    """The fields of a model with a cursor, and the text one types in one of them."""

    def __init__(
        self,
        model: type[BaseModel],
        instance: BaseModel | None = None,
        *,
        title: str = "",
        submit: str = "ok",
        suggest: Mapping[Path, Suggest] | None = None,
        first: Sequence[str] = (),
        check: Check | None = None,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(title, id=id)
        self.state = FormState(model, instance, first=first, check=check)
        self._submit = submit
        self._label = title
        self._suggest = dict(suggest or {})
        self._offers = Offers()
        self._about: list[Line] = []
        self._at: Path = self.state.fields[0].path if self.state.fields else SUBMIT
        self._edit = Edit()
        #: The row of the field under the cursor, and how many fields are wrong.
        self._row = self._to_mend = 0
        self._take_up()

    # Where one is

    @property
    def field(self) -> Field | None:
        """The field under the cursor; None on the row that hands the form in."""
        return self.state.field(self._at) if self._at else None

    @property
    def value(self) -> BaseModel | None:
        """The model as it is now; None while something is wrong."""
        return self.state.value

    def go(self, path: Path) -> None:
        """Move to a field; the sections it is in are opened."""
        self.state.pause()
        self.state.open_to(path)
        self._at = path
        self._take_up()
        self._show()

    def fill(self, instance: BaseModel) -> None:
        """Put the values of `instance` into all fields; undone in one step."""
        self.state.fill(instance)
        self._take_up()
        self._show()
        self.changed()

    def doubt(self, path: Path, text: str) -> None:
        """Say what is doubtful about a field, which can be handed in all the same; "": nothing."""
        if self.state.doubts.get(path, "") != text:
            self.state.doubts = {**self.state.doubts, path: text}
            self._show()

    def check(self) -> None:
        """Draw it again: what it is checked against is another."""
        self.state.check()
        self._show()

    def name_it(self, title: str) -> None:
        """What stands in the border."""
        self._label = title
        self._show()

    def offer(self) -> None:
        """Offer what the field under the cursor could become."""
        self._look_for_offers()

    def _take_up(self) -> None:
        """Begin to type in the field under the cursor."""
        field = self.field
        self._offers.close()
        given = field is not None and self.state.is_set(field)
        self._edit = Edit(self.state.text(field) if given and field is not None else "")

    @property
    def _typed(self) -> Field | None:
        """The field one types in, when the one under the cursor is such."""
        field = self.field
        return field if field and field.kind not in ("switch", "choice", "section") else None

    # What is drawn

    @property
    def page(self) -> int:
        """Rows of fields that fit, above what is told of the one under the cursor."""
        return max(1, self.size.height - self._told_rows)

    @property
    def _told_rows(self) -> int:
        height = self.size.height
        return 0 if height < _ROWS_FOR_ABOUT else 1 if height < _ROWS_FOR_TWO else 2

    def on_mount(self) -> None:
        """Draw."""
        self._show()

    def resized(self) -> None:
        """Another width."""
        self._show()

    def on_focus(self, _event: Focus) -> None:
        """The cursor is one to type at."""
        self._show()

    def on_blur(self, _event: Blur) -> None:
        """It is so no longer."""
        self._show()

    def _show(self) -> None:
        width = self.size.width
        if width <= 0:
            return
        rows = self.state.rows()
        at = draw.sizes(list(self.state.fields), width)
        lines: list[Line] = []
        self._places: list[Path | int] = []
        cursor = 0
        for field in rows:
            here = field.path == self._at
            if here:
                cursor = len(lines)
            lines.append(self._field_line(field, at, here))
            self._places.append(field.path)
            if here and self._offers.shown:
                for index, text in self._offers.window():
                    lines.append(draw.offer_line(text, at, chosen=index == self._offers.at))
                    self._places.append(index)
        on = self._at == SUBMIT
        count = sum(bool(self.state.wrong(field)) for field in self.state.fields)
        focused = self.has_focus if on else None
        lines.append(draw.submit_line(self._submit, focused=focused))
        self._to_mend = count + bool(self.state.problem)
        self._places.append(SUBMIT)
        cursor = self._row = len(lines) - 1 if on else cursor
        self.set_lines(lines)
        self._follow(cursor, cursor + len(self._offers.window()) if self._offers.shown else cursor)
        self._tell(draw.about_lines(self.state, self.field, width, self._told_rows))
        self._tell_below()

    def _tell_below(self) -> None:
        """Where one stands, once not all fits, and how many fields are wrong."""
        stands = standing(self._row, self.top, self.page, len(self.lines))
        wrong = f"{self._to_mend} to mend" if self._to_mend else ""
        self.retitle(self._label, " · ".join(filter(None, (stands, wrong))))

    def scroll_lines(self, by: int) -> None:
        """Move what is shown by so many rows."""
        super().scroll_lines(by)
        self._tell_below()

    def _field_line(self, field: Field, at: draw.Sizes, here: bool) -> Line:
        if here and self._typed is not None:
            caret = self.pens["text"] + Style(reverse=True)
            return draw.edited_line(
                self.state, field, at, self._edit, caret, focused=self.has_focus
            )
        return draw.field_line(self.state, field, at, focused=self.has_focus if here else None)

    def _tell(self, about: list[Line]) -> None:
        if about != self._about:
            self._about = about
            for y in range(self.page, self.size.height):
                self.refresh_row(y)

    def _follow(self, first: int, last: int) -> None:
        """Keep the cursor, and the offers below it, in sight."""
        if last >= self.top + self.page:
            self.scroll_lines(last - self.top - self.page + 1)
        if first < self.top:
            self.scroll_lines(first - self.top)

    def render_line(self, y: int) -> Strip:
        """One row, as Textual asks for it."""
        if y < self.page:
            return super().render_line(y)
        index = y - self.page
        line = self._about[index] if index < len(self._about) else ()
        return strip(line, self.size.width, self.pens, self.rich_style)

    # What is typed

    def _put(self, text: str | None, *, merge: bool = False) -> None:
        field = self.field
        if field is None:
            return
        before = self.state.texts.get(field.path)
        self.state.put(field.path, text, merge=merge)
        if self.state.texts.get(field.path) != before:
            self.changed()
        self._show()

    def _retype(self) -> None:
        """The text one types in was changed."""
        self._put(self._edit.text, merge=True)
        self._look_for_offers()

    def on_key(self, event: Key) -> None:
        """Letters are typed; space changes what is not typed."""
        if event.character is None or not event.is_printable or self.field is None:
            return
        event.stop()
        event.prevent_default()
        self._letter(event.character)

    def _letter(self, letter: str) -> None:
        field = self.field
        if field is None:
            return
        if self._typed is not None:
            if len(self._edit.text) < _LONGEST:
                self._edit.insert(letter)
                self._retype()
        elif letter == " ":
            self._change(field)
        elif field.kind in ("choice", "switch"):
            self._begin_with(field, letter)

    def _change(self, field: Field) -> None:
        """Space on what is not typed."""
        if field.kind == "section":
            if field.optional:
                self.state.switch(field)
                self.changed()
            else:
                self.state.fold(field)
            self._show()
        elif field.kind == "switch":
            self._turn(1)
        elif self._offers.shown:
            self._take_offer()
        else:
            self._drop_list(field)

    def _drop_list(self, field: Field) -> None:
        names = list(field.names)
        text = self.state.text(field)
        self._offers.show(names, names.index(text) if text in names else 0)
        self._show()

    def _begin_with(self, field: Field, letter: str) -> None:
        """The next choice that begins with a letter."""
        names = field.names
        text = self.state.text(field)
        start = names.index(text) + 1 if text in names else 0
        order = [*names[start:], *names[:start]]
        for name in order:
            if name.casefold().startswith(letter.casefold()):
                self._put(name)
                if self._offers.shown:
                    self._drop_list(field)
                return

    def _turn(self, by: int) -> None:
        """The next choice, or the one before."""
        field = self.field
        assert field is not None
        names = field.names
        text = self.state.text(field)
        if text in names:
            self._put(names[(names.index(text) + by) % len(names)])
        elif names:
            self._put(names[-1 if by > 0 and field.kind == "switch" else 0])

    def on_paste(self, event: Paste) -> None:
        """Text from the terminal's clipboard."""
        event.stop()
        event.prevent_default()
        field = self._typed
        if field is None:
            return
        text = strip_controls(event.text.replace("\r\n", "\n").replace("\r", "\n")).strip("\n")
        if field.kind in ("list", "pairs", "either"):
            text = ", ".join(line.strip() for line in text.split("\n") if line.strip())
        elif field.kind not in ("text", "secret", "data"):
            text = " ".join(text.split())
        self._edit.insert(text[: max(0, _LONGEST - len(self._edit.text))])
        self.state.pause()
        self._retype()
        self.state.pause()

    # Offers

    def _look_for_offers(self) -> None:
        field = self._typed
        suggest = self._suggest.get(field.path) if field else None
        if field is not None and suggest is not None:
            _: Worker[None] = self.run_worker(
                partial(self._offer, field, suggest, self._edit.text), exclusive=True
            )

    async def _offer(self, field: Field, suggest: Suggest, typed: str) -> None:
        found = [text for text in await suggest(typed) if text != typed]
        if self.field is field and self._edit.text == typed:
            self._offers.show(found, None)
            self._show()

    def _take_offer(self) -> None:
        field, text = self.field, self._offers.chosen
        if field is None or text is None:
            return
        self._offers.close()
        self._put(text)
        self._edit = Edit(text)
        if text.endswith("/"):
            self._look_for_offers()
        self._show()

    def changed(self) -> None:
        """A value is another."""
