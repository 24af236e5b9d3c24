"""At most so many at once in the whole mesh: a lease for each place, whoever gets one may go on.

A planner that dies loses its places with their leases. A run that is part of what stands in a
place does not wait for another of the same key, which might be for ever: the place is lent to it,
and to one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

from sparkplug.bus import subjects
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.leases import Lease
from sparkplug.plans.templates import render_text
from sparkplug.schema.errors import InvalidError, NoMeshError
from sparkplug.schema.plan import Plan
from sparkplug.schema.run import Parent, RunView

_LEASE_S = 3
_PAUSE_S = 0.15
_RELEASE_DEADLINE_S = 1.0


def lent(key: str, limit: int, parent: Parent | None) -> tuple[str, int]:
    """The places to take one of: those of the key, or the one that is lent."""
    lender = parent.holds.get(key) if parent is not None else None
    return (key, limit) if lender is None else (f"{key}@{lender}", 1)


def key_of_runs(plan: Plan, inputs: Mapping[str, Any]) -> str | None:
    """The key of the places of which a run of the plan needs one; None when it needs none."""
    if plan.concurrency is None:
        return None
    key = plan.concurrency.key
    with contextlib.suppress(InvalidError):
        key = render_text(key, {"inputs": inputs}, "concurrency.key")
    return f"run.{key}"


def held_with(run: RunView, plan: Plan, step: str, key: str | None) -> dict[str, str]:
    """The places that a run which is part of `run` stands in with it: those of the run, and that
    of `key`, which the step has."""
    holds = dict(run.parent.holds) if run.parent is not None else {}
    of_run = key_of_runs(plan, run.inputs)
    if of_run is not None:
        holds[of_run] = run.id
    if key is not None:
        holds[key] = f"{run.id}/{step}"
    return holds


class Place:
    """A place that was taken, until it is given back or lost."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._keeper = asyncio.ensure_future(lease.keep())

    @property
    def held(self) -> bool:
        """Whether it still is ours."""
        return self._lease.held

    async def leave(self) -> None:
        """Give it back."""
        await end(self._keeper)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RELEASE_DEADLINE_S):
                await self._lease.release()


class Places:
    """The places of one planner."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def take_one(self, key: str, limit: int) -> Place | None:
        """A place, when one is free now."""
        numbers = list(range(limit))
        random.shuffle(numbers)
        for number in numbers:
            lease = Lease(
                self._bus,
                f"slot.{subjects.token(key)}.{number}",
                f"{subjects.token(key)}.{secrets.token_hex(6)}",
                _LEASE_S,
            )
            if await lease.acquire():
                return Place(lease)
        return None

    @contextlib.asynccontextmanager
    async def taken(self, key: str, limit: int) -> AsyncIterator[None]:
        """Wait for a place and hold it while the block runs.

        The block is cancelled, and NoMeshError raised, when the place is lost meanwhile.
        """
        place = await self.take_one(key, limit)
        while place is None:
            await asyncio.sleep(_PAUSE_S * random.uniform(0.5, 1.5))  # noqa: S311  spreads load
            place = await self.take_one(key, limit)
        task = asyncio.current_task()
        assert task is not None
        lost = False

        async def guard() -> None:
            nonlocal lost
            while place.held:
                await asyncio.sleep(_PAUSE_S)
            lost = True
            task.cancel()

        guarding = asyncio.ensure_future(guard())
        try:
            yield
        except asyncio.CancelledError:
            if lost and not task.uncancel():
                raise NoMeshError(f"its place among {key} was lost") from None
            raise
        finally:
            await end(guarding)
            await place.leave()
