"""Everything as lines of JSON, and back: nothing is lost on the way."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from pydantic import ValidationError

from sparkplug.memory import happened, settled
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.looking import exported
from sparkplug.memory.rows import digest
from sparkplug.memory.wording import index_words
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.memory import (
    SCOPE,
    ExportedMemory,
    ExportReply,
    ExportRequest,
    ImportReply,
    ImportRequest,
    MemoryState,
)

_PAGE_BYTES = 2 << 20


def export(catalogue: Catalogue, request: ExportRequest, half_life: float) -> ExportReply:
    """A page of lines, of a size that a message holds."""
    where, given = "row > ?", [request.after]
    values: list[object] = list(given)
    if request.scopes:
        where += f" AND scope IN ({','.join('?' * len(request.scopes))})"
        values += request.scopes
    db = catalogue.reader
    sql = f"SELECT * FROM items WHERE {where} ORDER BY row LIMIT ?"  # noqa: S608
    rows = db.execute(sql, (*values, request.limit))
    lines: list[str] = []
    size, last = 0, request.after
    for row in rows:
        line = exported(db, row, half_life).model_dump_json()
        lines.append(line)
        last = int(row["row"])
        size += len(line)
        if size > _PAGE_BYTES:
            return ExportReply(lines=lines, after=last, done=False)
    return ExportReply(lines=lines, after=last, done=len(lines) < request.limit)


def take_in(catalogue: Catalogue, request: ImportRequest) -> ImportReply:
    """Store lines of an export as they were. All of them hold, or none is stored."""
    parsed = [_parse(number, line) for number, line in enumerate(request.lines, 1)]
    added = 0
    with catalogue.change() as db:
        for one in parsed:
            added += _take(db, one)
        if request.dry_run:
            db.execute("ROLLBACK")
            db.execute("BEGIN")
    return ImportReply(added=added, there=len(parsed) - added)


def _parse(number: int, line: str) -> ExportedMemory:
    try:
        one = ExportedMemory.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise InvalidError(
            f"line {number} is no memory: {where}: {first['msg']}",
            where=f"line {number}",
            hint="`sparkplug memory export` writes such lines; nothing was changed",
        ) from error
    if not SCOPE.fullmatch(one.item.scope):
        raise InvalidError(f"line {number}: {one.item.scope[:60]!r} is no scope")
    return one


def _take(db: sqlite3.Connection, one: ExportedMemory) -> bool:
    item = one.item
    cursor = db.execute(
        "INSERT OR IGNORE INTO items (id, scope, digest, state, version, agent, owner, run, step,"
        " message, host, author, source, made, note, confidence, flags, importance, created,"
        " updated, expires, deleted, deleted_by, deleted_why, was, said, reads, read_last, size,"
        " path, line_from, line_to, labels, text)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            *(item.id, item.scope, digest(item.text), str(item.state), item.version, item.agent),
            *(item.owner, item.run, item.step, item.message, item.host, item.author),
            *(str(item.source), item.made, item.note, item.confidence),
            *(json.dumps(item.flags) if item.flags else "", item.importance),
            *(_at(item.created), _at(item.updated), _at(item.expires), _at(item.deleted)),
            *(item.deleted_by, item.deleted_why, "kept", item.said, item.reads),
            *(_at(item.read_last), len(item.text.encode(errors="surrogatepass")), item.path),
            *(item.line_from, item.line_to, json.dumps(item.labels) if item.labels else ""),
            item.text,
        ),
    )
    if not cursor.rowcount:
        return False
    row = cursor.lastrowid
    db.executemany(
        "INSERT INTO versions (item, version, text, time, author, why) VALUES (?, ?, ?, ?, ?, ?)",
        [(row, v.version, v.text, _at(v.time), v.author, v.why) for v in one.versions],
    )
    db.executemany(
        "INSERT INTO readings (item, run, agent, times, last) VALUES (?, ?, ?, ?, ?)",
        [(row, r.run, r.agent, r.times, _at(r.last)) for r in one.reads],
    )
    db.executemany(
        "INSERT INTO sayings (item, time, author, agent, run, step, message)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(row, _at(s.time), s.author, s.agent, s.run, s.step, s.message) for s in one.sayings],
    )
    happened.take_in(db, row or 0, item, one.happened)
    settled.put_back(db, item.id, one.decisions)
    if item.state == MemoryState.KEPT:
        db.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row, index_words(item.text)))
    return True


def _at(value: datetime | None) -> float | None:
    return None if value is None else value.timestamp()


def lines_of(catalogue: Catalogue, half_life: float, scopes: Sequence[str] = ()) -> list[str]:
    """All lines at once: for a move to another host."""
    lines: list[str] = []
    after, done = 0, False
    while not done:
        page = export(catalogue, ExportRequest(after=after, scopes=list(scopes)), half_life)
        lines += page.lines
        after, done = page.after, page.done
    return lines
