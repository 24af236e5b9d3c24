"""Pairs that say the same or contradict each other: proposed, decided about, taken back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sparkplug.memory import exchange, looking, pairs, proposals, timeline, upkeep
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.comparison import Comparison
from sparkplug.memory.storing import NewItem, item_id, store
from sparkplug.schema.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    SparkplugError,
)
from sparkplug.schema.memory_export import ExportRequest, ImportRequest
from sparkplug.schema.memory_pruning import Proposal, PruneRequest
from sparkplug.schema.memory_review import ProposalsRequest, SettleRequest
from sparkplug.schema.memory_timeline import TimelineRequest

DAY = 86400.0


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path)


def add(catalogue: Catalogue, text: str, scope: str = "mesh", **more: object) -> str:
    item = NewItem(id=item_id(f"{scope} {text}"), text=text, scope=scope, **more)  # type: ignore[arg-type]
    with catalogue.change() as db:
        return store([item], db)[0].id


def proposed(catalogue: Catalogue, **asked: object) -> list[Proposal]:
    return proposals.read(catalogue, ProposalsRequest.model_validate(asked), DAY).proposals


def settle(catalogue: Catalogue, proposal: str, decision: str, **more: object) -> Proposal:
    request = SettleRequest.model_validate({"proposal": proposal, "decision": decision, **more})
    return proposals.settle(catalogue, request, "root", DAY).proposal


def two_pairs(catalogue: Catalogue) -> tuple[Proposal, Proposal]:
    add(catalogue, "The backup of the archive runs every night", author="ana/0", agent="ana")
    add(catalogue, "The backup of the archive runs every night!", author="bob/0", agent="bob")
    add(catalogue, "The printer listens on port 9100")
    add(catalogue, "The printer listens on port 9101")
    found = proposed(catalogue)
    assert [one.kind for one in found] == ["duplicate", "contradiction"]
    return found[0], found[1]


def test_both_sides_are_told_with_why_the_surest_first(catalogue: Catalogue) -> None:
    same, other = two_pairs(catalogue)
    assert same.keep is not None and other.keep is not None
    assert (same.keep.author, same.drop.author) == ("ana/0", "bob/0"), "the older one stays"
    assert "alike" in same.why and same.likeness > 0.86
    assert "9100" in other.why and "9101" in other.why
    assert other.keep.text.endswith("9101"), "the newer one is shown first"
    assert same.id.count(".") == 1 and len(same.id) == 17
    assert [one.kind for one in proposed(catalogue, kinds=["contradiction"])] == ["contradiction"]
    assert proposed(catalogue, scopes=["agent:ana"]) == []
    reply = proposals.read(catalogue, ProposalsRequest(), DAY)
    assert (reply.items, reply.compared) == (4, 4)


def test_of_a_merge_one_stays_and_speaks_for_the_other_until_it_is_taken_back(
    catalogue: Catalogue,
) -> None:
    same, _ = two_pairs(catalogue)
    assert same.keep is not None
    made = settle(catalogue, same.id, "merge", why="once is enough")
    assert (made.decided, made.decided_by, made.decided_why) == ("merge", "root", "once is enough")
    assert [one.kind for one in proposed(catalogue)] == ["contradiction"]
    kept = looking.describe(catalogue, catalogue.find(same.keep.id), DAY)
    assert kept.item.said == 2 and [s.author for s in kept.sayings] == ["bob/0"]
    dropped = catalogue.find(same.drop.id)
    assert dropped["state"] == "deleted" and same.keep.id[:8] in dropped["deleted_why"]
    told = timeline.read(catalogue, TimelineRequest(item=same.keep.id)).happenings
    assert str(told[0].kind) == "merged" and same.drop.id[:8] in told[0].why
    assert [one.id for one in proposed(catalogue, decided=True)] == [same.id]
    back = settle(catalogue, same.id, "open")
    assert back.decided == ""
    assert catalogue.find(same.drop.id)["state"] == "kept"
    kept = looking.describe(catalogue, catalogue.find(same.keep.id), DAY)
    assert kept.item.said == 1 and kept.sayings == []
    assert proposed(catalogue)[0].id == same.id and proposed(catalogue, decided=True) == []


def test_a_merge_is_taken_back_by_undoing_the_deletion_too(catalogue: Catalogue) -> None:
    same, _ = two_pairs(catalogue)
    assert same.keep is not None
    settle(catalogue, same.id, "merge")
    with catalogue.change() as db:
        catalogue.undo(db, same.drop.id, "root")
    assert catalogue.find(same.keep.id)["said"] == 1
    assert next(one.id for one in proposed(catalogue)) == same.id
    with pytest.raises(ConflictError, match="nothing was decided"):
        settle(catalogue, same.id, "open")


def test_which_of_two_is_true_a_person_says(catalogue: Catalogue) -> None:
    _, other = two_pairs(catalogue)
    assert other.keep is not None
    with pytest.raises(InvalidError, match="has to be said"):
        settle(catalogue, other.id, "merge")
    with pytest.raises(NotFoundError, match="none of both"):
        settle(catalogue, other.id, "merge", keep="00000000")
    made = settle(catalogue, other.id, "merge", keep=other.drop.id[:8])
    assert made.keep is not None and made.keep.id == other.drop.id
    assert catalogue.find(other.keep.id)["state"] == "deleted"
    assert catalogue.find(other.drop.id)["said"] == 1, "it did not say what the other said"


def test_both_are_kept_for_good_as_long_as_they_say_what_they_said(catalogue: Catalogue) -> None:
    same, other = two_pairs(catalogue)
    for one in (same, other):
        made = settle(catalogue, one.id, "both", why="they differ")
        assert made.decided == "both"
    assert proposed(catalogue) == []
    pruned = upkeep.propose(catalogue, PruneRequest(duplicates=True), DAY)
    assert pruned.proposals == [], "what is to be kept is not pruned either"
    catalogue.edit(same.drop.id, "root", text="The backup of the archive runs every night !!")
    assert [one.id for one in proposed(catalogue)] == [same.id]
    settle(catalogue, other.id, "open")
    assert {one.id for one in proposed(catalogue)} == {same.id, other.id}


def test_a_request_that_comes_again_changes_nothing(catalogue: Catalogue) -> None:
    same, _ = two_pairs(catalogue)
    first = settle(catalogue, same.id, "merge", request="one")
    assert settle(catalogue, same.id, "merge", request="one") == first
    with pytest.raises(ConflictError, match="deleted"):
        settle(catalogue, same.id, "merge", request="two")


def test_what_is_no_pair_is_refused_and_nothing_changes(catalogue: Catalogue) -> None:
    same, _ = two_pairs(catalogue)
    elsewhere = add(catalogue, "The backup of the archive runs every night", "agent:ana")
    for name, error in (
        ("rubbish", InvalidError),
        ("a.b", InvalidError),
        ("ffffffff.00000000", NotFoundError),
        (f"{same.drop.id}.{same.drop.id}", InvalidError),
        (f"{same.drop.id}.{elsewhere}", InvalidError),
        ("\x1b[2J.\x1b[2J....", InvalidError),
    ):
        with pytest.raises(error):
            settle(catalogue, name, "merge")
    assert catalogue.find(same.drop.id)["state"] == "kept"


def test_a_list_of_numbers_is_not_told_each_against_each(catalogue: Catalogue) -> None:
    for number in range(60):
        add(catalogue, f"the printer on floor {number} is out of paper")
    found = proposed(catalogue, kinds=["contradiction"])
    assert 20 <= len(found) <= 60 * 3
    many = [one.drop.id for one in found] + [one.keep.id for one in found if one.keep]
    assert max(many.count(known) for known in many) <= 3


def test_an_export_has_what_was_decided(catalogue: Catalogue, tmp_path: Path) -> None:
    same, other = two_pairs(catalogue)
    settle(catalogue, same.id, "both")
    settle(catalogue, other.id, "merge", keep=other.drop.id)
    folder = tmp_path / "other"
    folder.mkdir()
    copy = Catalogue(folder)
    lines = exchange.export(catalogue, ExportRequest(), DAY).lines
    exchange.take_in(copy, ImportRequest(lines=lines))
    assert proposed(copy) == []
    assert {one.decided for one in proposed(copy, decided=True)} == {"both", "merge"}
    assert settle(copy, other.id, "open").decided == ""
    assert len(proposed(copy)) == 1


def test_a_comparison_tells_how_far_it_is_and_ends_when_it_is_stopped(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "_BLOCK", 4)
    for number in range(40):
        add(catalogue, f"{chr(97 + number % 26)}{number} stands alone {number * 7919}")
    shares: list[float] = []
    comparison = Comparison()

    class Watched(Comparison):
        def went_on(self, done: int) -> None:
            comparison.went_on(done)
            shares.append(comparison.share)

        def begin(self, total: int) -> None:
            comparison.begin(total)

    asked = PruneRequest(duplicates=True, contradictions=True)
    upkeep.propose(catalogue, asked, DAY, Watched())
    assert shares == sorted(shares) and 0.9 < shares[-1] <= 1 and len(shares) == 20
    comparison.stop()
    with pytest.raises(SparkplugError, match="stopped"):
        upkeep.propose(catalogue, asked, DAY, Watched())


def test_what_changed_since_it_was_proposed_is_not_pruned(catalogue: Catalogue) -> None:
    same, _ = two_pairs(catalogue)
    assert same.keep is not None
    made = upkeep.propose(catalogue, PruneRequest(duplicates=True), DAY)
    assert [one.drop.id for one in made.proposals] == [same.drop.id]
    catalogue.edit(same.keep.id, "root", text="the one that was to stay says something else")
    upkeep.apply(catalogue, made, "root", compacts=False)
    assert made.deleted == [] and catalogue.find(same.drop.id)["state"] == "kept"


def test_the_weak_are_found_among_all_and_it_is_told_what_was_not_compared(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "_COMPARED", 5)
    for number in range(20):
        add(catalogue, f"{chr(97 + number) * 9} {number * 7919} alone")
    old = add(catalogue, "of long ago")
    with catalogue.change() as db:
        db.execute("UPDATE items SET created = 1, updated = 1 WHERE id = ?", (old,))
    asked = PruneRequest(weak_below=0.01, duplicates=True)
    made = upkeep.propose(catalogue, asked, DAY)
    assert [(one.kind, one.drop.id) for one in made.proposals] == [("weak", old)]
    assert (made.compared, made.items, made.more) == (5, 21, False)
    assert upkeep.propose(catalogue, PruneRequest(weak_below=1, limit=3), DAY).more


def test_a_list_of_numbers_is_compared_in_a_time_that_ends(catalogue: Catalogue) -> None:
    with catalogue.change() as db:
        store(
            [
                NewItem(id=item_id(str(n)), text=f"sensor reading of the day is {n}", scope="mesh")
                for n in range(1500)
            ],
            db,
        )
    made = upkeep.propose(catalogue, PruneRequest(contradictions=True, limit=10_000), DAY)
    told = Counter(i.id for one in made.proposals for i in (one.keep, one.drop) if i)
    assert len(made.proposals) > 1500 and max(told.values()) <= 3
