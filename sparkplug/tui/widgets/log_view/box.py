"""A log view with the line below it where a filter, a place or a path is typed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from sparkplug.tui.filter import Filter
from sparkplug.tui.widgets.entry import Entry
from sparkplug.tui.widgets.log_view.view import LogView

_PROMPTS = {"filter": "/", "jump": "line or %: ", "save": "save to: "}


class LogBox(Vertical):
    """A log to read: `view` is the log itself."""

    DEFAULT_CSS: ClassVar[str] = """
    LogBox { height: 1fr; }
    LogBox LogView { height: 1fr; width: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask('filter')", "filter (regex, ! inverse)", id="logs.filter"),
        Binding("number_sign", "ask('jump')", "to a line or a share", show=False, id="logs.jump"),
        Binding("S", "ask('save')", "save to a file", show=False, id="logs.save"),
    ]

    def __init__(self, title: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.view = LogView(title)
        self._entry = Entry()
        self._entry.display = False
        self._asks: Literal["filter", "jump", "save"] = "filter"

    def compose(self) -> ComposeResult:
        """The log, and the line below it."""
        yield self.view
        yield self._entry

    def action_ask(self, what: Literal["filter", "jump", "save"]) -> None:
        """Type a filter, a line, a path."""
        self._asks = what
        self._entry.prefix(_PROMPTS[what])
        self._entry.value = self.view.wanted.text if what == "filter" else ""
        self._entry.display = True
        self._entry.type_here()

    def on_input_changed(self, event: Input.Changed) -> None:
        """A filter filters at once."""
        event.stop()
        if self._asks == "filter" and self._entry.display:
            found = Filter(event.value)
            self._entry.prefix("/" if found.error is None else "/ (as text) ")
            self.view.wanted = found

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: go there, write it."""
        event.stop()
        text = event.value.strip()
        self._close()
        if self._asks == "jump" and text and not self.view.jump(text):
            self._tell(f"{text} is no line and no share, like 1200 or 50%", "warn")
        elif self._asks == "save" and text:
            await self._save(text)

    async def _save(self, path: str) -> None:
        try:
            count = await asyncio.to_thread(self.view.source.save, Path(path))
        except FileExistsError:
            self._tell(f"{path} is there already", "warn")
        except OSError as error:
            self._tell(f"{path}: {error.strerror or error}", "warn")
        else:
            self._tell(f"{count:,} lines written to {path}", "ok")

    def _tell(self, text: str, pen: str) -> None:
        tell = getattr(self.app, "tell", None)
        if tell is not None:
            tell(text, pen)

    def _close(self) -> None:
        self._entry.display = False
        self.view.focus()

    def escape(self) -> bool:
        """Out of what one is in: the line, a selection, the filter. False when in none of them."""
        if self._entry.display:
            if self._asks == "filter":
                self.view.wanted = Filter("")
            self._close()
            return True
        return self.view.escape()
