"""A log."""

from __future__ import annotations

from textual.widget import Widget

from sparkplug.tui.widgets.log_view.box import LogBox

ABOUT = "A log of any length: follows its end, filters, searches, wraps, selects and copies."

_LEVELS = ("INFO", "DEBUG", "INFO", "WARN", "INFO", "\x1b[32mINFO\x1b[0m", "ERROR")
_COUNT = 20_000


def make() -> Widget:
    """A log of many lines, some of them long, coloured or hostile."""
    found = LogBox("log")
    lines = []
    for n in range(_COUNT):
        clock = f"2026-03-01 {n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}"
        text = f"worker {n % 7} took step {n} in {n * 37 % 1000} ms"
        if n % 50 == 7:
            text += " 漢字 \x1b]0;owned\x07\x1b[2J" + " and more of it" * 20
        lines.append(f"{clock} {_LEVELS[n % len(_LEVELS)]} {text}\n")
    lines.append("x" * (1 << 20) + "\n")
    found.view.append("".join(lines))
    return found
