"""An agent's own probes: whether it is ready for prompts, and whether it still lives.

A probe is a function or method without arguments, plain or async; a plain one runs in a thread.
True or None is well; False, a text (the reason) or an exception is not.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any

from sparkplug.agents.entrypoint import load_entrypoint
from sparkplug.schema.agent_spec import Health
from sparkplug.schema.errors import InvalidError

log = logging.getLogger("sparkplug.agent")

Probe = Callable[[], Any]

#: Until it is ready for the first time it is asked at least this often.
_STARTING_S = 1.0
_LONGEST_REASON = 200


def find_probe(name: str, runtime: object, folders: Sequence[str]) -> Probe:
    """The probe of that name: `module:name`, else a method of the agent's class.

    Raises InvalidError when there is none.
    """
    if ":" in name:
        found = load_entrypoint(name, list(folders))
    else:
        found = getattr(getattr(runtime, "instance", None), name, None)
    if not callable(found):
        raise InvalidError(
            f"the probe {name} is no function",
            hint="a probe is a method of the agent's class, or module:name",
        )
    probe: Probe = found
    return probe


class Probes:
    """What the probes of one agent said last. `changed` is called when that differs."""

    def __init__(
        self, health: Health, ready: Probe | None, live: Probe | None, changed: Callable[[], None]
    ) -> None:
        self._health = health
        self._ready = _Asked(ready) if ready is not None else None
        self._live = _Asked(live) if live is not None else None
        self._changed = changed
        #: Whether it was ready once, why it is not now, and why it is held for dead.
        self.was_ready = ready is None
        self.not_ready: str | None = None if ready is None else "not asked yet"
        self.not_live: str | None = None
        self._failures = 0

    async def run(self) -> None:
        """Ask for ever; at once when there is nothing to ask."""
        health = self._health
        while self._ready is not None or self._live is not None:
            before = (self.was_ready, self.not_ready, self.not_live)
            if self._ready is not None:
                self.not_ready = await self._ready.ask(health.probe_timeout)
                self.was_ready = self.was_ready or self.not_ready is None
            if self._live is not None:
                failed = await self._live.ask(health.probe_timeout)
                self._failures = 0 if failed is None else self._failures + 1
                dead = self._failures >= health.failures
                self.not_live = f"{failed} ({self._failures} times)" if dead else None
            if (self.was_ready, self.not_ready, self.not_live) != before:
                self._changed()
            wait = health.probe_interval
            await asyncio.sleep(wait if self.was_ready else min(wait, _STARTING_S))


class _Asked:
    """One probe. One in a thread that did not come back is not asked again until it does."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._thread: asyncio.Task[Any] | None = None

    async def ask(self, timeout: float) -> str | None:
        """Why it is not well; None when it is."""
        try:
            async with asyncio.timeout(timeout):
                found = await self._answer()
        except TimeoutError:
            return f"no answer within {timeout:g} s"
        except Exception as error:
            # The author's code: its traceback goes to the agent's log.
            log.debug("a probe failed", exc_info=True)
            return _short(f"{type(error).__name__}: {error}")
        if found is None or found is True or found == "":
            return None
        return _short(found) if isinstance(found, str) else "it said no"

    async def _answer(self) -> Any:
        if inspect.iscoroutinefunction(self._probe):
            return await self._probe()
        if self._thread is None or self._thread.done():
            self._thread = asyncio.create_task(asyncio.to_thread(self._probe))
        found = await asyncio.shield(self._thread)
        return await found if inspect.isawaitable(found) else found


def _short(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_REASON]
