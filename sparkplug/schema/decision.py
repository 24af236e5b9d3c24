"""Decisions: a question with options that agents and people vote on, and the journal of each."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sparkplug.schema.base import Record, utc_now

#: The voter that stands for any person at a face; `human:NAME` is one of them.
HUMAN = "human"

Option = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Voter = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_:./@-]{0,126}$")]

#: How a decision without a clear winner is settled.
Conflict = Literal["none", "priority", "weight", "arbiter", "human"]


class DecisionState(StrEnum):
    """How a decision is. `arbiter` and `human`: one of those is asked to settle it."""

    OPEN = "open"
    ARBITER = "arbiter"
    HUMAN = "human"
    DECIDED = "decided"
    UNDECIDED = "undecided"
    CLOSED = "closed"


DECISION_ENDED = frozenset({DecisionState.DECIDED, DecisionState.UNDECIDED, DecisionState.CLOSED})


class Proposal(Record):
    """What is to be decided, by whom, and by which rule."""

    question: str = Field(min_length=1, max_length=2000)
    options: list[Option] = Field(min_length=2, max_length=20)
    voters: list[Voter] = Field(
        default_factory=list,
        max_length=1000,
        description="an agent (one vote, by any replica), agent/replica, `human`; empty: anybody",
    )
    weights: dict[Voter, Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]] = Field(
        default_factory=dict, description="of voters; 1 for those that are not named"
    )
    quorum: float = Field(
        0.5, ge=0, le=1, description="share of all weight that has to take part; of named voters"
    )
    least: int = Field(1, ge=1, le=1000, description="voters that have to take part at least")
    threshold: float = Field(
        0.5, ge=0, le=1, description="share of the weight cast that the winner needs at least"
    )
    seconds: float = Field(60.0, gt=0, le=30 * 86400, description="that a round is open")
    rounds: int = Field(1, ge=1, le=20, description="rounds to reach the threshold in")
    conflict: Conflict = "none"
    arbiter: Voter | None = None
    arbiter_seconds: float = Field(60.0, gt=0, le=86400)
    invite: bool = Field(True, description="voters that are agents are asked by the action `vote`")
    actor: str = ""

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if len(set(self.options)) != len(self.options):
            raise ValueError("an option is given twice")
        if len(set(self.voters)) != len(self.voters):
            raise ValueError("a voter is named twice")
        unknown = sorted(set(self.weights) - set(self.voters))
        if unknown:
            raise ValueError(f"{unknown[0]} has a weight and is none of the voters")
        if (self.conflict == "arbiter") != (self.arbiter is not None):
            raise ValueError("an arbiter is named where conflict is `arbiter`, and only there")
        if self.conflict == "weight" and not self.voters:
            raise ValueError("conflict `weight` needs voters that are named")
        return self

    def weight(self, voter: str) -> float:
        """What a voter's vote counts."""
        return self.weights.get(voter, 1.0)

    @property
    def whole(self) -> float:
        """The weight of all voters that are named."""
        return sum(self.weight(voter) for voter in self.voters)


class DecisionEntry(Record):
    """One line of a decision's journal. Replaying the entries in order is the decision."""

    decision: str
    kind: Literal[
        "opened", "voted", "refused", "round", "asked", "ruled", "decided", "undecided", "closed"
    ]
    time: datetime = Field(default_factory=utc_now)
    proposal: Proposal | None = None
    round: int = Field(0, description="of votes, and the one that begins")
    voter: str = Field("", description="whose vote it is, as the proposal names it")
    user: str = Field("", description="public key it was signed with; empty: it was not")
    by: str = Field("", description="the replica or person whose key that is")
    option: str | None = None
    delegate: str | None = None
    vote: str = Field("", description="the id its sender gave it")
    why: str = ""
    node: str = ""


class VoteView(Record):
    """One vote of a round. Neither option nor delegate: it abstains."""

    voter: str
    option: str | None = None
    delegate: str | None = None
    round: int = 1
    time: datetime = Field(default_factory=utc_now)
    by: str = ""
    user: str = ""
    why: str = ""


class Tally(Record):
    """What a round came to."""

    round: int = 1
    weights: dict[str, float] = Field(default_factory=dict, description="by option")
    cast: float = Field(0.0, description="weight of the votes for an option")
    took_part: int = Field(0, description="voters, those that abstained or delegated too")
    weight: float = Field(0.0, description="their weight")
    top: list[str] = Field(default_factory=list, description="the options with the most weight")
    share: float = Field(0.0, description="of the weight cast, that of the top option")
    quorate: bool = False
    moved: int | None = Field(None, description="voters that changed since the round before")


class DecisionView(Record):
    """A decision, as replaying its journal gives it."""

    id: str
    proposal: Proposal
    state: DecisionState = DecisionState.OPEN
    opened: datetime = Field(default_factory=utc_now)
    round: int = 1
    round_since: datetime = Field(default_factory=utc_now)
    outcome: str | None = None
    reason: str = Field("", description="how it was settled, or why it was not")
    finished: datetime | None = None
    votes: list[VoteView] = Field(default_factory=list, description="of all rounds, as they came")
    refused: int = Field(0, description="votes that did not count")
    tallies: list[Tally] = Field(default_factory=list, description="of the rounds that ended")


class ProposeRequest(Record):
    """Open a decision. With `id` a request that is sent again opens none a second time."""

    proposal: Proposal
    id: str = Field("", pattern=r"^[a-z0-9-]{0,40}$")


class VoteRequest(Record):
    """Cast a vote: for an option, or by whoever another voter votes; neither: abstain."""

    decision: str = Field(min_length=1, max_length=64)
    option: str | None = Field(None, max_length=200)
    delegate: Voter | None = None
    round: int | None = Field(None, description="only if this round is open")
    vote: str = Field("", max_length=64, description="its id: sent again it is the same vote")
    why: str = Field("", max_length=500)
    actor: str = Field("", max_length=100, description="who votes, where no key tells")


class CloseRequest(Record):
    """End a decision without an outcome."""

    decision: str = Field(min_length=1, max_length=64)
    reason: str = Field("", max_length=500)
    actor: str = ""


class DecisionRequest(Record):
    """Ask for a decision; with `seconds` wait so long for its end."""

    decision: str = Field(min_length=1, max_length=64)
    seconds: float = Field(0.0, ge=0, le=30.0)
