"""A line that is typed into: a text, a cursor in it, and the part of it that is in sight."""

from __future__ import annotations

from rich.cells import cell_len
from rich.style import Style

from sparkplug.tui.cells import Span

#: What stands for a line end, and for any other character that cannot be shown.
_LINE_END = "↵"
_HIDDEN = "·"
_DOT = "•"


class Edit:
    """A text and the cursor in it, counted in characters."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.at = len(text)
        self._left = 0

    def insert(self, text: str) -> None:
        """Type."""
        self.text = self.text[: self.at] + text + self.text[self.at :]
        self.at += len(text)

    def delete(self, *, before: bool, word: bool = False) -> None:
        """Take away a character, or a word, before the cursor or after it."""
        other = self._stop(-1 if before else 1, word)
        start, end = sorted((self.at, other))
        self.text, self.at = self.text[:start] + self.text[end:], start

    def move(self, by: int, *, word: bool = False) -> None:
        """Move the cursor by a character or a word."""
        self.at = self._stop(by, word)

    def go(self, at: int) -> None:
        """Move the cursor to a place."""
        self.at = min(max(0, at), len(self.text))

    def _stop(self, by: int, word: bool) -> int:
        at = self.at
        if not word:
            return min(max(0, at + by), len(self.text))
        step = 1 if by > 0 else -1
        look = 0 if by > 0 else -1
        inside = False
        while 0 <= at + look < len(self.text):
            letter = self.text[at + look].isalnum()
            if inside and not letter:
                break
            inside = inside or letter
            at += step
        return at

    def spans(self, width: int, pen: str, caret: Style, *, secret: bool = False) -> list[Span]:
        """The part of the text in sight, with the cursor in it, in at most `width` cells."""
        start, shown = self._window(width, secret)
        at = self.at - start
        under = shown[at] if at < len(shown) else " "
        return [
            (pen, "".join(shown[:at])),
            (caret, under),
            (pen, "".join(shown[at + 1 :])),
        ]

    def place(self, x: int, width: int, *, secret: bool = False) -> int:
        """The place in the text of a cell of what is in sight."""
        start, shown = self._window(width, secret)
        used = 0
        for index, letter in enumerate(shown):
            used += cell_len(letter)
            if x < used:
                return start + index
        return start + len(shown)

    def _window(self, width: int, secret: bool) -> tuple[int, list[str]]:
        """Where what is in sight begins, and its characters; the cursor has a cell at the end."""
        room = max(1, width - 1)
        self._left = min(self._left, self.at)
        used, start = 0, self.at
        while start > self._left:
            used += cell_len(_shown(self.text[start - 1], secret))
            if used > room:
                break
            start -= 1
        if start > self._left:
            self._left = start
        shown: list[str] = []
        used = 0
        for letter in self.text[self._left : self._left + 4 * width]:
            letter = _shown(letter, secret)
            used += cell_len(letter)
            if used > room + (self._left + len(shown) > self.at):
                break
            shown.append(letter)
        return self._left, shown


def _shown(letter: str, secret: bool) -> str:
    """A character as it is drawn, in one cell or two."""
    if secret:
        return _DOT
    if letter == "\n":
        return _LINE_END
    if letter == " " or (letter.isprintable() and cell_len(letter) > 0):
        return letter
    return _HIDDEN


def shown_text(text: str, most: int, *, secret: bool = False) -> str:
    """The beginning of a text as it is drawn where one does not type, of so many characters."""
    return "".join(_shown(letter, secret) for letter in text[:most])
