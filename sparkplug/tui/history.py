"""Lines typed and commands chosen, kept across sessions in the state directory."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from sparkplug.paths import write_private
from sparkplug.schema.errors import InvalidError, SparkplugError
from sparkplug.schema.textfile import read_text
from sparkplug.tui.turns import taking_turns

LINES = 200
RECENT = 20
#: A longer line is not kept: it is a text, not a command one gives again.
_LONGEST = 1000


class History:
    """`lines` of the `:` line, oldest first; titles of commands in `recent`, newest first."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.recent: list[str] = []
        self._path: Path | None = None
        self._lock = threading.Lock()
        #: It could not be written the last time.
        self._failed = False

    def open(self, home: Path) -> str | None:
        """Read what was kept under the state directory; what is wrong with it, if anything.

        What was said before this goes after it. A file that does not hold is written anew
        with the next line.
        """
        self._path = home / "tui" / "history.json"
        try:
            lines, recent = _read(self._path)
        except SparkplugError as error:
            return f"the history is left out: {error.where}: {error.message}"
        self.lines[:] = _last([*lines, *self.lines], LINES)
        self.recent[:] = _first([*self.recent, *recent], RECENT)
        return None

    def say(self, line: str) -> None:
        """Remember a line typed."""
        self.lines[:] = _last([*self.lines, line], LINES)

    def choose(self, title: str) -> None:
        """Remember a command chosen."""
        self.recent[:] = _first([title, *self.recent], RECENT)

    def save(self, line: str | None, title: str | None) -> str | None:
        """Add what was just said or chosen to the file, whatever others have added to it.

        For a thread. The answer says why it could not be written, once until it can be again.
        """
        if self._path is None:
            return None
        with self._lock, taking_turns(self._path.parent):
            try:
                lines, recent = _read(self._path)
            except SparkplugError:
                lines, recent = [], []
            if line is not None:
                lines = _last([*lines, line], LINES)
            if title is not None:
                recent = _first([title, *recent], RECENT)
            data = {"lines": lines, "recent": recent}
            try:
                write_private(self._path, json.dumps(data, ensure_ascii=False, indent=1))
            except (SparkplugError, OSError) as error:
                before, self._failed = self._failed, True
                return None if before else f"the history is not kept: {error}"
            self._failed = False
        return None


def _read(path: Path) -> tuple[list[str], list[str]]:
    text = read_text(path)
    if text is None:
        return [], []
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InvalidError(f"not JSON: {error}", where=str(path)) from error
    except RecursionError as error:
        raise InvalidError("nested too deeply", where=str(path)) from error
    if not isinstance(data, dict):
        raise InvalidError("not a history", where=str(path))
    found = [data.get("lines", []), data.get("recent", [])]
    if not all(isinstance(one, list) for one in found):
        raise InvalidError("not a history", where=str(path))
    return _last(found[0], LINES), _first(found[1], RECENT)


def _first(texts: list[str], most: int) -> list[str]:
    """The first of equal ones, at most so many; what cannot stand in a line is dropped."""
    kept = [t for t in texts if isinstance(t, str) and t.isprintable() and 0 < len(t) <= _LONGEST]
    return list(dict.fromkeys(kept))[:most]


def _last(texts: list[str], most: int) -> list[str]:
    return _first(texts[::-1], most)[::-1]
