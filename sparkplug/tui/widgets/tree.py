"""A tree one moves in: branches fold, children come when looked at, rows are drawn late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message
from textual.strip import Strip

from sparkplug.tui.cells import Line, strip
from sparkplug.tui.filter import Filter
from sparkplug.tui.widgets.listing import Listing, Row
from sparkplug.tui.widgets.selecting import LEFT
from sparkplug.tui.widgets.tree_nodes import (
    LOADED_AT_ONCE,
    Branches,
    Node,
    Path,
    Place,
    path_text,
)

_INDENT = 3
_BETWEEN = "\x1f"


class Tree(Branches, Listing):
    """Nodes with a cursor. Posts what a `Listing` posts, and `Copied` of what is to be copied.

    The cursor stays on its node, and branches stay open, while nodes come and go: both are known
    by their keys. A filter shows the nodes that match, and those above and below them.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "fold", "fold, or to what is above", show=False, id="tree.fold"),
        Binding("right", "unfold", "unfold, or to what is below", show=False, id="tree.unfold"),
        Binding("space", "turn", "fold or unfold", show=False, id="tree.toggle"),
        Binding("asterisk", "unfold_all", "unfold all below", show=False, id="tree.unfold-all"),
        Binding("minus", "fold_all", "fold all below", show=False, id="tree.fold-all"),
        Binding("y", "copy_value", "copy the value", show=False, id="tree.copy"),
        Binding("Y", "copy_path", "copy the path", show=False, id="tree.copy-path"),
    ]

    class Copied(Message):
        """This is to be copied."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(
        self,
        title: str = "",
        *,
        empty: str = "",
        text_of: Callable[[Any], str] = str,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(title, id=id)
        self._label = title
        self._empty = empty
        self._text_of = text_of
        self._places: list[Place] = []
        self._window: list[Line] = []

    # What a list has

    @property
    def shown(self) -> int:
        """How many nodes are in sight, were the box high enough."""
        return len(self._places)

    def at(self, index: int) -> Row:
        """The node at a place as a row; its key is its path."""
        place = self._places[index]
        return Row(_BETWEEN.join(place.path), place.node.line, place.node.value)

    def place_of(self, key: str) -> int | None:
        """The place of the node with a path; None when it is not in sight."""
        parts = key.split(_BETWEEN)
        depth = len(parts) - 1
        for index, place in enumerate(self._places):
            if place.depth == depth and place.node.key == parts[-1] and list(place.path) == parts:
                return index
        return None

    @property
    def wanted(self) -> Filter:
        """Which nodes are shown."""
        return self._filter

    @wanted.setter
    def wanted(self, value: Filter) -> None:
        self._filter = value
        self._lay_out()

    @property
    def node(self) -> Node | None:
        """The node under the cursor."""
        return self._places[self._cursor].node if self._cursor < self.shown else None

    @property
    def path(self) -> Path:
        """The keys that lead to the node under the cursor."""
        return self._places[self._cursor].path if self._cursor < self.shown else ()

    # What is shown

    def set_nodes(self, roots: Sequence[Node], *, open_to: int = 0) -> None:
        """Show these. Branches above the depth `open_to` are open when they are new."""
        first = not self._roots
        self._roots = roots
        self._loaded.clear()
        if first and open_to:
            self._open |= {path for path, _ in self._walk(open_to)}
        self._lay_out()

    def _lay_out(self) -> None:
        """Lay all out anew; the cursor stays on its node."""
        before = self.path
        self._find_kept()
        self._places = self._below(self._roots, None, ())
        index = self._index_of(before)
        self._cursor = min(self._cursor, max(0, self.shown - 1)) if index is None else index
        self._settle()
        if self.path != before:
            self.post_message(self.Moved(self))

    def _index_of(self, path: Path) -> int | None:
        """The place of a node; of the nearest above it that is in sight when it is not."""
        while path:
            index = self.place_of(_BETWEEN.join(path))
            if index is not None:
                return index
            if len(path) == 1:
                return None
            path = path[:-1]
        return None

    def _settle(self) -> None:
        """Keep the cursor in sight, and paint the rows that are others now."""
        self._clamp()
        self._follow_cursor()
        count = f" {self.shown}" if self._places else ""
        note = f" /{self._filter.text}" if self._filter.text else ""
        if self._label:
            self.retitle(f"{self._label}{count if note else ''}{note}")
        else:
            self.tell_standing()
        before, self._window = self._window, self._in_window()
        if not self._window:
            self.refresh_row(0)  # which says what nothing matches
        for y in range(max(len(before), len(self._window))):
            if before[y : y + 1] != self._window[y : y + 1]:
                self.refresh_row(y)

    def _in_window(self) -> list[Line]:
        last = min(self.shown, self.top + self.page)
        return [self._line_at(index) for index in range(self.top, last)]

    def _clamp(self) -> None:
        top = min(max(0, self.top), max(0, self.shown - self.page))
        if top != self.top:
            self.top = top
            self.refresh()

    def scroll_lines(self, by: int) -> None:
        """Move what is shown by so many rows."""
        super().scroll_lines(by)
        self._window = self._in_window()

    def resized(self) -> None:
        """Another size."""
        super().resized()
        self._window = self._in_window()

    def _line_at(self, index: int) -> Line:
        place = self._places[index]
        on = index == self._cursor
        mark = ("▸" if self.has_focus else "·") if on else " "
        guides = self._guides(place)
        return (("focus", mark), ("line", guides), *place.node.line)

    def _guides(self, place: Place) -> str:
        fold = ("- " if self._is_open(place) else "+ ") if place.node.is_branch else ""
        if place.depth == 0:
            return fold or "  "
        own = ("└" if place.last else "├") + (fold or "─ ")
        most = max(1, self.size.width // (2 * _INDENT))
        parts: list[str] = []
        above = place.parent
        while above is not None and above.depth > 0 and len(parts) < most:
            parts.append("   " if above.last else "│  ")
            above = above.parent
        start = "…  " if above is not None and above.depth > 0 else "  "
        return start + "".join(reversed(parts)) + own

    def render_line(self, y: int) -> Strip:
        """One row, as Textual asks for it."""
        index = self.top + y
        line: Line = ()
        if index < self.shown:
            line = self._line_at(index)
        elif index == 0:
            text = f"nothing matches /{self._filter.text}" if self._filter.text else self._empty
            line = (("dim", f" {text}"),)
        return strip(line, self.size.width, self.pens, self.row_style(index))

    def row_style(self, index: int) -> Style:
        """The row under the cursor stands out while the tree has the focus."""
        if index == self._cursor and self._places and self.has_focus:
            return self.rich_style + self.pens["cursor"]
        return self.rich_style

    def _move_to(self, index: int) -> None:
        super()._move_to(index)
        self._window = self._in_window()

    # Folding

    def _is_open(self, place: Place) -> bool:
        path = place.path
        return path in self._open or path in self._held

    def _fold(self, index: int) -> None:
        place = self._places[index]
        path = place.path
        self._open.discard(path)
        self._held.discard(path)
        end = index + 1
        while end < self.shown and self._places[end].depth > place.depth:
            end += 1
        del self._places[index + 1 : end]
        self._settle()

    def _unfold(self, index: int) -> None:
        place = self._places[index]
        path = place.path
        self._open.add(path)
        below = self._below(self._children(path, place.node), place, path)
        self._places[index + 1 : index + 1] = below
        self._settle()

    def action_turn(self) -> None:
        """Fold the branch under the cursor, or unfold it."""
        if self._cursor < self.shown and self._places[self._cursor].node.is_branch:
            open_ = self._is_open(self._places[self._cursor])
            (self._fold if open_ else self._unfold)(self._cursor)

    def action_unfold(self) -> None:
        """Unfold; when it is, on to the first below."""
        if self._cursor >= self.shown:
            return
        place = self._places[self._cursor]
        if place.node.is_branch and not self._is_open(place):
            self._unfold(self._cursor)
        elif self._cursor + 1 < self.shown and self._places[self._cursor + 1].parent is place:
            self._move_to(self._cursor + 1)

    def action_fold(self) -> None:
        """Fold; when it is, or cannot be, to what is above."""
        if self._cursor >= self.shown:
            return
        place = self._places[self._cursor]
        if place.node.is_branch and self._is_open(place):
            self._fold(self._cursor)
        elif place.parent is not None:
            index = self._cursor
            while self._places[index] is not place.parent:
                index -= 1
            self._move_to(index)

    def action_unfold_all(self) -> None:
        """Unfold all below the cursor; of what was not looked at, so much as is bearable."""
        if self._cursor >= self.shown:
            return
        budget = LOADED_AT_ONCE
        stack = [(self.path, self._places[self._cursor].node)]
        while stack and budget > 0:
            path, node = stack.pop()
            if not node.is_branch:
                continue
            budget -= callable(node.children)
            self._open.add(path)
            stack += [((*path, child.key), child) for child in self._children(path, node)]
        self._lay_out()

    def action_fold_all(self) -> None:
        """Fold all below the cursor, and itself."""
        path = self.path
        self._open = {one for one in self._open if one[: len(path)] != path}
        self._lay_out()

    def on_click(self, event: Click) -> None:
        """A click on the mark of a branch folds it; else as in any list."""
        place = event.get_content_offset(self)
        index = self.top + place.y if place is not None else self.shown
        if place is not None and event.button == LEFT and 0 <= index < self.shown:
            mark = 1 + len(self._guides(self._places[index])) - 2
            if self._places[index].node.is_branch and place.x in (mark - 1, mark):
                event.prevent_default()
                self._move_to(index)
                self.action_turn()

    # Copying

    def action_copy_value(self) -> None:
        """The value under the cursor."""
        if self.node is not None:
            self.post_message(self.Copied(self._text_of(self.node.value)))

    def action_copy_path(self) -> None:
        """The path that leads to it."""
        if self.path:
            self.post_message(self.Copied(path_text(self.path)))
