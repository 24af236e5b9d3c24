"""pyte's screen, with the attributes and links it does not keep by itself."""

from __future__ import annotations

import re
from typing import Any

import pyte

_LINK = re.compile(r"\x1b\]8;[^;]*;([^\x1b]*)\x1b\\")
# What pyte does not know, and what ends it.
_MORE = {2: 22, 6: 25, 8: 28, 21: 24, 51: 54, 52: 54, 53: 55}


class Emulator(pyte.Screen):
    """A terminal; `cells` is all that one can see on it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.link = ""
        self.more: frozenset[int] = frozenset()
        self.extra: dict[tuple[int, int], tuple[Any, ...]] = {}
        super().__init__(columns, rows)
        self._stream = pyte.Stream(self)
        self.set_mode(pyte.modes.DECAWM)
        self.reset_mode(pyte.modes.DECAWM)

    def feed(self, text: str) -> None:
        """Take what was written."""
        at = 0
        for found in _LINK.finditer(text):
            self._stream.feed(text[at : found.start()])
            self.link, at = found[1], found.end()
        self._stream.feed(text[at:])

    def select_graphic_rendition(self, *attrs: int, **_: Any) -> None:
        """Colours and attributes."""
        super().select_graphic_rendition(*attrs)
        left = list(attrs or (0,))
        while left:
            code = left.pop(0)
            if code in (38, 48):
                del left[: 4 if left[0] == 2 else 2]
            elif code == 0:
                self.more = frozenset()
            elif code in _MORE:
                self.more |= {code}
            else:
                self.more -= {on for on, off in _MORE.items() if off == code}

    def draw(self, data: str) -> None:
        """Characters."""
        for character in data:
            before = self.cursor.x
            super().draw(character)
            for x in range(before, self.cursor.x):
                self.extra[self.cursor.y, x] = (self.more, self.link)

    def cells(self) -> list[list[tuple[Any, ...]]]:
        """Every cell: what it shows and how."""
        return [
            [(*self.buffer[y][x], self.extra.get((y, x))) for x in range(self.columns)]
            for y in range(self.lines)
        ]

    def blank(self) -> None:
        """As another program leaves it."""
        self.reset()
        self.extra.clear()
        self.reset_mode(pyte.modes.DECAWM)


def differences(one: Emulator, other: Emulator) -> list[str]:
    """Where two terminals differ, in words."""
    return [
        f"{x},{y}: {a} {b}"
        for y, (left, right) in enumerate(zip(one.cells(), other.cells(), strict=True))
        for x, (a, b) in enumerate(zip(left, right, strict=True))
        if a != b
    ]
