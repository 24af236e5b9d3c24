"""Full collections are made when asked for, and what is frozen is collected in the end."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator

import pytest

from sparkplug.tui.screen import collecting
from sparkplug.tui.screen.collecting import Collecting


class Circle:
    """It holds itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def made() -> Iterator[Collecting]:
    before = gc.get_threshold()
    made = Collecting()
    made.begin()
    made.loaded()
    yield made
    gc.set_threshold(*before)


def _allocate() -> None:
    """So much that a full collection is due many times over."""
    kept = [[number] for number in range(400_000)]
    assert kept


def test_none_is_made_by_the_way(made: Collecting) -> None:
    _allocate()
    assert gc.get_count()[2] > 10
    made.tick()
    assert gc.get_count()[2] == 0


def test_it_collects_where_opening_it_was_spared_that() -> None:
    before = gc.get_threshold()
    gc.disable()
    try:
        Collecting().begin()
        assert gc.isenabled()
    finally:
        gc.set_threshold(*before)
        gc.enable()


def test_what_is_not_due_is_not_done(made: Collecting) -> None:
    circle = Circle()
    gone = weakref.ref(circle)
    del circle
    made.tick()
    assert gone() is not None
    gc.collect()


def test_what_was_frozen_is_collected_once_nobody_is_there(
    made: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    circle = Circle()
    gone = weakref.ref(circle)
    _allocate()
    made.tick()
    del circle
    _allocate()
    made.tick()
    assert gone() is not None, "it was walked again"
    later = time.monotonic() + 1000
    monkeypatch.setattr(collecting.time, "monotonic", lambda: later)
    made.pressed()
    _allocate()
    made.tick()
    assert gone() is not None, "somebody was at the keyboard"
    later += 10
    _allocate()
    made.tick()
    assert gone() is None
