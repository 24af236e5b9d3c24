"""Output of a shared process: what an agent's task writes goes to that agent's own log.

The agent is known by the context a piece of code runs in, which tasks and
`asyncio.to_thread` inherit. What has none (a bare thread, a library's own process, C code)
goes to the log of the process.
"""

from __future__ import annotations

import io
import sys
from contextvars import ContextVar
from typing import TextIO

_log: ContextVar[TextIO | None] = ContextVar("sparkplug_agent_log", default=None)


def write_to(log: TextIO) -> None:
    """Send what this context writes to `log` from now on."""
    _log.set(log)


class RoutedOutput(io.TextIOBase):
    """A standard stream that passes each piece on to the log of the agent that writes it."""

    def __init__(self, own: TextIO) -> None:
        self._own = own

    def _target(self) -> TextIO:
        log = _log.get()
        return self._own if log is None or log.closed else log

    def write(self, text: str) -> int:
        """Write a piece of text."""
        return self._target().write(text)

    def flush(self) -> None:
        """Write out what is buffered."""
        if not self._own.closed:
            self._target().flush()

    def fileno(self) -> int:
        """The descriptor of the process's own log."""
        return self._own.fileno()

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """It is no terminal."""
        return False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """UTF-8, as every log of ours."""
        return "utf-8"


def route() -> None:
    """Replace standard output and error by streams that know whose task writes."""
    sys.stdout = RoutedOutput(sys.stdout)
    sys.stderr = RoutedOutput(sys.stderr)
