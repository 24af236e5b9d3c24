"""The columns of the list of memories, and the tree of what they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sparkplug.schema.text import one_line
from sparkplug.tui import figures
from sparkplug.tui.cells import Line, Span
from sparkplug.tui.widgets.table import Column
from sparkplug.tui.widgets.tree_nodes import Node

if TYPE_CHECKING:
    from sparkplug.schema.memory import MemoryItem
    from sparkplug.schema.memory_stats import MemoryStats, ScopeUse

#: Characters of a text that a row is made of.
_LOOKED_AT = 400
_KINDS = {"mesh": "all", "owner": "owners", "group": "groups", "agent": "agents", "run": "runs"}

#: What the tree's nodes hold: the state that is listed, or another list; and the scopes, with a
#: space between them (empty: all).
Choice = tuple[str, str]


def scopes_of(choice: Choice) -> list[str]:
    """The scopes, as they are asked for."""
    return choice[1].split()


def title_of(choice: Choice) -> str:
    """What the scopes are called; empty: all of them."""
    scopes = scopes_of(choice)
    if len(scopes) < 2:
        return choice[1]
    return f"{len(scopes)} {_KINDS.get(scopes[0].partition(':')[0], 'scopes')}"


def _score(item: MemoryItem) -> float | None:
    return getattr(item, "score", None)


def _draw_score(value: float | None) -> Span:
    return ("dim", "") if value is None else ("focus", f"{value:.2f}")


def _why(item: MemoryItem) -> str | None:
    """What made it a hit, in a few words."""
    why = getattr(item, "why", None)
    if why is None:
        return None
    parts = []
    if why.semantic is not None:
        parts.append(f"≈{why.semantic:.2f}")
    if why.lexical is not None:
        parts.append(f"w{why.lexical:.2f}")
    return " ".join([*parts, *why.words])


def _marks(item: MemoryItem) -> str | None:
    marks = ["outside"] if str(item.source) == "outside" else []
    return " ".join([*marks, *item.flags]) or None


def _draw_marks(value: str | None) -> Span:
    return ("dim", "") if value is None else ("warn", f"▲ {value}")


def is_failing(item: MemoryItem) -> bool:
    """Whether something is odd about it."""
    return bool(item.flags) or str(item.state) == "quarantined"


MEMORY_COLUMNS = (
    Column("score", 5, _score, kind="number", draw=_draw_score, rank=3),
    Column("text", 36, lambda i: one_line(i.text[:_LOOKED_AT]), grows=True),
    Column("scope", 16, lambda i: i.scope, rank=4, full=24),
    Column("by", 10, lambda i: i.author, rank=5, full=20),
    Column("age", 5, lambda i: i.created, kind="age", rank=2),
    Column("marks", 12, _marks, draw=_draw_marks, rank=6, none="", grows=True),
    Column("why", 22, _why, rank=7, full=40, none=""),
    Column("reads", 5, lambda i: i.reads, kind="number", extra=True),
    Column("strength", 8, lambda i: i.strength, kind="number", extra=True),
    Column("version", 7, lambda i: i.version, kind="number", extra=True),
    Column("size", 6, lambda i: i.size, kind="bytes", extra=True),
    Column("run", 14, lambda i: i.run or None, extra=True, full=20),
    Column("document", 24, lambda i: f"{i.path}:{i.line_from}" if i.path else None, extra=True),
)


def scope_nodes(stats: MemoryStats | None, proposals: int | None = None) -> list[Node]:
    """All there is, by whose it is; then what waits for a review, what can be had back, what
    could be tidied (`proposals`: how much, where that is known) and what happened when."""
    if stats is None:
        return []
    kinds: dict[str, list[ScopeUse]] = {}
    for use in stats.scopes:
        if use.items:
            kinds.setdefault(use.scope.partition(":")[0], []).append(use)
    below = []
    for kind, title in _KINDS.items():
        uses = kinds.get(kind, [])
        if kind == "mesh" and uses:
            below.append(_node("mesh", "mesh", uses[0].items, ("kept", "mesh")))
        elif uses:
            inside = [
                _node(u.scope, one_line(u.scope.partition(":")[2]), u.items, ("kept", u.scope))
                for u in sorted(uses, key=lambda use: -use.items)
            ]
            all_of_them = " ".join(u.scope for u in uses)
            count = sum(u.items for u in uses)
            below.append(_node(kind, title, count, ("kept", all_of_them), inside))
    found = [_node("all", "everything", stats.items, ("kept", ""), below)]
    pen = "warn" if stats.quarantined else "dim"
    found.append(_node("quarantine", "quarantine", stats.quarantined, ("quarantined", ""), pen=pen))
    found.append(_node("deleted", "deleted", stats.deleted, ("deleted", "")))
    pen = "warn" if proposals else "dim"
    found.append(_node("proposals", "proposals", proposals, ("proposals", ""), pen=pen))
    found.append(_node("timeline", "timeline", None, ("timeline", "")))
    return found


def _node(
    key: str,
    title: str,
    count: int | None,
    choice: Choice,
    below: Iterable[Node] = (),
    pen: str = "dim",
) -> Node:
    line: Line = (("text", title), (pen, f"  {'' if count is None else count}"))
    return Node(key, line, choice, list(below))


def usage_lines(stats: MemoryStats, width: int) -> list[Line]:
    """Where it is and how it grew: figures, quotas, growth as blocks, folders."""
    from sparkplug.schema.memory_documents import folder_state

    lines: list[Line] = [
        (
            ("title", f"{stats.items} memories"),
            ("dim", f"  {figures.size(stats.bytes)} of text, {figures.size(stats.disk_bytes)} on"),
            ("text", f" {stats.node}"),
        ),
        (("dim", "compared by "), ("text", stats.embedder or "words alone"), _note(stats)),
    ]
    moving = stats.reembedding
    if moving is not None:
        share = moving.done / max(1, moving.total)
        bar = figures.meter(share * 100, min(24, width // 3))
        text = f" {moving.done}/{moving.total} to {moving.embedder} {moving.error}"
        lines.append((*_as_line(bar), ("active", text)))
    lines.append((("dim", "facts "), ("text", stats.extraction)))
    if stats.waiting or stats.extracting:
        text = f"{stats.waiting} to store, {stats.extracting} to extract"
        lines.append((("active", text),))
    room = max(10, width - 26)
    if stats.growth:
        items = [float(point.items) for point in stats.growth]
        size = [float(point.bytes) for point in stats.growth]
        added = [float(point.added) for point in stats.growth]
        for title, values, told in (
            ("memories", items, f"{int(items[-1])}"),
            ("size", size, figures.size(size[-1])),
            ("added", added, f"{int(max(added))} at most"),
        ):
            drawn = figures.sparkline(_stretched(values, room), room, max(1.0, max(values)))
            lines.append((("dim", f"{title:<9} "), ("active", drawn), ("text", f" {told}")))
        first = stats.growth[0].time.astimezone()
        lines.append((("dim", f"since {first:%Y-%m-%d %H:%M}"),))
    for use in stats.agents[:12]:
        share = max(use.items / use.most_items, use.bytes / use.most_bytes)
        pen = "bad" if share > 0.95 else "warn" if share > 0.8 else "text"
        name = one_line(use.agent)[:24]
        told = f"{use.items:>7} of {use.most_items}, {figures.size(use.bytes)}"
        lines.append((("text", f"{name:<24} "), (pen, told)))
    for folder in stats.folders:
        state = folder_state(folder, stats.node)
        text = f"  {folder.files} files, {folder.chunks} pieces, {state}"
        lines.append((("text", one_line(folder.path)), ("dim", text)))
    return lines


def _note(stats: MemoryStats) -> Span:
    return ("dim", f" ({one_line(stats.embedder_note)})" if stats.embedder_note else "")


def _as_line(made: Any) -> Line:
    return made if made and not isinstance(made[0], str) else (made,)


def _stretched(values: list[float], width: int) -> list[float]:
    """As many values as there are cells."""
    return [values[at * len(values) // width] for at in range(width)]
