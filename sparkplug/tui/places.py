"""Where one stands, and the trail of places one was at, like a browser's history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

#: What can be opened over a pane and come back to.
What = Literal[
    "describe",
    "logs",
    "previous",
    "why",
    "history",
    "run",
    "processes",
    "event",
    "task",
    "question",
    "graph",
    "topology",
    "memory",
    "pair",
    "schedule",
]

#: Places kept; older ones are forgotten.
KEPT = 100


@dataclass(frozen=True, slots=True)
class Opened:
    """What is open over a pane: of which thing.

    `kind` and `name` tell the thing as the registry does, `replica` one process of an agent;
    `foreign` is an agent that is not ours.
    """

    what: What
    kind: str
    name: str
    replica: str = ""
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A pane, the box one is in, the row under its cursor, its filter, and what is open over it."""

    pane: str
    box: str = ""
    row: str | None = None
    filter: str = ""
    opened: Opened | None = None

    @property
    def below(self) -> Place:
        """The same place with nothing open."""
        return replace(self, opened=None)

    def same(self, other: Place) -> bool:
        """Whether both are one stop on the way: moving the cursor leads to no other."""
        return (self.pane, self.opened) == (other.pane, other.opened)


class Trail:
    """Places in the order they were visited, and which of them one stands at."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._at = -1

    @property
    def here(self) -> Place | None:
        """Where one stands, as it was when it was last noted."""
        return self._places[self._at] if self._places else None

    @property
    def still(self) -> bool:
        """Whether one has gone nowhere yet."""
        return len(self._places) <= 1

    def note(self, place: Place) -> None:
        """One stands at `place`: at the same stop it is brought up to date, else it is a new one.

        What lay ahead is forgotten with a new stop. Going out to what is below a stop, or to the
        stop before, is a step back.
        """
        here = self.here
        if here is not None and here.same(place):
            self._places[self._at] = place
            return
        if here is not None and here.opened is not None and place.opened is None:
            before = self._places[self._at - 1] if self._at > 0 else None
            if before is not None and before.same(place):
                self._at -= 1
                self._places[self._at] = place
                return
        del self._places[self._at + 1 :]
        self._places.append(place)
        del self._places[:-KEPT]
        self._at = len(self._places) - 1

    def step(self, by: int) -> Place | None:
        """Stand some steps back (less than 0) or ahead; None where the trail ends."""
        at = self._at + by
        if not 0 <= at < len(self._places):
            return None
        self._at = at
        return self._places[at]

    def clear(self) -> None:
        """Forget all of it."""
        self._places.clear()
        self._at = -1
