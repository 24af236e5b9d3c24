"""The editor a person has chosen, run in the terminal that the control centre lends it."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sparkplug.schema.errors import SparkplugError

if TYPE_CHECKING:
    from sparkplug.tui.screen.writer import PaintedApp

#: Editors that begin on a line given as `+12` before the file.
_PLUS = frozenset(
    {"vi", "vim", "nvim", "view", "nano", "emacs", "emacsclient", "micro", "kak", "joe", "ne", "mg"}
)
#: Those that take it behind the file's name.
_BEHIND = frozenset({"hx", "helix"})


def chosen_editor() -> list[str] | None:
    """The command in $VISUAL or $EDITOR; None where neither is set, or there is no such program."""
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        words = shlex.split(named)
    except ValueError:
        return None
    return words if words and shutil.which(words[0]) else None


def opening(command: list[str], file: Path, line: int = 0) -> list[str]:
    """The words that open a file, on a line (from 1) where the editor is known to take one."""
    name = Path(command[0]).name
    if line and name in _PLUS:
        return [*command, f"+{line}", str(file)]
    if line and name in _BEHIND:
        return [*command, f"{file}:{line}"]
    return [*command, str(file)]


async def edited(app: PaintedApp, command: list[str], name: str, text: str, line: int = 0) -> str:
    """What a person made of a text, in a file `name` that nobody else can read.

    Raises SparkplugError when the editor cannot be run or leaves with an error: then nothing
    is meant to change.
    """
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="sparkplug-edit-"))
    file = folder / name
    try:
        await asyncio.to_thread(_write, file, text)
        with app.lending():
            code = await _run(opening(command, file, line))
        if code:
            how = f"left with {code}" if code > 0 else f"was ended by signal {-code}"
            raise SparkplugError(f"{command[0]} {how}; nothing was changed")
        return await asyncio.to_thread(file.read_text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise SparkplugError(f"{command[0]}: {error.strerror or error}") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _write(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)


async def _run(words: list[str]) -> int:
    process = await asyncio.create_subprocess_exec(*words)
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
