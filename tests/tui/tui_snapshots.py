"""Pictures of the screen, kept as SVG and compared; what differs is told row beside row.

A picture holds no font, no id that changes and no time of its own, so that two of the same screen
are the same text. `SNAPSHOTS=accept` writes what is seen instead of comparing it.
"""

from __future__ import annotations

import html
import importlib
import os
import pkgutil
import re
import sys
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
from rich.cells import set_cell_size

import sparkplug.client
import sparkplug.tui
from sparkplug.tui.screenshot import without_links

FOLDER = Path(__file__).with_name("snapshots")
ACCEPT = os.environ.get("SNAPSHOTS") == "accept"
#: The moment of every picture.
MOMENT = datetime(2026, 1, 5, 14, 2, 30, tzinfo=UTC)
_ID = re.compile(r"terminal-\d+")
_CLIPS = re.compile(r'<clipPath id="[^"]*-line-\d+">.*?</clipPath>\s*', re.DOTALL)
_CLIP = re.compile(r' clip-path="url\(#[^"]*-line-\d+\)"')
_TEXT = re.compile(
    r'<text class="[^"]*-r\d+"[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', re.DOTALL
)
_CELL = 12.2
_WIDEST = 78


class _Kind(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class _Still(datetime, metaclass=_Kind):
    """A clock that stands."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """The moment."""
        return MOMENT.astimezone(tz) if tz else MOMENT.astimezone().replace(tzinfo=None)


class _StillTime:
    """The module `time`, of which `time()` stands."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def time(self) -> float:
        """The moment, in seconds since the epoch."""
        return MOMENT.timestamp()


def still_time() -> Any:
    """A module `time` that stands, for what is no part of the screen."""
    return _StillTime()


def stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be `MOMENT`, in UTC, for all that is drawn and for all that records say."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    for package in (sparkplug.tui, sparkplug.client):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)
    for name, module in list(sys.modules.items()):
        ours = name.startswith(("sparkplug.tui", "sparkplug.client")) or name == (
            "sparkplug.schema.base"
        )
        if ours and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", _Still)
        if name.startswith("sparkplug.tui") and getattr(module, "time", None) is time:
            monkeypatch.setattr(module, "time", _StillTime())


def normal(picture: str) -> str:
    """A picture without what differs from one to the next, and what cuts rows that fit."""
    lean = _CLIP.sub("", _CLIPS.sub("", without_links(picture)))
    return _ID.sub("terminal", lean).strip() + "\n"


def words(picture: str) -> list[str]:
    """The rows of a picture as text."""
    rows: dict[float, str] = {}
    for x, y, text in _TEXT.findall(picture):
        before = rows.get(float(y), "")
        column = round(float(x) / _CELL)
        rows[float(y)] = set_cell_size(before, column) + html.unescape(text).replace(
            "\xa0", " "
        ).rstrip("\n")
    return [rows[y] for y in sorted(rows)]


def told(name: str, kept: str, seen: str) -> str:
    """How a picture differs from the one that is kept: the rows, one beside the other."""
    old, new = words(kept), words(seen)
    height = max(len(old), len(new))
    old += [""] * (height - len(old))
    new += [""] * (height - len(new))
    different = [y for y in range(height) if old[y].rstrip() != new[y].rstrip()]
    lines = [f"{name} is another picture; `make snapshots` accepts it"]
    if not different:
        lines.append("the words are the same: colours or attributes differ, see the SVG")
    for y in different:
        if max(len(old[y]), len(new[y])) > _WIDEST:
            lines += [f"{y:>3} - {old[y].rstrip()}", f"    + {new[y].rstrip()}"]
        else:
            lines.append(f"{y:>3} {set_cell_size(old[y], _WIDEST)} ┃ {new[y].rstrip()}")
    return "\n".join(lines)


def compare(name: str, picture: str) -> str | None:
    """None when a picture is the one that is kept, or was accepted; else how it differs."""
    seen, path = normal(picture), FOLDER / f"{name}.svg"
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    if kept == seen:
        return None
    if ACCEPT:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(seen, encoding="utf-8")
        return None
    return told(name, kept, seen) if kept else f"{name} is not kept yet: `make snapshots` keeps it"
