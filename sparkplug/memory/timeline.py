"""What happened to memories, the newest first, put together from where each part of it is kept.

Five tables tell it: when an item came is with the item, edits are versions, who said it again and
who read it have tables of their own, the rest is in `happened`. Each is read newest first from
where the page before ended, no further than a page, and the five are merged.
"""

from __future__ import annotations

import heapq
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sparkplug.memory import happened, retention
from sparkplug.memory.catalogue import Catalogue
from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.memory_timeline import (
    Happening,
    HappeningKind,
    TimelineReply,
    TimelineRequest,
    TimelineSpan,
)

_LEAST_SPAN_S = 1.0
#: Scopes that are read one by one, each in the order an index has.
_ONE_BY_ONE = 30
_STATES = ("kept", "quarantined", "deleted")


@dataclass(frozen=True, slots=True)
class _Source:
    """A table that tells of some kinds: its columns by what they mean; empty: it has none."""

    rank: int
    kinds: frozenset[HappeningKind]
    table: str
    item: str
    time: str
    number: str
    order: str
    id: str = "i.id"
    scope: str = "i.scope"
    kind: str = ""
    by: str = "''"
    run: str = "''"
    times: str = "1"
    version: str = "0"
    why: str = "''"
    text: str = "i.text"
    where: str = "1"
    each: tuple[str, ...] = ("1",)


_SOURCES = (
    _Source(
        rank=0,
        kinds=frozenset({HappeningKind.ADDED}),
        table="items i",
        item="i.row",
        time="i.created",
        number="i.row",
        order="i.created DESC, i.row DESC",
        kind="'added'",
        by="i.author",
        run="i.run",
        why="i.note",
        # One state at a time, so that an index has them in order.
        each=tuple(f"i.state = '{state}'" for state in _STATES),
    ),
    _Source(
        rank=1,
        kinds=frozenset({HappeningKind.EDITED}),
        table="versions t JOIN items i ON i.row = t.item",
        item="t.item",
        time="t.time",
        number="t.item * 1000000 + t.version",
        order="t.time DESC, t.item DESC, t.version DESC",
        kind="'edited'",
        by="t.author",
        version="t.version",
        why="t.why",
        text="t.text",
        where="t.version > 1",
    ),
    _Source(
        rank=2,
        kinds=frozenset({HappeningKind.SAID}),
        table="sayings t JOIN items i ON i.row = t.item",
        item="t.item",
        time="t.time",
        number="t.rowid",
        order="t.time DESC, t.rowid DESC",
        kind="'said'",
        by="t.author",
        run="t.run",
    ),
    _Source(
        rank=3,
        kinds=frozenset({HappeningKind.READ}),
        table="read_log t JOIN items i ON i.row = t.item",
        item="t.item",
        time="t.time",
        number="t.number",
        order="t.time DESC, t.number DESC",
        kind="'read'",
        by="t.agent",
        run="t.run",
        times="t.times",
    ),
    _Source(
        rank=4,
        kinds=frozenset(
            {
                HappeningKind.DELETED,
                HappeningKind.RESTORED,
                HappeningKind.QUARANTINED,
                HappeningKind.RELEASED,
                HappeningKind.MOVED,
                HappeningKind.WEIGHED,
                HappeningKind.MERGED,
                HappeningKind.KEPT,
            }
        ),
        table="happened t LEFT JOIN items i ON i.row = t.item",
        item="t.item",
        time="t.time",
        number="t.number",
        order="t.time DESC, t.number DESC",
        id="t.id",
        scope="t.scope",
        kind="t.kind",
        by="t.author",
        why="t.why",
    ),
)


@dataclass(slots=True)
class _Wanted:
    """Conditions on one source, and what stands in their places."""

    conditions: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, condition: str, *values: object) -> None:
        self.conditions.append(condition)
        self.values += values


