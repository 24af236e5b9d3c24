"""What whoever takes tasks in, and whoever ends them, has at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sparkplug.tasks.book import Book
from sparkplug.tasks.counting import Counting
from sparkplug.tasks.keeping import Keeper, Limits
from sparkplug.tasks.telling import Telling
from sparkplug.tasks.waiting import Waiting


@dataclass(frozen=True, slots=True)
class Parts:
    """What one tenure has of each. `pump` hands out what waits of a capability."""

    book: Book
    waiting: Waiting
    counting: Counting
    store: Keeper
    telling: Telling
    limits: Limits
    pump: Callable[[str], None]


class Handling:
    """Works on what is in the book and its queues."""

    def __init__(self, parts: Parts) -> None:
        self._book = parts.book
        self._waiting = parts.waiting
        self._counting = parts.counting
        self._store = parts.store
        self._telling = parts.telling
        self._limits = parts.limits
        self._pump = parts.pump
