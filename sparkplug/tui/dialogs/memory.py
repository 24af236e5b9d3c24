"""A memory over the pane: to be read whole, and to be written anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import TextArea
from textual.worker import Worker

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.text import strip_controls
from sparkplug.tui.cells import Line
from sparkplug.tui.dialogs.dialog import Dialog, Reading
from sparkplug.tui.panes.memory_lines import memory_lines
from sparkplug.tui.places import Opened
from sparkplug.tui.side_by_side import beside_each_other, columns_in
from sparkplug.tui.widgets.lines import OneLine


class MemoryReading(Reading):
    """All of one memory; of two that could be one, the one below the other or beside it."""

    def __init__(self, known: Sequence[str], title: str, opened: Opened) -> None:
        super().__init__(title, opened)
        self._known = known

    def begin(self) -> None:
        """Ask for it."""
        _: Worker[None] = self.run_worker(self._read, group="read", exclusive=True)

    async def _read(self) -> None:
        from sparkplug.client import memory

        client = self.centre.store.client
        if client is None:
            self.page.show_text("not connected", "warn")
            return
        try:
            told = [await memory.describe(client, known) for known in self._known]
        except SparkplugError as error:
            self.page.show_text(error.message, "warn")
            return

        def layout(width: int) -> list[Line]:
            if len(told) == 1:
                return memory_lines(told[0].item, told[0], width)
            wide = width // columns_in(width, len(told)) - 2
            sections = [[*memory_lines(one.item, one, wide), ()] for one in told]
            return beside_each_other(sections, width)

        self.page.show(layout)


class MemoryEditor(Dialog[str]):
    """The words of a memory. Gives them on `f8` or `ctrl+s`, nothing on escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,f8", "take", "store it", show=False, id="memory-editor.take"),
        Binding("escape", "close", "leave", show=False, id="memory-editor.leave", priority=True),
    ]
    covers = True

    def __init__(self, known: str, text: str) -> None:
        super().__init__(classes="editing")
        self.crumb = f"edit {known[:8]}"
        self._known = known
        self.area = TextArea(strip_controls(text), soft_wrap=True)
        self._keys = OneLine()

    def compose(self) -> ComposeResult:
        """The text and the keys."""
        yield self.area
        yield self._keys

    def on_mount(self) -> None:
        """Ready to type."""
        self.area.border_title = f"memory {self._known[:8]}"
        self.area.cursor_blink = False
        self.area.highlight_cursor_line = False
        self.area.focus()
        keys = (("focus", " f8"), ("dim", " store as a new version  "), ("focus", "esc"))
        self._keys.set_line((*keys, ("dim", " leave")))

    def action_take(self) -> None:
        """Store what is written."""
        self.dismiss(self.area.text)