def read(catalogue: Catalogue, request: TimelineRequest) -> TimelineReply:
    """A page of what happened. Raises NotFoundError for an item there never was."""
    db = catalogue.reader
    item = _row_of(catalogue, request.item) if request.item else None
    place = _place(request.before)
    sources = [s for s in _SOURCES if not request.kinds or s.kinds & set(request.kinds)]
    found: list[list[tuple[float, int, int, sqlite3.Row]]] = []
    for source in sources:
        wanted = _wanted(source, request, item)
        _from(wanted, source, place)
        for each in _each(source, request.scopes, item):
            page = _page(db, source, wanted, each, request.limit + 1, request.chars)
            found.append(page)
    merged = heapq.merge(*found, key=lambda one: (-one[0], one[1], -one[2]))
    newest = [one for one, _ in zip(merged, range(request.limit + 1), strict=False)]
    shown = newest[: request.limit]
    reply = TimelineReply(
        happenings=[_happening(row) for *_, row in shown],
        more=":".join(map(repr, shown[-1][:3])) if shown and len(newest) > len(shown) else "",
    )
    oldest = happened.reads_since(db)
    reply.reads_since = None if oldest is None else _moment(oldest)
    said = retention.said_since(db)
    reply.said_since = None if said is None else _moment(said)
    if request.spans:
        _count(db, request, sources, item, reply)
    return reply


def _row_of(catalogue: Catalogue, item: str) -> int:
    """The number of an item, also of one of which nothing but what became of it is left."""
    try:
        return int(catalogue.find(item)["row"])
    except NotFoundError:
        clean = "".join(c for c in item if c.isalnum() or c == "-")
        gone = catalogue.reader.execute(
            "SELECT item FROM happened WHERE id >= ? AND id < ? LIMIT 1", (clean, clean + "g")
        ).fetchone()
        if gone is None or not clean:
            raise
        return int(gone["item"])


def _place(before: str) -> tuple[float, int, int] | None:
    """Where the page before ended: its last moment, source and number. Raises InvalidError."""
    if not before:
        return None
    try:
        moment, rank, number = before.split(":")
        return float(moment), int(rank), int(number)
    except ValueError as error:
        raise InvalidError(
            f"{before[:40]!r} is no page of a timeline", hint="give `more` of the page before"
        ) from error


def _wanted(source: _Source, request: TimelineRequest, item: int | None) -> _Wanted:
    """What is asked for, as conditions on one source."""
    wanted = _Wanted()
    wanted.add(source.where)
    if item is not None:
        wanted.add(f"{source.item} = ?", item)
    if request.kinds and not source.kinds <= set(request.kinds):
        wanted.add(f"{source.kind} IN ({_marks(request.kinds)})", *map(str, request.kinds))
    if request.by:
        wanted.add(
            f"({source.by} = ? OR substr({source.by}, 1, ?) = ?)",
            *(request.by, len(request.by) + 1, request.by + "/"),
        )
    if request.run:
        wanted.add(f"{source.run} = ?", request.run)
    if request.since is not None:
        wanted.add(f"{source.time} >= ?", request.since.timestamp())
    if request.until is not None:
        wanted.add(f"{source.time} < ?", request.until.timestamp())
    return wanted


def _from(wanted: _Wanted, source: _Source, place: tuple[float, int, int] | None) -> None:
    """No further than where the page before ended: at one moment sources come in their order."""
    if place is None:
        return
    moment, rank, number = place
    if source.rank < rank:
        wanted.add(f"{source.time} < ?", moment)
    elif source.rank > rank:
        wanted.add(f"{source.time} <= ?", moment)
    else:
        wanted.add(f"{source.time} <= ?", moment)
        wanted.add(f"({source.time} < ? OR {source.number} < ?)", moment, number)


def _each(source: _Source, scopes: Sequence[str], item: int | None) -> list[tuple[str, list[str]]]:
    """Further conditions, one after the other, each of which an index answers in order."""
    if item is not None:
        return [("1", [])]
    parts: list[tuple[str, list[str]]] = [("1", [])]
    if len(scopes) > _ONE_BY_ONE:
        parts = [(f"{source.scope} IN ({_marks(scopes)})", list(scopes))]
    elif scopes:
        parts = [(f"{source.scope} = ?", [scope]) for scope in dict.fromkeys(scopes)]
    return [(f"{a} AND {b}", given) for a in source.each for b, given in parts]


