"""A menu of what can be done."""

from __future__ import annotations

from textual.widget import Widget

from sparkplug.tui.widgets.menu import Item, Menu

ABOUT = "What can be done here: a key beside each entry, a reason where it cannot be done."


def make() -> Widget:
    """A menu of an agent that runs."""
    found = Menu(
        [
            Item("Describe critic", "d"),
            Item("Follow logs", "l"),
            Item("Restart agent critic", "r"),
            Item("Start agent critic", "S", why="it runs already"),
            Item("Remove agent critic", "ctrl+d"),
            Item("Copy name", "y"),
        ]
    )
    found.styles.width, found.styles.height = found.needed
    return found
