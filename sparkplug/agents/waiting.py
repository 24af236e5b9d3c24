"""Waiting for the agent's loop, in code that is not on it: a tool of a crew, say."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

AnswerT = TypeVar("AnswerT")

_by: ContextVar[Callable[[Coroutine[Any, Any, Any]], Any]] = ContextVar("sparkplug_waiting")


def wait(work: Coroutine[Any, Any, AnswerT]) -> AnswerT:
    """Have the agent's loop do something of `ctx`, and wait: `wait(current().ask("scribe", "…"))`.

    For the threads that a crew works in. Raises what the work raises, and what ends the crew
    when its request is cancelled meanwhile; RuntimeError anywhere else.
    """
    try:
        by = _by.get()
    except LookupError:
        work.close()
        raise RuntimeError("nothing to wait in here: use `await`") from None
    answer: AnswerT = by(work)
    return answer


def wait_by(way: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    """Say how it is waited in this thread, and in those that it starts."""
    _by.set(way)
