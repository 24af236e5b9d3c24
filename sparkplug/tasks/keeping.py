"""How much is kept, and what the dispatcher needs of the store that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sparkplug.schema.task import Task


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept: tasks that wait, of each capability; what ended, and how many seconds."""

    queue: int = 100_000
    keep: float = 3600.0
    most_ended: int = 10_000


class Keeper(Protocol):
    """What the dispatcher has tasks written by: `store.Store`."""

    @property
    def has_room(self) -> bool: ...

    def put(
        self,
        task: Task,
        then: Callable[[], None] | None = None,
        *,
        refused: Callable[[str], None] | None = None,
        ttl: int = 0,
    ) -> None: ...

    def when_kept(self, task: str, then: Callable[[], None]) -> None: ...

    def bury(self, task: Task, then: Callable[[], None]) -> None: ...

    def unbury(self, task: Task, then: Callable[[], None]) -> None: ...
