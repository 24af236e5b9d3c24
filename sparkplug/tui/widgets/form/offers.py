"""The list that drops down below a field: choices, or texts that what is typed could become."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

#: What is typed to the texts it could become, best first.
Suggest = Callable[[str], Awaitable[Sequence[str]]]

_ROWS = 6


class Offers:
    """Texts, and the one chosen of them; none is before one moves into a list of suggestions."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self.at: int | None = None

    @property
    def shown(self) -> bool:
        """Whether there is anything to show."""
        return bool(self._texts)

    @property
    def chosen(self) -> str | None:
        """The text chosen."""
        return self._texts[self.at] if self.at is not None else None

    def show(self, texts: Sequence[str], at: int | None) -> None:
        """Offer these."""
        self._texts = list(texts)
        self.at = at if texts else None

    def close(self) -> None:
        """Offer nothing."""
        self.show((), None)

    def move(self, by: int) -> bool:
        """To the next; False when that is out of the list at its upper end."""
        at = -1 if self.at is None else self.at
        if at + by < 0:
            return False
        self.at = min(at + by, len(self._texts) - 1)
        return True

    def window(self) -> list[tuple[int, str]]:
        """The offers in sight, with their numbers."""
        at = self.at or 0
        first = max(0, min(at - _ROWS // 2, len(self._texts) - _ROWS))
        return list(enumerate(self._texts))[first : first + _ROWS]
