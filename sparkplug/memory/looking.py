"""What the catalogue tells: lists, all about one item, use and growth."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime

from sparkplug.memory import happened, settled
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.rows import item_of, read_of, saying_of, version_of, when
from sparkplug.schema.memory import UNDO_S, MemoryDescription, MemoryState
from sparkplug.schema.memory_export import ExportedMemory
from sparkplug.schema.memory_requests import ListReply, ListRequest
from sparkplug.schema.memory_stats import AgentUse, GrowthPoint, ScopeUse

_POINTS = 60
_DAY = 86400.0


def list_items(
    db: sqlite3.Connection, request: ListRequest, scopes: list[str] | None, half_life: float
) -> ListReply:
    """A page of items, the newest first, and how many there are in all."""
    where, values = ["state = ?"], [str(request.state)]
    if scopes is not None:
        where.append(f"scope IN ({','.join('?' * len(scopes))})")
        values += scopes
    if request.agent:
        where.append("agent = ?")
        values.append(request.agent)
    if request.flagged:
        where.append("flags != ''")
    numbers: list[float] = []
    if request.since is not None:
        where.append("created >= ?")
        numbers.append(request.since.timestamp())
    condition = " AND ".join(where)
    given = (*values, *numbers)
    total = db.execute(f"SELECT count(*) AS n FROM items WHERE {condition}", given).fetchone()["n"]  # noqa: S608
    rows = db.execute(
        f"SELECT * FROM items WHERE {condition} ORDER BY created DESC, row DESC LIMIT ? OFFSET ?",  # noqa: S608
        (*given, request.limit, request.offset),
    )
    items = [item_of(row, half_life, request.chars) for row in rows]
    return ListReply.model_construct(v=1, items=items, total=total)


def describe(catalogue: Catalogue, row: sqlite3.Row, half_life: float) -> MemoryDescription:
    """All that is known of one item, but how the runs that read it ended."""
    line = exported(catalogue.reader, row, half_life)
    until = when(row["deleted"] + UNDO_S) if row["deleted"] is not None else None
    return MemoryDescription(
        item=line.item,
        versions=line.versions,
        reads=line.reads,
        sayings=line.sayings,
        undo_until=until,
    )


def exported(db: sqlite3.Connection, row: sqlite3.Row, half_life: float) -> ExportedMemory:
    """One item with its versions, readings and sayings."""
    key = (row["row"],)
    versions = db.execute("SELECT * FROM versions WHERE item = ? ORDER BY version", key)
    reads = db.execute("SELECT * FROM readings WHERE item = ? ORDER BY last DESC", key)
    sayings = db.execute("SELECT * FROM sayings WHERE item = ? ORDER BY time", key)
    return ExportedMemory(
        item=item_of(row, half_life),
        was=MemoryState(row["was"] or MemoryState.KEPT),
        versions=[version_of(found) for found in versions],
        reads=[read_of(found) for found in reads],
        sayings=[saying_of(found) for found in sayings],
        happened=happened.exported(db, row["row"]),
        decisions=settled.exported(db, row["id"]),
    )


def scopes_in_use(db: sqlite3.Connection) -> list[ScopeUse]:
    """Every scope there is and what it holds, by name."""
    found: dict[str, ScopeUse] = {}
    rows = db.execute(
        "SELECT scope, state, count(*) AS n, sum(size) AS bytes, max(created) AS newest"
        " FROM items GROUP BY scope, state"
    )
    for row in rows:
        use = found.setdefault(row["scope"], ScopeUse(scope=row["scope"]))
        match row["state"]:
            case "kept":
                use.items, use.bytes, use.newest = row["n"], row["bytes"], when(row["newest"])
            case "quarantined":
                use.quarantined = row["n"]
            case _:
                use.deleted = row["n"]
    return sorted(found.values(), key=lambda use: use.scope)


def agents_in_use(db: sqlite3.Connection, most_items: int, most_bytes: int) -> list[AgentUse]:
    """What each agent has written that is there, the most first."""
    rows = db.execute(
        "SELECT agent, count(*) AS n, sum(size) AS bytes FROM items"
        " WHERE agent != '' AND state != 'deleted' GROUP BY agent ORDER BY n DESC"
    )
    return [
        AgentUse(
            agent=row["agent"],
            items=row["n"],
            bytes=row["bytes"],
            most_items=most_items,
            most_bytes=most_bytes,
        )
        for row in rows
    ]


def used_by(db: sqlite3.Connection, agent: str) -> tuple[int, int]:
    """Items and bytes that an agent has written and that are there."""
    row = db.execute(
        "SELECT count(*) AS n, coalesce(sum(size), 0) AS bytes FROM items"
        " WHERE agent = ? AND state != 'deleted'",
        (agent,),
    ).fetchone()
    return int(row["n"]), int(row["bytes"])


def growth(db: sqlite3.Connection) -> list[GrowthPoint]:
    """What came and went over time: as many spans as can be drawn, from the first to now."""
    first = db.execute("SELECT min(created) AS t FROM items").fetchone()["t"]
    if first is None:
        return []
    now = time.time()
    span = max(1.0, (now - first) / _POINTS)
    points = [
        GrowthPoint(time=datetime.fromtimestamp(first + (n + 1) * span, UTC))
        for n in range(_POINTS)
    ]
    came = db.execute(
        "SELECT min(cast((created - ?) / ? AS INTEGER), ?) AS n, count(*) AS items,"
        " sum(size) AS bytes FROM items GROUP BY 1",
        (first, span, _POINTS - 1),
    )
    for row in came:
        points[row["n"]].added += row["items"]
        points[row["n"]].bytes += row["bytes"]
    went = db.execute(
        "SELECT max(0, min(cast((deleted - ?) / ? AS INTEGER), ?)) AS n, count(*) AS items,"
        " sum(size) AS bytes FROM items WHERE state = 'deleted' GROUP BY 1",
        (first, span, _POINTS - 1),
    )
    for row in went:
        points[row["n"]].deleted += row["items"]
        points[row["n"]].bytes -= row["bytes"]
    items = size = 0
    for point in points:
        items += point.added - point.deleted
        size += point.bytes
        point.items, point.bytes = items, size
    return points
