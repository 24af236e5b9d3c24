"""Text to read."""

from __future__ import annotations

from textual.widget import Widget

from sparkplug.tui.widgets.page import Page

ABOUT = "Text to read: wrapped for every width, scrolled, kept at its end while it grows."

_TEXT = (
    "Agents say what they do, the host says what it is, and both are read here. "
    "A line that is longer than the box is broken at a space where there is one."
)


def make() -> Widget:
    """A page of paragraphs."""
    found = Page("page")
    found.show_text("\n\n".join(f"{n}. {_TEXT}" for n in range(1, 40)))
    return found
