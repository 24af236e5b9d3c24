"""What is known of a thing as a tree, and the whole value of the node under the cursor below it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.dialog import FROM_A_PAGE
from sparkplug.tui.dialogs.filtered import Filtered
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.data_tree import value_text
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.tree import Tree
from sparkplug.tui.widgets.tree_nodes import Node, path_text

#: How deep branches are open at first, and the characters of a value that are shown below.
_OPEN = 2
_SHOWN = 2000


class Described(Filtered):
    """A tree to read and to copy from; `enter` on a value opens it whole."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="described.filter"),
        Binding("q", "close", "back", id="described.back"),
        *FROM_A_PAGE,
    ]

    def __init__(
        self,
        title: str,
        nodes: Callable[[], Sequence[Node]],
        topics: frozenset[str] = frozenset(),
        opened: Opened | None = None,
    ) -> None:
        self._tree = Tree(title, empty="nothing is known of it now", text_of=value_text)
        super().__init__(self._tree, "described")
        self.opened = opened
        self.crumb = title
        self.topics = topics
        self._known = nodes
        self._value = Lines(id="described-value")

    def compose(self) -> ComposeResult:
        """The tree, the value, and the filter below them."""
        yield self._tree
        yield self._value
        yield self._entry

    def on_mount(self) -> None:
        """Show it."""
        self._tree.focus()
        self.draw()

    def on_resize(self) -> None:
        """Where there are few rows, the tree has them all."""
        self._value.display = self.size.height >= 16
        self.call_after_refresh(self._show_value)

    def draw(self) -> None:
        """As it is now."""
        self._tree.set_nodes(self._known(), open_to=_OPEN)
        self._show_value()

    def tick(self) -> None:
        """Ages of what goes on."""
        if self.topics:
            self.draw()

    def _show_value(self) -> None:
        node, path = self._tree.node, self._tree.path
        self._value.retitle(path_text(path[1:] or path))
        text = value_text(node.value)[:_SHOWN] if node is not None else ""
        width = max(1, self._value.size.width)
        lines: list[Line] = [(("text", line),) for line in wrap(text, width)]
        self._value.set_lines(lines if text else [])

    def on_listing_moved(self) -> None:
        """Another node."""
        self._show_value()

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Enter: fold a branch, read a value."""
        event.stop()
        node = self._tree.node
        if node is None:
            return
        if node.is_branch:
            self._tree.action_turn()
            return
        from sparkplug.tui.dialogs.notes import Note

        text = value_text(node.value)
        title = path_text(self._tree.path[-1:])
        self.app.push_screen(Note(title, lambda width: [(("text", t),) for t in wrap(text, width)]))

    def on_tree_copied(self, event: Tree.Copied) -> None:
        """What is selected, else what the tree says."""
        self.copy_or(event.text)
