"""Noticing, from inside an agent process, that its event loop does not turn, and where it stands.

A thread looks whether the loop waits for something to do, and else asks it to answer. When no
answer comes in time it samples the frame the loop's thread is in and writes it to a file of the
node's run folder, which needs neither loop nor connection; the file is gone as soon as the loop
turns again. Code that holds the interpreter's lock stops this thread too: then the process is
silent, and its node shows it as stale.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import contextlib
import logging
import os
import selectors
import sys
import sysconfig
import threading
import time
import traceback
from pathlib import Path
from types import FrameType

from pydantic import Field, ValidationError

from sparkplug.processes import identity
from sparkplug.schema.base import Record

log = logging.getLogger(__name__)

#: How often a blocked process says so anew.
_AGAIN_S = 0.5
_LONGEST_FILE = 16 << 10


class Stall(Record):
    """A process whose event loop does not turn. Times are of CLOCK_MONOTONIC, in seconds."""

    process: str = Field(pattern=r"^\d{1,10}-\d+$", description="as `processes.identity` names it")
    since: float
    seen: float
    where: str = Field(description="module.function (file:line)")


class StallWatch:
    """While entered, watches the running loop of this thread; `limit` in seconds."""

    def __init__(self, folder: Path, limit: float) -> None:
        self._path = folder / f"{os.getpid()}.json"
        self._limit = limit
        self._ended = threading.Event()
        self._process = identity(os.getpid())

    def __enter__(self) -> StallWatch:
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        # A reminder of an earlier process of that pid.
        self._path.unlink(missing_ok=True)
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._path.unlink(missing_ok=True)

    def _watch(self) -> None:
        while not self._ended.wait(self._limit / 2):
            if self.waits():
                continue  # not even woken: an agent at rest stays at rest
            asked, turned = time.monotonic(), threading.Event()
            try:
                self._loop.call_soon_threadsafe(turned.set)
            except RuntimeError:
                return  # the loop is closed
            told = False
            while not turned.wait(_AGAIN_S if told else self._limit):
                if self._ended.is_set():
                    return
                told = self._tell(asked, told) or told
            if told:
                self._path.unlink(missing_ok=True)

    def waits(self) -> bool:
        """Whether the loop waits for something to do just now."""
        frame = self._frame()
        return frame is None or _is_waiting(frame)

    def _frame(self) -> FrameType | None:
        return sys._current_frames().get(self._watched)  # noqa: SLF001  the only way to see it

    def _tell(self, since: float, told: bool) -> bool:
        frame = self._frame()
        if frame is None or _is_waiting(frame):
            return False  # the machine is slow, the agent is not
        stall = Stall(
            process=self._process, since=since, seen=time.monotonic(), where=describe_frame(frame)
        )
        temporary = self._path.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            temporary.write_text(stall.model_dump_json())
            temporary.replace(self._path)
        if not told:
            # Not by logging: the blocked thread may hold its lock.
            stack = "".join(traceback.format_stack(frame))
            os.write(2, f"its event loop does not turn; it is in {stall.where}\n{stack}".encode())
        return True


def _is_waiting(frame: FrameType) -> bool:
    """Whether a thread is where an event loop waits: in the selector, called by the loop itself."""
    caller = frame.f_back
    return (
        frame.f_code.co_filename == selectors.__file__
        and caller is not None
        and caller.f_code.co_filename == asyncio.base_events.__file__
    )


def describe_frame(frame: FrameType) -> str:
    """Where a thread is: the innermost function of the author's, and what that has called."""
    inner: FrameType | None = frame
    while inner is not None and _is_library(inner.f_code.co_filename):
        inner = inner.f_back
    shown = inner or frame
    said = f"{_name(shown)} ({Path(shown.f_code.co_filename).name}:{shown.f_lineno})"
    return said if shown is frame else f"{said}, in {_name(frame)}"


_LIBRARIES = tuple(
    {
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        str(Path(__file__).parents[1]),
    }
)


def _is_library(file: str) -> bool:
    return file.startswith(("<frozen", *_LIBRARIES))


def _name(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"


def any_stalls(folder: Path) -> bool:
    """Whether a process of this node may be blocked: none has left a file else."""
    try:
        return bool(os.listdir(folder))  # noqa: PTH208 - four times a second
    except OSError:
        return False


def read_stalls(folder: Path) -> dict[str, Stall]:
    """The processes of this node that are blocked now, by their identity.

    What a process left that ended while it was blocked is removed.
    """
    found: dict[str, Stall] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith(".json"):
                continue
            path = Path(entry.path)
            try:
                with path.open("rb") as file:
                    stall = Stall.model_validate_json(file.read(_LONGEST_FILE))
            except FileNotFoundError:
                continue
            except (OSError, ValidationError) as error:
                log.warning("%s is left out: %s", path, error)
                path.unlink(missing_ok=True)
                continue
            if stall.process != identity(int(stall.process.partition("-")[0])):
                path.unlink(missing_ok=True)
                continue
            found[stall.process] = stall
    return found
