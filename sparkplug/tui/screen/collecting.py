"""When the interpreter collects its garbage: between frames, and seldom all of it."""

from __future__ import annotations

import gc
import time

#: A collection is due after so many of what is younger (`gc.get_count`).
_DUE = 10
#: Nobody is at the keyboard: nothing was pressed for so many seconds.
_AWAY_S = 5.0
#: All that there is is walked at most every so many seconds.
_ALL_EVERY_S = 300.0

_NEVER = 2**30
#: The youngest are walked when there are so many more than went, and the older every so often
#: with them (700 and 10 by default). What is drawn in a second is mostly gone in the next: walked
#: more often, it is walked for nothing.
_YOUNG, _MIDDLE = 5000, 2


class Collecting:
    """Full collections of a process with a screen.

    Left to itself the interpreter makes them when something is allocated, which is in the middle
    of a frame, and walks all that the screen holds: a fifth of a second without an answer where
    that is 200,000 objects. Here one is made in a turn of its own, and what outlived it is not
    walked again (`gc.freeze`) until nobody is at the keyboard.
    """

    def __init__(self) -> None:
        self._pressed = self._all = time.monotonic()

    def begin(self) -> None:
        """From now on, in this process. What is there stays, and is not walked."""
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
        gc.enable()

    def loaded(self) -> None:
        """All that is needed was imported."""
        gc.collect()
        gc.freeze()

    def pressed(self) -> None:
        """Somebody is at the keyboard."""
        self._pressed = time.monotonic()

    def tick(self) -> None:
        """Collect what is due; called between frames, about once a second."""
        if gc.get_count()[2] < _DUE:
            return
        now = time.monotonic()
        if now - self._pressed > _AWAY_S and now - self._all > _ALL_EVERY_S:
            self._all = now
            gc.unfreeze()
        gc.collect()
        gc.freeze()
