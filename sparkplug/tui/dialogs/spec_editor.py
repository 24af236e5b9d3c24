"""An editor for a spec, for where no other is chosen: checked as one types, in the theme's pens."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme
from textual.worker import WorkType

from sparkplug.schema.errors import InvalidError
from sparkplug.tui.cells import Line, clip
from sparkplug.tui.dialogs.decision import Answer, Decision
from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.widgets.lines import OneLine
from sparkplug.tui.yaml_pens import spans_of

if TYPE_CHECKING:
    from sparkplug.tui.themes import Pens

#: A pause in typing after which the text is checked.
_PAUSE_S = 0.15


class YamlArea(TextArea):
    """A text area whose lines are YAML."""

    def get_line(self, line_index: int) -> Text:
        """A line in the pens of the theme."""
        text = super().get_line(line_index)
        pens = cast("Pens", self.app.pens)  # type: ignore[attr-defined]
        for pen, start, end in spans_of(text.plain):
            text.stylize(pens[pen], start, end)
        return text


class SpecEditor(Dialog[str]):
    """A spec as text. Gives the text on `f8` or `ctrl+s`, nothing on escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,f8", "take", "go on with it", show=False, id="spec.take"),
        # Before the area, which would leave itself with it.
        Binding("escape", "close", "leave", show=False, id="spec.leave", priority=True),
    ]
    covers = True

    def __init__(self, name: str, text: str, line: int = 0, note: str = "") -> None:
        super().__init__(classes="editing")
        self.crumb = f"edit {name}"
        self._agent = name
        self._first = text
        self._line = line
        self._note = note
        self.area = YamlArea.code_editor(text, show_line_numbers=True, tab_behavior="indent")
        self._said = OneLine(id="spec-said")
        self._keys = OneLine()

    def compose(self) -> ComposeResult:
        """The text, what is wrong with it, and the keys."""
        yield self.area
        yield self._said
        yield self._keys

    def on_mount(self) -> None:
        """Ready to type, where one was told that it is wrong."""
        area, pens = self.area, self.centre.pens
        area.border_title = f"edit {self._agent}"
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
        area.move_cursor((max(0, self._line - 1), 0))
        area.focus()
        self._keys.set_line(
            (
                *(("focus", " f8"), ("dim", " go on  ")),
                *(("focus", "esc"), ("dim", " leave  ")),
                *(("focus", "ctrl+z"), ("dim", " undo")),
            )
        )
        self._check()

    def on_text_area_changed(self) -> None:
        """What is typed is checked, once there is a pause."""
        self._check()

    def _check(self) -> None:
        work: WorkType[None] = partial(self._tell, self.area.text)
        self.run_worker(work, group="check", exclusive=True)

    async def _tell(self, text: str) -> None:
        from sparkplug.client.editing import check_text

        await asyncio.sleep(_PAUSE_S)
        try:
            await asyncio.to_thread(check_text, text, "line")
        except InvalidError as error:
            told = f"{error.where}: {error.message}" if error.where else error.message
            first = next(iter(told.splitlines()), told)
            line: Line = (("bad", f" ✖ {first}"),)
        else:
            line = (("ok", " ✔ it holds"), ("dim", f"  {self._note}" if self._note else ""))
        self._said.set_line(clip(line, max(1, self.size.width)))

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