def _page(
    db: sqlite3.Connection,
    source: _Source,
    wanted: _Wanted,
    each: tuple[str, list[str]],
    limit: int,
    chars: int,
) -> list[tuple[float, int, int, sqlite3.Row]]:
    sql = (
        f"SELECT {source.time} AS time, {source.number} AS number, {source.kind} AS kind,"  # noqa: S608  all ours
        f" {source.id} AS id, {source.scope} AS scope, {source.by} AS who, {source.run} AS run,"
        f" {source.times} AS times, {source.version} AS version, {source.why} AS why,"
        f" substr({source.text}, 1, ?) AS text, coalesce(i.state, 'gone') AS state"
        f" FROM {source.table} WHERE {' AND '.join([*wanted.conditions, each[0]])}"
        f" ORDER BY {source.order} LIMIT ?"
    )
    rows = db.execute(sql, (chars, *wanted.values, *each[1], limit))
    return [(row["time"], source.rank, row["number"], row) for row in rows]


def _happening(row: sqlite3.Row) -> Happening:
    return Happening(
        time=_moment(row["time"]),
        kind=HappeningKind(row["kind"]),
        id=row["id"],
        scope=row["scope"],
        by=row["who"],
        run=row["run"],
        times=row["times"],
        version=row["version"],
        why=row["why"],
        text=row["text"] or "",
        state=row["state"],
    )


def _count(
    db: sqlite3.Connection,
    request: TimelineRequest,
    sources: Sequence[_Source],
    item: int | None,
    reply: TimelineReply,
) -> None:
    """How much happened when, from the first of it (or what is asked for) till now."""
    first, last = request.since, request.until
    start = first.timestamp() if first is not None else _first(db, request, sources, item)
    if start is None:
        reply.total = 0
        return
    end = last.timestamp() if last is not None else time.time()
    width = max(_LEAST_SPAN_S, (end - start) / request.spans)
    # Of what began a moment ago the bars begin before that: none is of a time to come.
    start = end - width * request.spans
    spans = [TimelineSpan(start=_moment(start + n * width)) for n in range(request.spans)]
    total = 0
    for source in sources:
        wanted = _wanted(source, request, item)
        for each, given in _each(source, request.scopes, item):
            rows = db.execute(
                f"SELECT max(0, min(cast(({source.time} - ?) / ? AS INTEGER), ?)) AS n,"  # noqa: S608  all ours
                f" {source.kind} AS kind, sum({source.times}) AS times, count(*) AS rows"
                f" FROM {source.table} WHERE {' AND '.join([*wanted.conditions, each])}"
                " GROUP BY 1, 2",
                (start, width, request.spans - 1, *wanted.values, *given),
            )
            for row in rows:
                counts, kind = spans[row["n"]].counts, HappeningKind(row["kind"])
                counts[kind] = counts.get(kind, 0) + row["times"]
                total += row["rows"]
    reply.spans, reply.total = spans, total
    reply.since, reply.until = _moment(start), _moment(end)


def _first(
    db: sqlite3.Connection,
    request: TimelineRequest,
    sources: Sequence[_Source],
    item: int | None,
) -> float | None:
    """The moment of the first that happened of what is asked for."""
    found: list[float] = []
    for source in sources:
        wanted = _wanted(source, request, item)
        for each, given in _each(source, request.scopes, item):
            sql = (
                f"SELECT min({source.time}) AS t FROM {source.table}"  # noqa: S608  all ours
                f" WHERE {' AND '.join([*wanted.conditions, each])}"
            )
            moment = db.execute(sql, (*wanted.values, *given)).fetchone()["t"]
            if moment is not None:
                found.append(moment)
    return min(found, default=None)


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _moment(value: float) -> datetime:
    return datetime.fromtimestamp(value, UTC)
