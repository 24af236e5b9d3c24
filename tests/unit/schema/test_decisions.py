"""What votes come to: held against an arithmetic of its own, and case by case."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from sparkplug.schema.decision import DecisionEntry, DecisionState, DecisionView, Proposal
from sparkplug.schema.decision_fold import advance, all_voted, begin, fold, tally, verdict
from sparkplug.schema.errors import NotFoundError


def opened(**rule: Any) -> DecisionView:
    given = {"question": "which?", "options": ["a", "b", "c"], "voters": ["x", "y", "z"], **rule}
    entry = DecisionEntry(decision="d", kind="opened", proposal=Proposal(**given), round=1)
    return begin(entry)


def voted(view: DecisionView, **votes: str | None) -> DecisionView:
    """Each voter for an option; `>name` delegates, None abstains."""
    for voter, choice in votes.items():
        to = choice.removeprefix(">") if choice and choice.startswith(">") else None
        advance(
            view,
            DecisionEntry(
                decision="d",
                kind="voted",
                voter=voter,
                option=None if to else choice,
                delegate=to,
                round=view.round,
            ),
        )
    return view


def outcome(view: DecisionView) -> tuple[str, str | None]:
    found = verdict(view)
    return found.kind, found.option


def test_the_most_votes_win_and_a_tie_does_not() -> None:
    assert outcome(voted(opened(), x="a", y="a", z="b")) == ("decided", "a")
    assert outcome(voted(opened(), x="a", y="b")) == ("undecided", None)
    assert outcome(voted(opened(threshold=0.3), x="a", y="b", z="c")) == ("undecided", None)


def test_weights_count() -> None:
    view = voted(opened(weights={"x": 3}), x="a", y="b", z="b")
    assert outcome(view) == ("decided", "a")
    assert tally(view).weights == {"a": 3, "b": 2, "c": 0}
    assert tally(view).share == pytest.approx(0.6)


def test_a_third_three_times_is_a_whole() -> None:
    view = voted(opened(weights={"x": 0.1, "y": 0.1, "z": 0.1}, quorum=1), x="a", y="a", z="a")
    assert outcome(view) == ("decided", "a")


def test_a_quorum_is_of_all_weight() -> None:
    assert outcome(voted(opened(quorum=0.6), x="a")) == ("undecided", None)
    assert outcome(voted(opened(quorum=0.6), x="a", y=None)) == ("decided", "a")
    assert outcome(voted(opened(quorum=0.6, weights={"x": 9}), x="a")) == ("decided", "a")
    assert outcome(voted(opened(voters=[], least=2), x="a")) == ("undecided", None)


def test_delegated_votes_follow_whom_they_were_given_to() -> None:
    assert outcome(voted(opened(), x="a", y=">x", z="b")) == ("decided", "a")
    assert outcome(voted(opened(), x=">y", y=">z", z="b")) == ("decided", "b")
    chain = voted(opened(), x=">y", y=">z")
    assert tally(chain).took_part == 0, "nobody at the end of it voted"
    circle = voted(opened(), x=">y", y=">x", z="c")
    assert tally(circle).took_part == 1
    assert outcome(circle) == ("undecided", None)


def test_rounds_go_on_until_they_agree_or_nobody_moves() -> None:
    view = voted(opened(rounds=3, threshold=1), x="a", y="a", z="b")
    assert verdict(view).kind == "round"
    advance(view, DecisionEntry(decision="d", kind="round", round=2))
    assert not all_voted(view)
    voted(view, x="a", y="a", z="a")
    assert tally(view).moved == 1
    assert outcome(view) == ("decided", "a")
    stuck = voted(opened(rounds=3, threshold=1), x="a", y="a", z="b")
    advance(stuck, DecisionEntry(decision="d", kind="round", round=2))
    voted(stuck, x="a", y="a", z="b")
    assert verdict(stuck).kind == "undecided", "a third round would come to the same"


def test_conflicts_are_settled_by_the_strategy_that_is_named() -> None:
    tie = {"x": "b", "y": "a"}
    assert outcome(voted(opened(conflict="priority"), **tie)) == ("decided", "a")
    heavy = opened(conflict="weight", weights={"x": 2, "z": 2})
    assert outcome(voted(heavy, x="b", z="c", y=None)) == ("decided", "b")
    asked = verdict(voted(opened(conflict="human"), **tie))
    assert (asked.kind, asked.why) == ("asked", "human")
    asked = verdict(voted(opened(conflict="arbiter", arbiter="judge"), **tie))
    assert (asked.kind, asked.why) == ("asked", "arbiter")


def test_nothing_comes_after_the_end() -> None:
    view = voted(opened(), x="a")
    advance(view, DecisionEntry(decision="d", kind="decided", option="a", why="so"))
    voted(view, y="b")
    assert len(view.votes) == 1
    assert (view.state, view.outcome) == (DecisionState.DECIDED, "a")
    advance(view, DecisionEntry(decision="d", kind="refused"))
    assert view.refused == 1


def test_a_journal_without_its_beginning_is_none() -> None:
    with pytest.raises(NotFoundError):
        fold([DecisionEntry(decision="d", kind="voted", voter="x", option="a")])


@pytest.mark.parametrize(
    "wrong",
    [
        {"options": ["a"]},
        {"options": ["a", "a"]},
        {"voters": ["x", "x"]},
        {"voters": ["x\x1b[2J"]},
        {"weights": {"nobody": 2}},
        {"weights": {"x": -1}},
        {"weights": {"x": float("nan")}},
        {"quorum": 1.1},
        {"conflict": "arbiter"},
        {"arbiter": "judge"},
        {"conflict": "weight", "voters": []},
        {"seconds": 0},
        {"question": ""},
    ],
)
def test_a_proposal_that_does_not_hold_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        opened(**wrong)


def test_tallies_are_those_of_an_independent_count() -> None:
    chance = random.Random(3)
    for _ in range(300):
        voters = [f"v{n}" for n in range(chance.randrange(1, 12))]
        weights = {v: float(chance.randrange(1, 5)) for v in voters if chance.random() < 0.5}
        view = opened(voters=voters, weights=weights, quorum=chance.random())
        choices: dict[str, str | None] = {}
        for voter in voters:
            draw = chance.random()
            if draw < 0.6:
                choices[voter] = chance.choice("abc")
            elif draw < 0.8:
                choices[voter] = f">{chance.choice(voters)}"
            elif draw < 0.9:
                choices[voter] = None
        voted(view, **choices)
        counts: Counter[str] = Counter()
        part = 0.0
        for voter in choices:
            at, steps = voter, 0
            while (to := choices.get(at) or "").startswith(">") and steps < 20:
                at, steps = to[1:], steps + 1
            final = choices.get(at, "gone")
            if steps < 20 and final != "gone":
                part += weights.get(voter, 1.0)
                if final is not None:
                    counts[final] += weights.get(voter, 1.0)  # type: ignore[assignment]
        found = tally(view)
        assert found.weights == {option: float(counts[option]) for option in "abc"}
        assert found.weight == part
        whole = sum(weights.get(voter, 1.0) for voter in voters)
        assert found.quorate == (found.took_part >= 1 and part >= view.proposal.quorum * whole)
