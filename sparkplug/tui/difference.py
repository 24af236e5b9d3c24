"""A unified diff as lines to read: what came, what went, and where."""

from __future__ import annotations

from sparkplug.tui.cells import Line, wrap

_PENS = {"+": "ok", "-": "bad", "@": "focus"}


def difference_lines(text: str, width: int) -> list[Line]:
    """The lines of a diff; the names of what is compared stand back."""
    lines: list[Line] = []
    for line in text.splitlines():
        head = line.startswith(("--- ", "+++ "))
        pen = "dim" if head else _PENS.get(line[:1], "text")
        lines += [((pen, part),) for part in wrap(line, width)]
    return lines
