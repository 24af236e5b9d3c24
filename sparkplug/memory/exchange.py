"""Everything as lines of JSON, and back: nothing is lost on the way."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime

from sparkplug.memory import happened, settled
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.looking import exported
from sparkplug.memory.rows import digest
from sparkplug.memory.suspicion import flags_of
from sparkplug.memory.wording import index_words
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.memory import MemoryState
from sparkplug.schema.memory_export import (
    ExportedMemory,
    ExportReply,
    ExportRequest,
    ImportReply,
    ImportRequest,
)
from sparkplug.schema.memory_lines import LONG, pack, read_line, unpack

_PAGE_BYTES = 2 << 20


def export(catalogue: Catalogue, request: ExportRequest, half_life: float) -> ExportReply:
    """A page of lines, of a size that a message holds; a line that is long comes alone."""
    where, given = "row > ?", [request.after]
    values: list[object] = list(given)
    if request.scopes:
        where += f" AND scope IN ({','.join('?' * len(request.scopes))})"
        values += request.scopes
    db = catalogue.reader
    sql = f"SELECT * FROM items WHERE {where} ORDER BY row LIMIT ?"  # noqa: S608
    rows = db.execute(sql, (*values, request.limit)).fetchall()
    lines: list[str] = []
    size, last = 0, request.after
    for row in rows:
        parts = list(_lines(exported(db, row, half_life)))
        first = request.part if last == request.after and not lines else 0
        for number, line in enumerate(parts[first:], first):
            if len(line) >= LONG and not lines:
                over = number + 1 == len(parts)
                return ExportReply(
                    lines=[],
                    packed=pack([line]),
                    after=int(row["row"]) if over else last,
                    part=0 if over else number + 1,
                    done=False,
                )
            if lines and (len(line) >= LONG or size + len(line) > _PAGE_BYTES):
                return ExportReply(lines=lines, after=last, part=number, done=False)
            lines.append(line)
            size += len(line)
        last = int(row["row"])
    return ExportReply(lines=lines, after=last, done=len(rows) < request.limit)


def _lines(made: ExportedMemory) -> Iterator[str]:
    """One line of a memory; where it is long, each of its versions in a line of its own."""
    line = made.model_dump_json()
    if len(line) < LONG:
        yield line
        return
    yield made.model_copy(update={"versions": []}).model_dump_json()
    item = made.item.model_copy(update={"text": ""})
    for part, version in enumerate(made.versions, 1):
        yield ExportedMemory(item=item, part=part, versions=[version]).model_dump_json()


def take_in(catalogue: Catalogue, request: ImportRequest) -> ImportReply:
    """Store lines of an export as they were. All of them hold, or none is stored."""
    lines = unpack(request.packed) if request.packed else request.lines
    parsed = [_parse(number, line) for number, line in enumerate(lines, 1)]
    added = 0
    with catalogue.change() as db:
        for one in parsed:
            added += _take(db, one)
        if request.dry_run:
            db.execute("ROLLBACK")
            db.execute("BEGIN")
    return ImportReply(added=added, there=sum(not one.part for one in parsed) - added)


def _parse(number: int, line: str) -> ExportedMemory:
    try:
        return read_line(line)
    except InvalidError as error:
        raise InvalidError(
            f"line {number} is {error.message}",
            where=f"line {number}",
            hint="`sparkplug memory export` writes such lines; nothing was changed",
        ) from error


def _take(db: sqlite3.Connection, one: ExportedMemory) -> bool:
    item = one.item
    if one.part:
        db.executemany(
            "INSERT OR IGNORE INTO versions (item, version, text, time, author, why)"
            " SELECT row, ?, ?, ?, ?, ? FROM items WHERE id = ? AND version = ?",
            [
                (v.version, v.text, _at(v.time), v.author, v.why, item.id, item.version)
                for v in one.versions
            ],
        )
        return False
    # A file that leaves out what is odd about a text does not pass it off as harmless.
    flags = list(dict.fromkeys([*item.flags, *flags_of(item.text)]))
    was = str(one.was) if item.state == MemoryState.DELETED else ""
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
            *(json.dumps(flags) if flags else "", item.importance),
            *(_at(item.created), _at(item.updated), _at(item.expires), _at(item.deleted)),
            *(item.deleted_by, item.deleted_why, was, item.said, item.reads),
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
    asked = ExportRequest(scopes=list(scopes))
    while True:
        page = export(catalogue, asked, half_life)
        lines += unpack(page.packed) if page.packed else page.lines
        if page.done:
            return lines
        asked = asked.model_copy(update={"after": page.after, "part": page.part})
