"""An editor for a spec, for where no other is chosen: checked as one types, in the theme's pens."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.worker import WorkType

from sparkplug.schema.errors import InvalidError
from sparkplug.tui.cells import Line, clip
from sparkplug.tui.dialogs.text_editor import TextEditor, WritingArea
from sparkplug.tui.widgets.lines import OneLine
from sparkplug.tui.yaml_pens import spans_of

if TYPE_CHECKING:
    from sparkplug.tui.themes import Pens

#: A pause in typing after which the text is checked.
_PAUSE_S = 0.15


class YamlArea(WritingArea):
    """A text area whose lines are YAML."""

    def get_line(self, line_index: int) -> Text:
        """A line in the pens of the theme."""
        text = super().get_line(line_index)
        pens = cast("Pens", self.app.pens)  # type: ignore[attr-defined]
        for pen, start, end in spans_of(text.plain):
            text.stylize(pens[pen], start, end)
        return text


class SpecEditor(TextEditor):
    """A spec as text."""

    def __init__(self, name: str, text: str, line: int = 0, note: str = "") -> None:
        area = YamlArea(text, soft_wrap=False, show_line_numbers=True, tab_behavior="indent")
        super().__init__(area, f"edit {name}", f"edit {name}", "go on with it")
        self._line = line
        self._note = note
        self._said = OneLine(id="spec-said")

    def told(self) -> ComposeResult:
        """What is wrong with it."""
        yield self._said

    def on_mount(self) -> None:
        """Where one was told that it is wrong."""
        self.area.move_cursor((max(0, self._line - 1), 0))
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
