"""Which columns of a table are shown, in which order, and how far they are moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparkplug.tui.widgets.table.columns import Column, Numbered, Place, furthest, narrow, wide


class ChosenColumns:
    """The columns as the user has them."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = {column.name: (index, column) for index, column in enumerate(columns)}
        #: All names, in the order they are shown in.
        self.order = list(self._columns)
        #: What the user has said of a column: whether it is shown.
        self._said: dict[str, bool] = {}
        #: Columns that have nothing to show now, whatever the user has said of them.
        self.empty: frozenset[str] = frozenset()
        self.wide = False
        #: By how many columns those after the first are moved.
        self.left = 0

    def is_shown(self, name: str) -> bool:
        """Whether a column is shown, where there is room."""
        if name in self.empty:
            return False
        return self._said.get(name, self.wide or not self._columns[name][1].extra)

    def toggle(self, name: str) -> bool:
        """Show a column or hide it. False: it is the last one and stays."""
        shown = self.is_shown(name)
        if shown and sum(map(self.is_shown, self.order)) == 1:
            return False
        self._said[name] = not shown
        self.left = 0
        return True

    def move_column(self, name: str, by: int) -> None:
        """Put a column before or after its neighbour."""
        at = self.order.index(name)
        to = min(max(0, at + by), len(self.order) - 1)
        self.order.insert(to, self.order.pop(at))

    def reset(self) -> None:
        """As they were at first."""
        self.order = list(self._columns)
        self._said.clear()
        self.left = 0

    def shown(self) -> list[Numbered]:
        """The columns that are shown where there is room, each with which of the table's it is."""
        return [self._columns[name] for name in self.order if self.is_shown(name)]

    def places(self, width: int) -> list[Place]:
        """Where they stand in a width."""
        if width <= 0:
            return []
        shown = self.shown()
        if not self.wide:
            return narrow(shown, width)
        self.left = min(self.left, furthest(shown, width))
        return wide(shown, width, self.left)

    def move(self, by: int, width: int) -> None:
        """Move the columns after the first, in the wide table."""
        if self.wide:
            self.left = min(max(0, self.left + by), furthest(self.shown(), width))

    def state(self) -> dict[str, Any]:
        """What the user has chosen, for JSON."""
        changed = self.order != list(self._columns)
        return {
            "columns": dict(self._said),
            "order": list(self.order) if changed else [],
            "wide": self.wide,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave; what does not fit any more is left out."""
        self.reset()
        said, order = state.get("columns"), state.get("order")
        if isinstance(said, dict):
            self._said = {
                name: shown
                for name, shown in said.items()
                if name in self._columns and isinstance(shown, bool)
            }
            if not any(map(self.is_shown, self.order)):
                self._said.clear()
        if isinstance(order, list):
            named = [name for name in order if isinstance(name, str) and name in self._columns]
            named = list(dict.fromkeys(named))
            # A column that is new stands where it was made to stand.
            for at, name in enumerate(self._columns):
                if name not in named:
                    named.insert(at, name)
            self.order = named
        self.wide = state.get("wide") is True
