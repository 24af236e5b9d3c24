"""A memory over the pane: to be read whole, and to be written anew."""

from __future__ import annotations

from collections.abc import Sequence

from textual.worker import Worker

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.text import strip_controls
from sparkplug.tui.cells import Line
from sparkplug.tui.dialogs.dialog import Reading
from sparkplug.tui.dialogs.text_editor import TextEditor, WritingArea
from sparkplug.tui.panes.memory_lines import memory_lines
from sparkplug.tui.places import Opened
from sparkplug.tui.side_by_side import beside_each_other, columns_in


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


class MemoryEditor(TextEditor):
    """The words of a memory."""

    def __init__(self, known: str, text: str) -> None:
        area = WritingArea(strip_controls(text), soft_wrap=True)
        title = f"memory {known[:8]}"
        super().__init__(area, title, f"edit {known[:8]}", "store as a new version")
