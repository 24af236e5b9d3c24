"""The terminal's keys and mouse, waited for without waking when there are none."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
from codecs import getincrementaldecoder
from typing import Any

from textual._parser import ParseError
from textual.app import ScreenStackError
from textual.drivers.linux_driver import LinuxDriver

from sparkplug.tui.screen.sequences import Sequences

#: An escape that nothing follows is the key of that name; looked at so often while one is open.
_OPEN_S = 0.1
_BYTES = 4096
#: So many events that were not acted on yet may wait in memory; what comes then waits outside.
_MOST_WAITING = 1000
_LOOK_S = 0.02


def _read(terminal: int) -> bytes:
    """What was typed; nothing of a terminal that is gone, which some kernels tell as an error."""
    try:
        return os.read(terminal, _BYTES)
    except OSError:
        return b""


class PatientDriver(LinuxDriver):
    """Waits for input as long as it takes.

    Textual 8.2 looks ten times a second (`LinuxDriver.run_input_thread`) for the end of an escape
    that was not begun and for its own end, which is a tenth of what a dashboard of eight GPUs
    costs: here a time is set only while an escape is open, and a pipe tells the end. Of what comes
    faster than it is acted on no more is read for the moment.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Kept for as long as the process: a driver is closed and begun anew while it is lent.
        self._told, self._tells = os.pipe()
        os.set_blocking(self._told, False)

    def disable_input(self) -> None:
        """Take no more input. What was told is read after the thread that it wakes has ended."""
        os.write(self._tells, b"\0")
        super().disable_input()
        with contextlib.suppress(BlockingIOError):
            os.read(self._told, _BYTES)

    def _is_behind(self) -> bool:
        """Whether what was handed on is more than is acted on for now."""
        waiting = self._app.message_queue_size
        with contextlib.suppress(ScreenStackError):  # it begins, or it ends
            focused = self._app.focused
            waiting += focused.message_queue_size if focused is not None else 0
        return waiting > _MOST_WAITING

    def run_input_thread(self) -> None:
        """Hand on what comes, until told to end."""
        parser = Sequences(self._debug)
        # What is not UTF-8 is a character nobody has, and no end of the input.
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            keys = selector.register(self.fileno, selectors.EVENT_READ)
            selector.register(self._told, selectors.EVENT_READ)
            try:
                while not self.exit_event.is_set():
                    ready = selector.select(_OPEN_S if parser.open else None)
                    if any(key is keys for key, _ in ready):
                        read = _read(self.fileno)
                        if not read:
                            # The terminal is gone. The kernel hangs up on who leads the session
                            # alone, and that may wait for us, as `make` does.
                            os.kill(os.getpid(), signal.SIGHUP)
                            return
                        if text := decode(read):
                            for event in parser.feed(text):
                                self.process_message(event)
                        while self._is_behind() and not self.exit_event.wait(_LOOK_S):
                            pass
                    for event in parser.tick():
                        self.process_message(event)
            finally:
                with contextlib.suppress(EOFError, ParseError):
                    for _ in parser.feed(""):
                        pass
