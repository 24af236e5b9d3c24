"""The control centre on a screen of a test, driven by keys, read as words."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from textual.pilot import Pilot

from sparkplug.tui.app import SparkplugApp
from sparkplug.tui.themes import load_themes


class Centre:
    """A control centre under test."""

    def __init__(self, app: SparkplugApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def screen(self) -> str:
        """The words on the screen one is in, row by row."""
        return self._words(-1)

    @property
    def below(self) -> str:
        """The words on the pane, under any dialog."""
        return self._words(0)

    def _words(self, level: int) -> str:
        screen = self.app.screen_stack[level]
        strips = screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type a text."""
        names = {" ": "space", "!": "exclamation_mark", "-": "minus", ".": "full_stop"}
        await self.pilot.press(*(names.get(letter, letter) for letter in text))

    async def until(self, condition: Callable[[], object], deadline: float = 60.0) -> None:
        """Wait for a condition; fails with the screen when it does not come true."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                while not condition():
                    await asyncio.sleep(0.02)
        app = self.app
        stands = f"focus: {app.focused}\nscreens: {app.screen_stack}\ntold: {app.told}"
        assert condition(), f"did not come true:\n{self.screen}\n{stands}"

    async def becomes(
        self, condition: Callable[[], Awaitable[object]], deadline: float = 60.0
    ) -> None:
        """Wait until an awaited condition holds."""
        async with asyncio.timeout(deadline):
            while not await condition():
                await asyncio.sleep(0.02)

    async def shows(self, *words: str) -> None:
        """Wait until the screen one is in has these words."""
        await self.until(lambda: all(word in self.screen for word in words))


@contextlib.asynccontextmanager
async def centre(
    size: tuple[int, int] = (120, 36), *, live: bool = True, **options: Any
) -> AsyncIterator[Centre]:
    """The control centre on a screen of columns and rows; `live`: once it has read the mesh."""
    themes, _ = load_themes()
    app = SparkplugApp(themes, **options)
    async with app.run_test(size=size) as pilot:
        found = Centre(app, pilot)
        if live:
            await found.until(lambda: app.store.complete and app.store.agents)
            # A list is made when it is looked at; what the pane shows of it comes a moment later.
            await found.until(lambda: app.pane is not None and app.pane.main.row is not None)
        yield found
