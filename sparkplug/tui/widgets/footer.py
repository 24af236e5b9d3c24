"""The bottom row: what the keys do here, or what was just done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from textual.events import Click

from sparkplug.tui.cells import Line, Span
from sparkplug.tui.widgets.lines import OneLine

#: The part of the row that may go to what always stands in it.
_MOST_OF_IT = 2 / 3


@dataclass(frozen=True, slots=True)
class Hint:
    """A key, what it does, and the app's action that a click on it runs.

    Where there is no room those of the highest `rank` leave first. One that is `known` by its key
    goes without its word where such words would take the room of all others.
    """

    key: str
    does: str
    action: str
    active: bool = False
    rank: int = 0
    known: bool = False

    @property
    def cells(self) -> int:
        """The cells it takes."""
        return cell_len(f" {self.key} {self.does} " if self.does else f" {self.key} ")


class Footer(OneLine):
    """Hints in a row; those that do not fit are left out, the least needed first."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._places: list[tuple[int, int, str]] = []
        self._notice: Line | None = None
        self._hints: Sequence[Hint] = ()
        self._drawn: object = None

    def draw(self, hints: Sequence[Hint]) -> None:
        """Show these hints, unless a notice stands."""
        self._hints = hints
        drawn = (id(hints), self._notice, self.size.width)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        line: list[Span] = []
        places: list[tuple[int, int, str]] = []
        used = 0
        for hint in _fitting(hints, self.size.width):
            key, does = f" {hint.key}", f" {hint.does} " if hint.does else " "
            size = cell_len(key + does)
            if used + size > self.size.width:
                break
            line += [("focus", key), ("bold" if hint.active else "dim", does)]
            places.append((used, used + size, hint.action))
            used += size
        self._places = places
        self.set_line(self._notice or tuple(line))

    def on_resize(self) -> None:
        """Others fit; one that was hidden has been drawn for no cell at all."""
        self.draw(self._hints)

    def notice(self, line: Line | None) -> None:
        """Show a sentence instead of the hints; None takes it away."""
        self._notice = line
        self.draw(self._hints)

    async def on_click(self, event: Click) -> None:
        """A click on a hint is its key."""
        for start, end, action in self._places:
            if start <= event.x < end and self._notice is None:
                await self.app.run_action(action)
                return


def _fitting(hints: Sequence[Hint], width: int) -> list[Hint]:
    always = sum(hint.cells for hint in hints if not hint.rank)
    if always > width * _MOST_OF_IT:
        hints = [replace(h, does="") if h.known and not h.active else h for h in hints]
    found = list(hints)
    used = sum(hint.cells for hint in found)
    for hint in sorted(enumerate(hints), key=lambda one: (-one[1].rank, -one[0])):
        if used <= width or not hint[1].rank:
            break
        found.remove(hint[1])
        used -= hint[1].cells
    return found
