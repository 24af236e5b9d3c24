"""A line to type in: no blinking, no box, a word before it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from sparkplug.tui.widgets.lines import OneLine

#: What was typed before a key is waited for so long.
_TYPED_S = 1.0


class Entry(Horizontal):
    """An input with a prefix. Posts `Input.Changed` and `Input.Submitted`."""

    DEFAULT_CSS: ClassVar[str] = """
    Entry { height: 1; background: $background; }
    Entry OneLine { width: auto; }
    Entry Input { border: none; height: 1; padding: 0; width: 1fr; background: $background;
        color: $sp-foreground; }
    Entry Input:focus { border: none; }
    """

    def __init__(self, prefix: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._prefix = OneLine()
        self.prefix(prefix)
        self.input = Input(compact=True, select_on_focus=False)
        self.input.cursor_blink = False

    def compose(self) -> ComposeResult:
        """The prefix and the input."""
        yield self._prefix
        yield self.input

    def prefix(self, text: str) -> None:
        """The word before what is typed."""
        self._prefix.styles.width = len(text)
        self._prefix.set_line((("focus", text),))

    @property
    def value(self) -> str:
        """What is typed."""
        return self.input.value

    @value.setter
    def value(self, text: str) -> None:
        self.input.value = text
        self.input.cursor_position = len(text)

    async def typed(self) -> str:
        """What is typed, with the keys that came before this was asked and are on their way yet.

        For what a key does that the app takes before the input has it: letters and an enter may
        come in one piece.
        """
        done = asyncio.Event()
        if self.input.is_running and self.input.call_later(done.set):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _TYPED_S)
        return self.value

    def type_here(self) -> None:
        """Give the input the focus, after whatever else was given it before."""
        self.input.focus()
