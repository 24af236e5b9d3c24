"""Whose step the event loop runs: processor time by agent, and `sys.exit` for one alone.

Every callback and every step of a task goes through `asyncio.Handle._run` with the context
it was made in; the context names the agent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar


class Steps:
    """The steps of one agent on the loop."""

    def __init__(self, name: str, exited: Callable[[object], None]) -> None:
        self.name = name
        self.exited = exited
        self.nanoseconds = 0

    @property
    def seconds(self) -> float:
        """Processor time of all its steps so far."""
        return self.nanoseconds / 1e9


_of: ContextVar[Steps | None] = ContextVar("sparkplug_steps", default=None)
_installed = False


def count_in(steps: Steps) -> None:
    """Count what this context runs on the loop to `steps` from now on."""
    _of.set(steps)


def install() -> None:
    """Have the loop count. For the whole process; calling it again changes nothing."""
    global _installed
    if _installed:
        return
    _installed = True
    run = asyncio.Handle._run  # noqa: SLF001  the one place that every step passes
    clock = time.thread_time_ns

    def counted(self: asyncio.Handle) -> None:
        steps = self._context.get(_of)  # type: ignore[attr-defined]
        if steps is None:
            run(self)
            return
        began = clock()
        try:
            run(self)
        except SystemExit as error:
            # In a process of its own it would end; here its neighbours live on.
            steps.exited(error.code)
        finally:
            steps.nanoseconds += clock() - began

    asyncio.Handle._run = counted  # type: ignore[method-assign]  # noqa: SLF001
