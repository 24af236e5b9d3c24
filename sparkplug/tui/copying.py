"""The part of an app that copies: what is selected, or what it is given."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from textual.app import App

from sparkplug.tui import clipboard


class Copying(App[int]):
    """Copies through tmux where that is around it, else by what the terminal is written."""

    def tell(self, text: str, pen: str = "ok") -> None:
        """A sentence for whoever looks."""

    def copy(self, text: str) -> None:
        """Into the clipboard of the terminal, and say how much."""
        self.copy_to_clipboard(text)

    def copy_to_clipboard(self, text: str) -> None:
        """Into the clipboard of the terminal; Textual's own widgets call this too."""
        text = clipboard.safe(text)
        self._clipboard = text
        self.run_worker(self._hand_over(text), group="copy")

    async def _hand_over(self, text: str) -> None:
        environ = dict(os.environ)
        driver: Any = self._driver
        if not await asyncio.to_thread(clipboard.give_to_tmux, text, environ) and driver:
            driver.write(clipboard.sequence(text, environ))
        self.tell(*clipboard.told(text))

    def copy_selection(self) -> bool:
        """Copy the text that is selected on the screen; False when none is."""
        text = self.screen.get_selected_text()
        if text:
            self.copy(text)
        return bool(text)

    def drop_selection(self) -> bool:
        """Select nothing; False when nothing was selected."""
        found = bool(self.screen.selections)
        if found:
            self.screen.clear_selection()
        return found
