"""The app's end of the terminal: what Textual would paint, written as what changed."""

from __future__ import annotations

import asyncio
import contextlib
import select
import signal
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.color import ColorSystem
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.events import Resize

from sparkplug.tui.copying import Copying
from sparkplug.tui.screen.cells import Grid, lay, size_of
from sparkplug.tui.screen.diff import difference, place
from sparkplug.tui.screen.present import PresentScreen
from sparkplug.tui.widgets.selecting import SelectScreen

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.driver import Driver
    from textual.screen import Screen
    from textual.widget import Widget

_AGAIN_S = 0.02
_LOOK_S = 0.005


class Terminal:
    """What a terminal should show and what it shows."""

    def __init__(self) -> None:
        self._want = Grid(0, 0)
        self._shown = Grid(0, 0)
        self._cursor: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the last update."""
        return self._want.size

    def forget(self) -> None:
        """What the terminal shows is not known: the next frame writes all of it."""
        self._shown.forget()
        self._want.touched.update(range(self._want.height))
        self._cursor = None

    def take(self, update: LayoutUpdate | ChopsUpdate, system: ColorSystem) -> None:
        """This is to be shown."""
        size = size_of(update)
        if size != self._want.size:
            self._want, self._shown = Grid(*size), Grid(*size)
            self._cursor = None
        lay(update, self._want, system)

    def frame(self, cursor: tuple[int, int]) -> str:
        """What to write so that the terminal shows it; nothing when it does."""
        rows, self._want.touched = self._want.touched, set()
        found = difference(self._want, self._shown, rows)
        if not found and cursor == self._cursor:
            return ""
        self._cursor = cursor
        return found + place(*cursor)


class PaintedApp(Copying):
    """An app that writes to its terminal only the cells that changed.

    Where the terminal is not ours alone (inline, headless, Windows) Textual writes as ever.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._painted = Terminal()
        self._written_by: object = None
        self._wrote = False
        self._held = False
        self._lent = False
        super().__init__(*args, **kwargs)

    @property
    def can_lend(self) -> bool:
        """Whether another program can have the terminal for a while."""
        return self._output() is not None and self._driver is not None and self._driver.can_suspend

    @contextlib.contextmanager
    def lending(self) -> Iterator[None]:
        """Lend the terminal, as it was before we had it, for as long as the block runs.

        Meanwhile nothing is written to it; afterwards all of it is painted. The loop goes on, so
        what the terminal sends to us as to the other program (ctrl+c) ends neither of us.
        """
        # Functions, not SIG_IGN: the other program would inherit that. What stops it stops us.
        while_lent: dict[signal.Signals, Any] = {
            signal.SIGINT: lambda *_: None,
            signal.SIGQUIT: lambda *_: None,
            signal.SIGTSTP: signal.SIG_DFL,
        }
        kept = {one: signal.getsignal(one) for one in while_lent}
        failed: BaseException | None = None
        self._lent = True
        try:
            # Not taken back by Textual when the block fails, so nothing may leave it that way.
            with self.suspend():
                for one, handler in while_lent.items():
                    signal.signal(one, handler)
                try:
                    yield
                except BaseException as error:  # noqa: BLE001  raised below
                    failed = error
                for one, handler in kept.items():
                    signal.signal(one, handler)
        finally:
            self._lent = False
            self._painted.forget()
        if failed is not None:
            raise failed

    def get_driver_class(self) -> type[Driver]:
        """Textual's for this platform; on a terminal of ours one that does not wake for nothing."""
        found = super().get_driver_class()
        if found.__name__ != "LinuxDriver":
            return found
        from sparkplug.tui.screen.driver import PatientDriver

        return PatientDriver

    def get_default_screen(self) -> Screen[Any]:
        """The screen under all others; text on it can be selected."""
        return SelectScreen(id="_default")

    def _unregister(self, widget: Widget) -> None:
        """A widget is gone, and what it has drawn is let go at once.

        It is in a circle with what it stood on, so that otherwise a full collection of the
        interpreter frees all of it in one go, and nothing is answered meanwhile.
        """
        super()._unregister(widget)
        widget._styles_cache.clear()  # noqa: SLF001
        if isinstance(widget, PresentScreen):
            widget.let_go()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if self._lent:
            return
        if renderable is None or self._batch_count or not self._running or self._closed:
            super()._display(screen, renderable)
        elif self._output() is None or not isinstance(renderable, LayoutUpdate | ChopsUpdate):
            self._painted.forget()
            super()._display(screen, renderable)
        else:
            try:
                system = self.console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001
                self._painted.take(renderable, system)
                self._write_frame()
            finally:
                self.post_display_hook()

    def on_resize(self, event: Resize) -> None:
        """The terminal is another, or was away: it may show anything."""
        self._painted.forget()
        if tuple(event.size) == self._painted.size:
            self.call_after_refresh(self._write_frame)

    def action_repaint(self) -> None:
        """Write all of the screen anew, where another program has written over it."""
        self._painted.forget()
        self._write_frame()

    async def taken(self, seconds: float) -> None:
        """Wait until the terminal has taken what was written, for so long at most."""
        until = time.monotonic() + seconds
        while (output := self._output()) is not None and not _takes_more(output):
            if time.monotonic() >= until:
                return
            await asyncio.sleep(_LOOK_S)

    def _output(self) -> Any:
        """Textual's writer, one for each time the terminal is taken; None where it has none."""
        driver = self._driver
        if driver is None or driver.is_headless or driver.is_inline or sys.platform == "win32":
            return None
        return getattr(driver, "_writer_thread", None)

    def _write_frame(self) -> None:
        if self._lent:
            return
        output = self._output()
        # A timer may still come when the app is closing and its screens are gone.
        if output is None or self._driver is None or self._closed or not self.screen_stack:
            return
        if output is not self._written_by:
            self._written_by, self._wrote = output, False
            self._painted.forget()
        if self._wrote and not _takes_more(output):
            # Nothing is queued: what is wanted when the terminal can take it is what is written.
            if not self._held:
                self._held = True
                self.set_timer(_AGAIN_S, self._try_again)
            return
        cursor = self.screen.outer_size.clamp_offset(self.cursor_position)
        self._previous_cursor_position = cursor
        text = self._painted.frame((cursor.x, cursor.y))
        if text:
            self._wrote = True
            self._driver.write(f"{SYNC_START}{text}{SYNC_END}" if self._sync_available else text)
            self._driver.flush()

    def _try_again(self) -> None:
        self._held = False
        self._write_frame()


def _takes_more(output: Any) -> bool:
    """True when the last frame was handed to the terminal and a write would not block."""
    if output._queue.qsize():  # noqa: SLF001
        return False
    return bool(select.select([], [output.fileno()], [], 0)[1])
