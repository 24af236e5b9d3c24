"""A box row by row, as much of it as a zoom shows."""

from __future__ import annotations

from rich.cells import cell_len

from sparkplug.tui.cells import Line, clip, fit
from sparkplug.tui.widgets.canvas.model import Box, Rect, Zoom

_LOOP = "↻"
_MARK = "▸"


def face(box: Box, place: Rect, zoom: Zoom, row: int, *, marked: bool, loop: bool) -> Line:
    """One row of a box, counted from its first; `marked`: it is selected, `loop`: it has an
    edge to itself."""
    width = place.width
    if zoom == "dot":
        return (("focus", _MARK),) if marked else ((box.pen, fit(box.sign, 1)),)
    if zoom == "line":
        first = ("focus", f" {_MARK} ") if marked else (box.pen, f" {box.sign} ")
        name = ("cursor" if marked else "text", box.name)
        return clip((first, name, ("dim", f" {box.remark}" if box.remark else "")), width)
    pen = "focus" if marked else box.pen
    corners = "┏┓┗┛━┃" if marked else "╭╮╰╯─│"
    if row == 0:
        return _title(box, width, pen, corners, marked=marked, loop=loop)
    if row == place.height - 1:
        return ((pen, corners[2] + corners[4] * (width - 2) + corners[3]),)
    inside = box.inside
    line = inside[row - 1] if row <= len(inside) else ()
    return (
        (pen, corners[5]),
        *clip((("text", " "), *line), width - 2),
        (pen, corners[5]),
    )


def _title(box: Box, width: int, pen: str, corners: str, *, marked: bool, loop: bool) -> Line:
    """`╭ name ──╮`, the name cut where there is no room for it."""
    room = width - 3 - loop
    name = fit(box.name, min(room, cell_len(box.name)))
    name += " " * (cell_len(name) < room)
    rest = corners[4] * (room - cell_len(name)) + _LOOP * loop + corners[1]
    return (
        (pen, corners[0] + (_MARK if marked else " ")),
        ("bold" if marked else "text", name),
        (pen, rest),
    )
