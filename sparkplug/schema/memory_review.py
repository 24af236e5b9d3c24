"""Reviewing what could be tidied: pairs that say the same, or contradict each other."""

from __future__ import annotations

import secrets
from typing import Literal

from pydantic import Field

from sparkplug.schema.base import Record
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.memory_pruning import Proposal

PairKind = Literal["duplicate", "contradiction"]
#: `merge`: one stays, the other is deleted. `both`: it is not proposed again, as long as both say
#: what they said. `open`: as if nothing had been decided.
Decision = Literal["merge", "both", "open"]


def pair_ids(proposal: str) -> tuple[str, str]:
    """The ids of both memories of a pair, or their beginnings. Raises InvalidError."""
    ids = proposal.split(".")
    if len(ids) != 2 or any(len(known) < 4 for known in ids):
        raise InvalidError(
            f"{proposal[:80]!r} is no pair of memories",
            hint="`sparkplug memory proposals` shows their names, like 1a2b3c4d.5e6f7a8b",
        )
    return ids[0], ids[1]


class ProposalsRequest(Record):
    """Look for pairs, or list those that were decided about; the surest first."""

    kinds: list[PairKind] = Field(default_factory=list, max_length=2)
    scopes: list[str] = Field(default_factory=list, max_length=5000)
    decided: bool = Field(False, description="those that were decided about, the newest first")
    limit: int = Field(200, ge=1, le=1000)
    chars: int = Field(600, ge=0, le=2000, description="at most so many of each text")
    request: str = Field("", max_length=64, description="names it, to be asked how far it is")


class ComparingRequest(Record):
    """Ask how far a comparison is that another request asked for; or have it end."""

    request: str = Field(max_length=64)
    stop: bool = False


class ComparingReply(Record):
    """How much of it is done, from 0 to 1; nothing while another has its turn."""

    going: bool
    share: float


class ProposalsReply(Record):
    """Pairs, and how many memories they were looked for among."""

    proposals: list[Proposal]
    compared: int = Field(0, description="memories that were compared with each other")
    items: int = Field(0, description="memories there are; more than are compared at once")
    took_ms: float = 0.0


class SettleRequest(Record):
    """Decide about a pair."""

    proposal: str = Field(max_length=160, description="the ids of both, or their beginnings: A.B")
    decision: Decision
    keep: str = Field("", max_length=64, description="which of both stays, of a merge")
    why: str = Field("", max_length=500)
    request: str = Field(
        default_factory=lambda: secrets.token_hex(16),
        max_length=64,
        description="names this request: one that comes again is answered as before",
    )


class SettleReply(Record):
    """The pair as it is now."""

    proposal: Proposal
