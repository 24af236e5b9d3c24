"""One request to a crew: its thread, what that may wait for, and how it is made to stop.

CrewAI is synchronous inside, so a crew runs in a thread of its own and the agent's event loop
stays free. To stop it, in this order: what it waits for on the loop is cancelled; every model
call, tool call and step it would begin raises `CrewStopped`; then that is raised in the midst of
the Python code its threads are in, and after a few times what no `except Exception` takes. Code
that is inside one call of the system or of a C library notices none of this, and nothing but
the end of the process stops it: `stop` then says False, and the process is ended (see `agent`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import ctypes
import logging
import queue
import selectors
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import thread as pool
from types import FrameType
from typing import Any, TypeVar

from crewai.hooks import HookAborted

from sparkplug.agents.parking import Parked
from sparkplug.agents.stalls import describe_frame
from sparkplug.agents.waiting import wait_by
from sparkplug.schema.question import Draft

log = logging.getLogger("sparkplug.crew")

AnswerT = TypeVar("AnswerT")

#: How long a crew may take to stop by itself before its threads are interrupted, and how
#: often they are.
_BY_ITSELF_S = 1.0
_AGAIN_S = 0.2
_GENTLY = 4
_MOST_PLACES = 2
#: Where a thread is that has nothing to do but wait for another.
_WAITING = frozenset({selectors.__file__, threading.__file__, pool.__file__, queue.__file__})

_current: contextvars.ContextVar[Turn] = contextvars.ContextVar("sparkplug_turn")
#: The request each thread was last seen to work for: threads of pools work for many.
_working: dict[int, Turn] = {}


class CrewStopped(HookAborted):
    """The crew is to stop: CrewAI passes this on as it is, and tries nothing again."""

    def __init__(self, reason: str = "the request was cancelled", source: Any = None) -> None:
        super().__init__(reason, source)


class CrewParked(CrewStopped):
    """A person has to be asked: the crew stops, as for any other reason."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        super().__init__("a person is asked")
        self.drafts = list(drafts)


class CrewEnded(BaseException):
    """The same, for code that takes every Exception and goes on."""


def current_turn() -> Turn | None:
    """The request the calling thread works for."""
    return _current.get(None)


class Turn:
    """A request in hand. Made on the agent's loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopped = ""
        #: What a person has to be asked before the crew can go on.
        self.parked: list[Draft] = []
        self._threads: dict[int, threading.Thread] = {}
        self._waits: set[concurrent.futures.Future[Any]] = set()
        self._lock = threading.Lock()
        self._ended = asyncio.Event()
        self._done: asyncio.Future[Any] = self.loop.create_future()

    def start(self, work: Callable[[], Any], name: str) -> asyncio.Future[Any]:
        """Do the work in a thread, in the calling context; the future has what came of it."""
        context = contextvars.copy_context()
        # A daemon: a crew that never stops does not keep the process from ending.
        thread = threading.Thread(
            target=context.run, args=(self._run, work), name=f"crew {name}", daemon=True
        )
        thread.start()
        return self._done

    def _run(self, work: Callable[[], Any]) -> None:
        _current.set(self)
        wait_by(self.wait)
        self.note_thread()
        try:
            value, error = work(), None
        except BaseException as raised:  # noqa: BLE001  the thread's boundary: all of it is told
            value, error = None, raised
        self._tell(self._finish, value, error)

    def _finish(self, value: Any, error: BaseException | None) -> None:
        self._ended.set()
        for ident in self._threads:
            if _working.get(ident) is self:
                del _working[ident]
        if self._done.done():
            return
        if error is None:
            self._done.set_result(value)
        elif isinstance(error, Exception):
            self._done.set_exception(error)
        else:
            # SystemExit of a tool ends its crew, not the agent.
            self._done.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
        if self._stopped and error is not None:
            self._done.exception()  # seen: nobody waits for it any more

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            log.debug("the agent has ended before its crew")

    def tell(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function on the agent's loop, from any thread of the crew."""
        self._tell(function, *arguments)

    def check(self) -> None:
        """Raise CrewStopped when the crew is to stop. Called in the crew's threads."""
        self.note_thread()
        if self.parked:
            raise CrewParked(self.parked)
        if self._stopped:
            raise CrewStopped(self._stopped)

    def park(self, drafts: Sequence[Draft]) -> None:
        """A person has to be asked: nothing more is begun, whatever becomes of what is raised."""
        self.parked = list(drafts)

    def note_thread(self) -> None:
        """Remember that the calling thread works for this request."""
        thread = threading.current_thread()
        if thread.ident is not None and thread.ident != self._loop_thread:
            self._threads[thread.ident] = thread
            _working[thread.ident] = self

    def wait(self, work: Coroutine[Any, Any, AnswerT]) -> AnswerT:
        """Have the agent's loop do something, and wait for it in the crew's thread.

        Raises CrewStopped when the crew is to stop, at once if it already is.
        """
        with self._lock:
            if self._stopped:
                work.close()
                raise CrewStopped(self._stopped)
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
            self._waits.add(future)
        self.note_thread()
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise CrewStopped(self._stopped or "the agent is ending") from error
        except Parked as parked:
            self.park(parked.drafts)
            raise CrewParked(self.parked) from parked
        finally:
            future.cancel()
            with self._lock:
                self._waits.discard(future)

    async def stop(self, why: str, within: float) -> bool:
        """Make the crew stop; whether it has, after at most `within` seconds."""
        with self._lock:
            self._stopped = self._stopped or why
            waits = list(self._waits)
        for future in waits:
            future.cancel()
        ends = self.loop.time() + within
        if await self._ends(min(_BY_ITSELF_S, within)):
            return True
        gently = _GENTLY
        while not await self._ends(min(_AGAIN_S, max(ends - self.loop.time(), 0.0))):
            if self.loop.time() >= ends:
                return False
            self._interrupt(CrewStopped if gently > 0 else CrewEnded)
            gently -= 1
        return True

    async def _ends(self, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                await self._ended.wait()
        except TimeoutError:
            return self._ended.is_set()
        return True

    def where(self) -> str:
        """Where its threads are, for who asks why it does not stop."""
        frames = [frame for _, frame in self._frames()]
        busy = [frame for frame in frames if frame.f_code.co_filename not in _WAITING]
        places = [describe_frame(frame) for frame in busy or frames]
        return "; ".join(places[:_MOST_PLACES]) or "its thread is gone"

    def _interrupt(self, kind: type[BaseException]) -> None:
        """Raise it in the threads that work for this request, and for no other.

        A thread that waits for another is let be: it goes on when that one does.
        """
        for ident, frame in self._frames():
            if frame.f_code.co_filename not in _WAITING:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(ident), ctypes.py_object(kind)
                )

    def _frames(self) -> list[tuple[int, FrameType]]:
        """Where the threads that work for this request are."""
        frames = sys._current_frames()  # noqa: SLF001  the only way to see it
        return [
            (ident, frames[ident])
            for ident, thread in list(self._threads.items())
            if thread.is_alive() and _working.get(ident) is self and ident in frames
        ]
