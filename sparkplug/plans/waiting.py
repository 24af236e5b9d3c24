"""The runs that have not ended, in the order in which they get their turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sparkplug.plans.slots import key_of_runs, lent
from sparkplug.schema.run import JournalEntry


@dataclass(slots=True)
class _Unfinished:
    """What is known of a run: from its first entry, or only that it goes on."""

    priority: int = 5
    sequence: int = 0
    slots: tuple[str, int] | None = None
    begun: bool = True
    known: bool = False
    part: bool = False


class Waiting:
    """Runs by id. Those that wait for one of few places get it by priority, then by age."""

    def __init__(self) -> None:
        self._runs: dict[str, _Unfinished] = {}

    def add(self, entry: JournalEntry) -> bool:
        """Take note of an entry of a run that has not ended. Whether it is a new one."""
        known = self._runs.get(entry.run)
        if entry.plan is not None:
            self._runs[entry.run] = _accepted(entry)
        elif known is None:
            self._runs[entry.run] = _Unfinished(sequence=entry.sequence)
        elif entry.kind in ("started", "resumed"):
            known.begun = True
        return known is None

    def drop(self, run: str) -> None:
        """A run has ended."""
        self._runs.pop(run, None)

    def knows(self, run: str) -> bool:
        """Whether the first entry of a run was seen: it tells what places it needs."""
        found = self._runs.get(run)
        return found is None or found.known

    def learn(self, first: JournalEntry) -> None:
        """The first entry of a run that was begun earlier."""
        if first.plan is not None and first.run in self._runs:
            self._runs[first.run] = _accepted(first)
            self._runs[first.run].begun = True

    def slots_of(self, run: str) -> tuple[str, int] | None:
        """The key and number of the places of which a run needs one."""
        found = self._runs.get(run)
        return found.slots if found is not None else None

    def is_part(self, run: str) -> bool:
        """Whether it is known to be part of another run."""
        found = self._runs.get(run)
        return found is not None and found.part

    def in_turn(self) -> Iterator[str]:
        """The runs that may be taken up: of those that wait for the same places only the first.

        Highest priority first, then the oldest.
        """
        order = sorted(
            self._runs.items(), key=lambda one: (one[1].begun, one[1].priority, -one[1].sequence)
        )
        asked: set[str] = set()
        for run, one in reversed(order):
            if one.slots is not None and not one.begun:
                if one.slots[0] in asked:
                    continue
                asked.add(one.slots[0])
            yield run


def _accepted(entry: JournalEntry) -> _Unfinished:
    plan = entry.plan
    assert plan is not None
    slots: tuple[str, int] | None = None
    key = key_of_runs(plan, entry.inputs or {})
    if key is not None and plan.concurrency is not None:
        slots = lent(key, plan.concurrency.limit, entry.parent)
    priority = plan.priority if entry.priority is None else entry.priority
    part = entry.parent is not None and bool(entry.parent.run)
    return _Unfinished(priority, entry.sequence, slots, begun=False, known=True, part=part)
