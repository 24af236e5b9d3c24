"""A tmux of a test's own: types, clicks, resizes, detaches and reads the screen.

Keys and clicks go the way they go for a person: into the terminal of an attached client, through
tmux, to the program. The screen is what tmux has of the pane.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
from tui_terminal import environment

_DEADLINE_S = 60.0
_CONFIG = """\
set -g default-terminal "tmux-256color"
set -g default-shell /bin/sh
set -g default-command "exec /bin/sh"
set -g status off
set -g mouse on
set -g prefix None
set -g escape-time 0
set -g set-clipboard on
set -g window-size latest
set -g focus-events on
set -g exit-empty on
"""
#: The bytes terminals send.
KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "ctrl+p": "\x10",
    "ctrl+c": "\x03",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "f2": "\x1bOQ",
    "backspace": "\x7f",
}


def missing() -> bool:
    """Whether there is no tmux on this machine."""
    return shutil.which("tmux") is None


class Tmux:
    """One server with one pane, in which a shell stands; a client is attached."""

    def __init__(self, folder: Path, size: tuple[int, int] = (80, 24)) -> None:
        self._socket = folder / "tmux.sock"
        config = folder / "tmux.conf"
        config.write_text(_CONFIG)
        # The shell says when it is ready, and nothing that differs between machines.
        self._env = environment({"TERM": "xterm-256color", "PS1": "ready> ", "ENV": ""})
        columns, rows = size
        self._tmux("-f", str(config), "new-session", "-d", "-x", str(columns), "-y", str(rows))
        self._client: pexpect.spawn[str] | None = None
        self.attach(size)
        self.shows("ready>")

    def attach(self, size: tuple[int, int]) -> None:
        """Attach a client of columns and rows."""
        columns, rows = size
        self._client = pexpect.spawn(
            "tmux",
            ["-S", str(self._socket), "attach"],
            dimensions=(rows, columns),
            encoding="utf-8",
            codec_errors="replace",
            env=self._env,
        )
        # tmux waits for nobody, but a terminal that is not read is a terminal that hangs.
        threading.Thread(target=_drain, args=(self._client,), daemon=True).start()
        self.until(lambda: self.tell("session_attached") == "1", "attached")
        self.until(lambda: self.size == size, f"of size {size}")

    def detach(self) -> None:
        """Detach the client; what runs in the pane runs on."""
        self._tmux("detach-client")
        self.until(lambda: self.tell("session_attached") == "0", "detached")

    def resize(self, columns: int, rows: int) -> None:
        """The window of the client is dragged."""
        self._attached.setwinsize(rows, columns)
        self.until(lambda: self.size == (columns, rows), f"of size {columns}x{rows}")

    def type(self, text: str) -> None:
        """Type a text."""
        self._attached.send(text)

    def press(self, *keys: str) -> None:
        """Press keys by name; what has no name is typed."""
        for key in keys:
            self._attached.send(KEYS.get(key, key))

    def click(self, x: int, y: int, button: int = 0) -> None:
        """Press and let go a mouse button at a column and row, from 0 (SGR, DEC mode 1006)."""
        self._attached.send(f"\x1b[<{button};{x + 1};{y + 1}M\x1b[<{button};{x + 1};{y + 1}m")

    def click_on(self, words: str) -> None:
        """Click on the first place where these words stand."""
        self.click(*self.place(words))

    def wheel(self, x: int, y: int, by: int) -> None:
        """Turn the wheel by so many notches, down where `by` is positive."""
        button = 65 if by > 0 else 64
        self._attached.send(f"\x1b[<{button};{x + 1};{y + 1}M" * abs(by))

    def drag(self, *places: tuple[int, int]) -> None:
        """Press at the first place, move over the others, let go at the last."""
        (x, y), *others = places
        self._attached.send(f"\x1b[<0;{x + 1};{y + 1}M")
        for x, y in others:
            self._attached.send(f"\x1b[<32;{x + 1};{y + 1}M")
        self._attached.send(f"\x1b[<0;{x + 1};{y + 1}m")

    def paste(self, text: str) -> None:
        """Paste, as terminals do that tell what is pasted from what is typed."""
        self._attached.send(f"\x1b[200~{text}\x1b[201~")

    def place(self, words: str) -> tuple[int, int]:
        """The column and row where these words stand first, once they do."""
        self.shows(words)
        for y, line in enumerate(self.lines):
            if words in line:
                return line.index(words), y
        raise AssertionError(f"{words} gone:\n{self.text}")

    def shows(self, *words: str, deadline: float = _DEADLINE_S) -> None:
        """Wait until the screen has these words."""
        self.until(lambda: all(word in self.text for word in words), f"{words} shown", deadline)

    def lacks(self, *words: str, deadline: float = _DEADLINE_S) -> None:
        """Wait until the screen has none of these words."""
        self.until(lambda: not any(w in self.text for w in words), f"{words} gone", deadline)

    def until(self, holds: Callable[[], object], what: str, deadline: float = _DEADLINE_S) -> None:
        """Wait until something holds; fails with the screen when it does not."""
        end = time.monotonic() + deadline
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"not {what} in {deadline:g} s:\n{self.text}")
            time.sleep(0.05)

    @property
    def lines(self) -> list[str]:
        """The rows of the screen."""
        return self._tmux("capture-pane", "-p").split("\n")

    @property
    def text(self) -> str:
        """The words on the screen."""
        return "\n".join(self.lines)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the pane."""
        columns, _, rows = self.tell("pane_width}x#{pane_height").partition("x")
        return int(columns), int(rows)

    @property
    def copied(self) -> str:
        """What was copied last, into tmux's buffer."""
        return self._tmux("show-buffer", check=False)

    def tell(self, name: str) -> str:
        """A variable of the pane as tmux has it, like `alternate_on`."""
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    def close(self) -> None:
        """End all that runs in it."""
        self._tmux("kill-server", check=False)
        if self._client is not None:
            self._client.close(force=True)

    @property
    def _attached(self) -> pexpect.spawn[str]:
        assert self._client is not None
        return self._client

    def _tmux(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *words],
            env=self._env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, f"tmux {words}: {done.stderr}"
        return done.stdout


def _drain(client: pexpect.spawn[str]) -> None:
    try:
        while True:
            client.read_nonblocking(1 << 16, None)
    except (pexpect.EOF, OSError, ValueError):
        return


@contextmanager
def tmux(folder: Path, size: tuple[int, int] = (80, 24)) -> Iterator[Tmux]:
    """A tmux that ends with the block."""
    found = Tmux(folder, size)
    try:
        yield found
    finally:
        found.close()
