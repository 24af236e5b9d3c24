"""What is kept of a memory's history has an end; that the same is known has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkplug.memory import exchange, looking, retention, timeline
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.storing import NewItem, Stored, item_id, store
from sparkplug.schema.memory import MemoryDescription
from sparkplug.schema.memory_export import ExportRequest, ImportRequest
from sparkplug.schema.memory_timeline import TimelineRequest

DAY = 86400.0


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    monkeypatch.setattr(retention, "TRIM_EVERY", 10)
    return Catalogue(tmp_path)


def say(catalogue: Catalogue, text: str, write: str, **more: str) -> Stored:
    with catalogue.change() as db:
        return store([NewItem(id=item_id(write), text=text, scope="mesh", **more)], db)[0]  # type: ignore[arg-type]


def told(catalogue: Catalogue, known: str) -> MemoryDescription:
    return looking.describe(catalogue, catalogue.find(known), DAY)


def test_who_says_the_same_over_and_over_is_one_memory_that_does_not_grow(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_SAID_OF_ONE", 20)
    known = say(catalogue, "The door is blue", "w0").id
    for number in range(1, 100):
        again = say(catalogue, "the DOOR is blue", f"w{number}", run=f"r{number}")
        assert again == Stored(known, True, False)
    found = told(catalogue, known)
    assert found.item.said == 100, "it is counted whatever is kept of it"
    assert 20 <= len(found.sayings) < 30
    assert found.sayings[-1].run == "r99", "the newest are kept"
    assert catalogue.reader.execute("SELECT count(*) FROM items").fetchone()[0] == 1


def test_all_sayings_together_have_a_bound_and_the_timeline_tells_from_when_on(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_SAID", 30)
    assert timeline.read(catalogue, TimelineRequest()).said_since is None
    for number in range(200):
        say(catalogue, f"fact {number % 50}", f"w{number}")
    kept = catalogue.reader.execute("SELECT count(*), min(time) FROM sayings").fetchone()
    assert 30 <= kept[0] < 40
    since = timeline.read(catalogue, TimelineRequest()).said_since
    assert since is not None and abs(since.timestamp() - kept[1]) < 1
    # What was said before that is known all the same.
    assert say(catalogue, "FACT 0", "late").same
    assert told(catalogue, item_id("w0")).item.said == 5


def test_a_wording_of_long_ago_goes_before_the_first_and_the_newest(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_VERSIONS", 5)
    known = say(catalogue, "counted 0", "w").id
    for number in range(1, 20):
        catalogue.edit(known, "root", text=f"counted {number}")
    assert [one.version for one in told(catalogue, known).versions] == [1, 17, 18, 19, 20]
    assert catalogue.find(known)["version"] == 20


def test_long_wordings_have_a_bound_in_bytes(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_VERSION_BYTES", 5000)
    known = say(catalogue, "short", "w").id
    for number in range(5):
        catalogue.edit(known, "root", text=f"{number} " + "é" * 1000)
    assert [one.version for one in told(catalogue, known).versions] == [1, 5, 6]
    catalogue.edit(known, "root", text="ö" * 9000)
    assert [one.version for one in told(catalogue, known).versions] == [1, 7]


def test_upkeep_brings_an_older_catalogue_within_bounds(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = say(catalogue, "read a lot", "w").id
    row = catalogue.find(known)["row"]
    for number in range(40):
        say(catalogue, "read a lot", f"w{number}")
        catalogue.note_reads([row], "bob", f"r{number}")
    lines = exchange.export(catalogue, ExportRequest(), DAY).lines
    (tmp_path / "other").mkdir()
    copy = Catalogue(tmp_path / "other")
    exchange.take_in(copy, ImportRequest(lines=lines))
    monkeypatch.setattr(retention, "MOST_SAID_OF_ONE", 10)
    monkeypatch.setattr(retention, "MOST_READERS_OF_ONE", 12)
    for one in (catalogue, copy):
        with one.change() as db:
            one.purge_old(db)
        found = told(one, known)
        assert len(found.sayings) == 10 and found.item.said == 41
        assert {read.run for read in found.reads} == {f"r{n}" for n in range(28, 40)}
        assert found.item.reads == 40
    monkeypatch.setattr(retention, "MOST_READERS", 5)
    with catalogue.change() as db:
        catalogue.purge_old(db)
    assert len(told(catalogue, known).reads) == 5
