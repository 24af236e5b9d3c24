"""A terminal of a test: a program on a pty, laid onto an emulator and read as words."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import pexpect
from tui_emulator import Emulator

_DEADLINE_S = 60.0
#: A terminal of many colours.
RICH: Mapping[str, str] = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
# A size in the environment would go before that of the terminal, these decide about colours.
_NOT_OURS = frozenset({"NO_COLOR", "COLORTERM", "COLUMNS", "LINES", "TMUX", "TMUX_PANE"})


def environment(more: Mapping[str, str] = RICH) -> dict[str, str]:
    """The environment of a program on a terminal of the test's own."""
    return {**{k: v for k, v in os.environ.items() if k not in _NOT_OURS}, **more}


def opening(options: str = "") -> list[str]:
    """The command that opens the control centre; `options` as they are given to `main`."""
    code = f"from sparkplug.tui.main import main; raise SystemExit(main({options}))"
    return [sys.executable, "-c", code]


class Terminal:
    """Columns and rows that show what a program sends; without a command, the control centre."""

    def __init__(
        self,
        size: tuple[int, int] = (80, 24),
        options: str = "",
        env: Mapping[str, str] = RICH,
        command: Sequence[str] | None = None,
    ) -> None:
        columns, rows = size
        self.screen = Emulator(columns, rows)
        self.sent = ""
        self.started = time.monotonic()
        first, *rest = command or opening(options)
        self.child = pexpect.spawn(
            first,
            rest,
            dimensions=(rows, columns),
            encoding="utf-8",
            codec_errors="replace",
            env=environment(env),
        )

    def send(self, text: str) -> None:
        """Type, or send the bytes of a key."""
        self.child.send(text)

    def resize(self, columns: int, rows: int) -> None:
        """Another size, as when a window is dragged; what was drawn is gone."""
        self.screen.resize(rows, columns)
        self.screen.blank()
        self.child.setwinsize(rows, columns)

    def shows(self, *words: str, deadline: float = _DEADLINE_S) -> None:
        """Read until the screen has these words."""
        self.until(lambda: all(word in self.text for word in words), f"{words} shown", deadline)

    def lacks(self, word: str, deadline: float = _DEADLINE_S) -> None:
        """Read until the screen no longer has this word."""
        self.until(lambda: word not in self.text, f"{word} gone", deadline)

    def until(self, holds: Callable[[], object], what: str, deadline: float = _DEADLINE_S) -> None:
        """Read until something holds; fails with the screen when it does not."""
        end = time.monotonic() + deadline
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"not {what} in {deadline:g} s:\n{self.text}")
            self.read(0.05)

    def read(self, seconds: float) -> int:
        """Take the next piece that comes within some seconds; how many bytes it has."""
        try:
            piece = self.child.read_nonblocking(1 << 16, seconds)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return 0
        self.sent += piece
        self.screen.feed(piece)
        return len(piece.encode())

    def drain(self, seconds: float) -> int:
        """Take all that comes within some seconds; how many bytes."""
        end, size = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            size += self.read(min(left, 0.05))
        return size

    def settle(self, seconds: float) -> None:
        """Read until nothing comes for some seconds."""
        while self.drain(seconds):
            pass

    @property
    def text(self) -> str:
        """The words on the screen."""
        return "\n".join(self.screen.display)

    def quit(self) -> int:
        """Press q; the exit code."""
        self.child.send("q")
        return self.ended()

    def ended(self) -> int:
        """Read to the end of the program; its exit code."""
        self.child.expect(pexpect.EOF)
        self.sent += self.child.before or ""
        self.child.close()
        return int(self.child.exitstatus if self.child.exitstatus is not None else -1)

    def close(self) -> None:
        """End it whatever it does."""
        self.child.close(force=True)
