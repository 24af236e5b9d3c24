"""A decision from its journal, what its votes come to, and what follows from that.

All of it is plain arithmetic over the entries, so whoever has the journal can check the outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparkplug.schema.decision import (
    DECISION_ENDED,
    DecisionEntry,
    DecisionState,
    DecisionView,
    Proposal,
    Tally,
    VoteView,
)
from sparkplug.schema.errors import NotFoundError

#: Shares are compared with so much grace: a third three times is a whole.
_GRACE = 1e-9

_ENDS = {
    "decided": DecisionState.DECIDED,
    "undecided": DecisionState.UNDECIDED,
    "closed": DecisionState.CLOSED,
}


def fold(entries: Sequence[DecisionEntry]) -> DecisionView:
    """The decision that the entries tell of, in the order given. Raises NotFoundError when the
    first is not the one that opened it."""
    if not entries or entries[0].proposal is None:
        raise NotFoundError(
            "the journal has no beginning of this decision",
            hint="`sparkplug decisions list` shows those that are kept",
        )
    view = begin(entries[0])
    for entry in entries[1:]:
        advance(view, entry)
    return view


def begin(opened: DecisionEntry) -> DecisionView:
    """The decision as it stands once it is opened. The entry must carry its proposal."""
    if opened.proposal is None:
        raise ValueError("the entry that opens a decision carries its proposal")
    return DecisionView(
        id=opened.decision,
        proposal=opened.proposal,
        opened=opened.time,
        round_since=opened.time,
    )


def advance(view: DecisionView, entry: DecisionEntry) -> None:
    """Take one more entry into the decision. Entries after its end change nothing."""
    if view.state in DECISION_ENDED:
        if entry.kind == "refused":
            view.refused += 1
        return
    match entry.kind:
        case "voted":
            view.votes.append(
                VoteView(
                    voter=entry.voter,
                    option=entry.option,
                    delegate=entry.delegate,
                    round=entry.round,
                    time=entry.time,
                    by=entry.by,
                    user=entry.user,
                    why=entry.why,
                )
            )
        case "refused":
            view.refused += 1
        case "round":
            view.tallies.append(tally(view))
            view.round = entry.round
            view.round_since = entry.time
        case "asked":
            view.tallies.append(tally(view))
            view.state = DecisionState.HUMAN if entry.why == "human" else DecisionState.ARBITER
            view.round_since = entry.time
        case "decided" | "undecided" | "closed":
            if view.state is DecisionState.OPEN:
                view.tallies.append(tally(view))
            view.state = _ENDS[entry.kind]
            view.outcome = entry.option
            view.reason = entry.why
            view.finished = entry.time


def votes_of(view: DecisionView, number: int) -> dict[str, VoteView]:
    """The votes of a round, by voter."""
    return {vote.voter: vote for vote in view.votes if vote.round == number}


def tally(view: DecisionView) -> Tally:
    """What the votes of the present round come to."""
    proposal, votes = view.proposal, votes_of(view, view.round)
    weights = dict.fromkeys(proposal.options, 0.0)
    for voter in votes:
        final = _followed(votes, voter)
        if final is not None and final.option is not None:
            weights[final.option] += proposal.weight(voter)
    taking = [voter for voter in votes if _followed(votes, voter) is not None]
    weight = sum(proposal.weight(voter) for voter in taking)
    cast = sum(weights.values())
    most = max(weights.values())
    top = [o for o, w in weights.items() if cast and abs(w - most) <= _GRACE * max(1.0, cast)]
    enough = weight + _GRACE * max(1.0, weight) >= proposal.quorum * proposal.whole
    return Tally(
        round=view.round,
        weights={option: round(w, 9) for option, w in weights.items()},
        cast=round(cast, 9),
        took_part=len(taking),
        weight=round(weight, 9),
        top=top,
        share=round(most / cast, 9) if cast else 0.0,
        quorate=len(taking) >= proposal.least and enough,
        moved=_moved(view, votes),
    )


def _followed(votes: dict[str, VoteView], voter: str) -> VoteView | None:
    """The vote that counts for a voter: its own, or that of whom it delegated to, and so on.

    None: it leads to nobody who voted, or round in a circle; then the voter did not take part.
    """
    seen = set()
    at: str | None = voter
    while at is not None and at not in seen:
        seen.add(at)
        vote = votes.get(at)
        if vote is None or vote.delegate is None:
            return vote
        at = vote.delegate
    return None


def _moved(view: DecisionView, votes: dict[str, VoteView]) -> int | None:
    """Voters that voted otherwise than in the round before; None in the first."""
    if view.round == 1:
        return None
    before = votes_of(view, view.round - 1)
    return sum(
        voter not in before
        or (before[voter].option, before[voter].delegate) != (vote.option, vote.delegate)
        for voter, vote in votes.items()
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows when a round ends: the decision ends, another round, or somebody is asked."""

    kind: str
    option: str | None = None
    why: str = ""


def verdict(view: DecisionView) -> Verdict:
    """What is to follow now that the round is over: `decided`, `undecided`, `round`, or `asked`
    with whom in `why`."""
    proposal, found = view.proposal, tally(view)
    if not found.quorate:
        if view.round < proposal.rounds and found.took_part:
            return Verdict("round", why="too few took part")
        return Verdict("undecided", why=f"no quorum: {found.took_part} took part")
    if len(found.top) == 1 and found.share + _GRACE >= proposal.threshold:
        return Verdict("decided", found.top[0], f"{percent(found.share)} of what was cast")
    if view.round < proposal.rounds and found.moved != 0:
        return Verdict("round", why=_short(found, proposal))
    return _conflict(view, found)


def _conflict(view: DecisionView, found: Tally) -> Verdict:
    """No clear winner: by the strategy that the proposal names."""
    proposal = view.proposal
    near = found.top or list(proposal.options)
    match proposal.conflict:
        case "priority":
            return Verdict("decided", near[0], f"{_short(found, proposal)}: the first in order")
        case "weight":
            votes = votes_of(view, view.round)
            # The heaviest voter of those that voted for one of them; of equals the first named.
            for voter in sorted(proposal.voters, key=lambda one: -proposal.weight(one)):
                final = _followed(votes, voter)
                if final is not None and final.option in near:
                    why = f"{_short(found, proposal)}: as {voter} voted"
                    return Verdict("decided", final.option, why)
            return Verdict("undecided", why=_short(found, proposal))
        case "arbiter" | "human":
            return Verdict("asked", why=proposal.conflict)
    return Verdict("undecided", why=_short(found, proposal))


def _short(found: Tally, proposal: Proposal) -> str:
    """Why a tally has no winner."""
    if not found.cast:
        return "nobody voted for an option"
    if len(found.top) > 1:
        return f"a tie of {' and '.join(found.top)}"
    return f"{found.top[0]} has {percent(found.share)}, it needs {percent(proposal.threshold)}"


def percent(share: float) -> str:
    """A share as it is told."""
    return f"{share * 100:.0f} %"


def all_voted(view: DecisionView) -> bool:
    """Whether every voter that is named has voted in this round: nobody is waited for."""
    voters = view.proposal.voters
    return bool(voters) and len(votes_of(view, view.round)) >= len(voters)
