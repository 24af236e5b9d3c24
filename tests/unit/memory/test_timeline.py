"""The timeline: what happened to memories, in order, in pages, of a scope, of one item."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sparkplug.memory import exchange, happened, timeline, upkeep
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.storing import NewItem, item_id, store
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.memory_export import ExportRequest, ImportRequest
from sparkplug.schema.memory_timeline import Happening, HappeningKind, TimelineRequest

DAY = 86400.0
Kind = HappeningKind


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path)


def add(catalogue: Catalogue, text: str, scope: str = "mesh", **more: object) -> str:
    item = NewItem(id=item_id(f"{scope} {text} {more}"), text=text, scope=scope, **more)  # type: ignore[arg-type]
    with catalogue.change() as db:
        return store([item], db)[0].id


def told(catalogue: Catalogue, **asked: object) -> list[Happening]:
    request = TimelineRequest.model_validate(asked)
    return timeline.read(catalogue, request).happenings


def kinds(catalogue: Catalogue, **asked: object) -> list[str]:
    return [str(one.kind) for one in told(catalogue, **asked)]


def a_life(catalogue: Catalogue) -> str:
    """A memory to which everything happens."""
    known = add(catalogue, "the door is blue", "agent:ana", author="ana/0", agent="ana", run="r1")
    add(catalogue, "The door is  BLUE", "agent:ana", author="ana/1")
    catalogue.edit(known, "root", text="the door is red", why="painted")
    catalogue.edit(known, "root", values={"importance": 0.9, "expires": None})
    catalogue.edit(known, "root", scope="mesh", why="for all")
    catalogue.note_reads([catalogue.find(known)["row"]], "bob", "r2")
    with catalogue.change() as db:
        catalogue.judge(db, known, "root", "odd", keep=False)
        catalogue.judge(db, known, "root", keep=True)
        catalogue.delete(db, known, "root", "wrong")
        catalogue.undo(db, known, "root")
    return known


def test_all_that_happened_to_an_item_is_told_the_newest_first(catalogue: Catalogue) -> None:
    known = a_life(catalogue)
    found = told(catalogue, item=known[:8])
    assert [str(one.kind) for one in found] == [
        *("restored", "deleted", "released", "quarantined", "read"),
        *("moved", "moved", "weighed", "edited", "said", "added"),
    ]
    by_kind = {one.kind: one for one in found}
    added, read, edited = by_kind[Kind.ADDED], by_kind[Kind.READ], by_kind[Kind.EDITED]
    assert (added.by, added.run, added.text) == ("ana/0", "r1", "the door is red")
    assert (read.by, read.run, read.times) == ("bob", "r2", 1)
    assert (edited.version, edited.text, edited.why) == (2, "the door is red", "painted")
    assert by_kind[Kind.DELETED].why == "wrong" and by_kind[Kind.DELETED].by == "root"
    moved = [one.why for one in found if one.kind is Kind.MOVED]
    assert moved == ["from agent:ana: for all", "to mesh: for all"]
    assert by_kind[Kind.WEIGHED].why == "importance 0.9, no end"
    assert by_kind[Kind.SAID].by == "ana/1"


def test_it_is_of_a_scope_of_a_kind_of_somebody_or_of_a_time(catalogue: Catalogue) -> None:
    before = datetime.now(UTC)
    a_life(catalogue)
    add(catalogue, "another", "agent:bob", author="bobby/0", run="r1")
    # What happened while it was in another scope is of that one; what tells of it is of its own.
    assert kinds(catalogue, scopes=["agent:ana"]) == ["moved", "weighed"]
    assert told(catalogue, scopes=["agent:ana"])[0].why == "to mesh: for all"
    assert kinds(catalogue, scopes=["agent:bob"]) == ["added"]
    assert len(kinds(catalogue, scopes=["agent:bob", "mesh", "agent:ana"])) == 12
    assert kinds(catalogue, kinds=["deleted", "added"]) == ["added", "deleted", "added"]
    assert kinds(catalogue, by="ana") == ["said", "added"]
    assert kinds(catalogue, by="bob") == ["read"]
    assert kinds(catalogue, run="r1") == ["added", "added"]
    assert kinds(catalogue, until=before) == [] and len(kinds(catalogue, since=before)) == 12
    with pytest.raises(NotFoundError):
        told(catalogue, item="ffffffff")


def test_a_page_goes_on_where_the_one_before_ended(catalogue: Catalogue) -> None:
    items = [
        NewItem(id=item_id(str(n)), text=f"number {n}", scope=f"run:r{n % 3}") for n in range(50)
    ]
    with catalogue.change() as db:
        stored = store(items, db)  # all at one moment
        for one in stored[:20]:
            catalogue.delete(db, one.id, "root", "")
    for one in stored[20:40]:
        catalogue.edit(one.id, "root", text=f"again {one.id}")
    rows = [catalogue.find(one.id)["row"] for one in stored[40:]]
    catalogue.note_reads(rows, "bob", "")  # at one moment, too
    everything = told(catalogue, limit=1000)
    assert len(everything) == 100
    times = [one.time for one in everything]
    assert times == sorted(times, reverse=True)
    for scopes in ([], ["run:r0", "run:r1", "run:r2"]):
        found: list[Happening] = []
        more = ""
        while True:
            page = timeline.read(catalogue, TimelineRequest(limit=7, before=more, scopes=scopes))
            found += page.happenings
            more = page.more
            if not more:
                break
            assert len(page.happenings) == 7
        assert [(o.kind, o.id) for o in found] == [(o.kind, o.id) for o in everything]
    for wrong in ("rubbish", "1:2", "a:b:c", "1:2:3:4"):
        with pytest.raises(InvalidError, match="no page"):
            told(catalogue, before=wrong)


def test_it_is_counted_in_spans_of_time(catalogue: Catalogue) -> None:
    known = a_life(catalogue)
    row = catalogue.find(known)["row"]
    with catalogue.change() as db:
        db.execute("UPDATE items SET created = created - 100 WHERE row = ?", (row,))
    for _ in range(4):
        catalogue.note_reads([row], "bob", "r2")
    reply = timeline.read(catalogue, TimelineRequest(spans=10, limit=0))
    assert reply.happenings == [] and len(reply.spans) == 10
    assert reply.spans[0].counts == {Kind.ADDED: 1}
    last = reply.spans[-1].counts
    assert last[Kind.READ] == 5 and last[Kind.DELETED] == 1
    # Five readings within a minute are one that happened five times.
    assert reply.total is not None and 11 <= reply.total <= 12
    assert reply.since is not None and reply.until is not None and reply.since < reply.until
    assert timeline.read(catalogue, TimelineRequest(spans=5, scopes=["run:none"])).total == 0


def test_bars_of_what_began_a_moment_ago_end_now(catalogue: Catalogue) -> None:
    a_life(catalogue)
    reply = timeline.read(catalogue, TimelineRequest(spans=60, limit=0))
    assert reply.until is not None and reply.until <= utc_now()
    assert reply.spans[-1].counts, "the newest is at the end"


def test_what_became_of_an_item_that_is_gone_is_told_and_not_what_it_said(
    catalogue: Catalogue,
) -> None:
    known = a_life(catalogue)
    with catalogue.change() as db:
        catalogue.delete(db, known, "root", "over")
        db.execute("UPDATE items SET deleted = deleted - ?", (8 * DAY,))
        assert catalogue.purge_old(db) == 1
    found = told(catalogue, item=known)
    assert {str(one.kind) for one in found} >= {"deleted", "restored", "moved"}
    assert all(one.state == "gone" and one.text == "" for one in found)
    assert "added" not in {str(one.kind) for one in found}


def test_what_is_kept_is_bounded(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(happened, "MOST_READ", 50)
    monkeypatch.setattr(happened, "MOST_HAPPENED", 50)
    monkeypatch.setattr(happened, "_TRIM_EVERY", 10)
    known = add(catalogue, "read a lot")
    row = catalogue.find(known)
    for number in range(100):
        catalogue.note_reads([row["row"]], "bob", f"r{number}")
        with catalogue.change() as db:
            happened.note(db, Kind.WEIGHED, row, "root")
    found = kinds(catalogue, limit=1000)
    assert found.count("read") == 50 and found.count("weighed") == 50
    assert timeline.read(catalogue, TimelineRequest()).reads_since is not None


def test_an_export_has_it_and_a_catalogue_of_before_gets_what_it_knows(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    known = a_life(catalogue)
    lines = exchange.export(catalogue, ExportRequest(), DAY).lines
    other = tmp_path / "other"
    other.mkdir()
    copy = Catalogue(other)
    exchange.take_in(copy, ImportRequest(lines=lines))
    # To the microsecond, which is what a line has.
    assert [(o.kind, o.by, o.run, o.why, o.scope) for o in told(copy, item=known)] == [
        (o.kind, o.by, o.run, o.why, o.scope) for o in told(catalogue, item=known)
    ]
    assert exchange.export(copy, ExportRequest(), DAY).lines == lines
    with catalogue.change() as db:
        catalogue.delete(db, known, "root", "before")
        db.execute("DROP TABLE happened")
        db.execute("DROP TABLE read_log")
    catalogue.close()
    again = Catalogue(tmp_path)
    assert kinds(again, item=known) == ["deleted", "read", "edited", "said", "added"]


def test_what_expires_and_what_its_document_lost_is_deleted_by_the_memory_itself(
    catalogue: Catalogue,
) -> None:
    add(catalogue, "over soon", expires=time.time() - 1)
    chunk = add(catalogue, "a piece", path="/docs/a.md", line_from=1, line_to=2)
    upkeep.expire(catalogue)
    with catalogue.change() as db:
        catalogue.purge(db, [catalogue.find(chunk, db)])
    found = told(catalogue, kinds=["deleted"])
    assert [(one.by, one.why) for one in found] == [
        ("", "no longer in its document"),
        ("", "expired"),
    ]
