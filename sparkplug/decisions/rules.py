"""Whose vote it is, and whether it counts."""

from __future__ import annotations

from sparkplug.decisions.opened import Open
from sparkplug.decisions.voters import Identity, voter_for
from sparkplug.schema.decision import DECISION_ENDED, DecisionState, VoteRequest
from sparkplug.schema.decision_fold import votes_of
from sparkplug.schema.errors import RefusedError


def may(one: Open, request: VoteRequest, who: Identity) -> str | None:
    """The voter whose vote it is; None when it was counted already under this id.

    Raises RefusedError for one that is late, out of turn, a second one, or nobody's.
    """
    view = one.view
    if view.state in DECISION_ENDED:
        raise RefusedError(f"it is {view.state}: too late", where=view.id)
    voter = voter_for(view, who)
    if request.vote and request.vote in one.ids:
        if one.ids[request.vote] == (voter, view.round):
            return None
        raise RefusedError("that vote was cast before", where=view.id)
    if request.round is not None and request.round != view.round:
        raise RefusedError(
            f"round {view.round} is open, and this is for round {request.round}", where=view.id
        )
    settles = view.state is not DecisionState.OPEN
    if not settles and voter in votes_of(view, view.round):
        raise RefusedError(f"{voter} has voted already", where=view.id)
    if request.option is not None and request.delegate is not None:
        raise RefusedError("a vote is for an option or by another voter, not both")
    if request.option is not None and request.option not in view.proposal.options:
        told = ", ".join(view.proposal.options)
        raise RefusedError(f"{request.option} is none of its options: {told}", where=view.id)
    if settles and request.option is None:
        raise RefusedError("who settles it names an option", where=view.id)
    if request.delegate is not None:
        if request.delegate == voter:
            raise RefusedError("a voter cannot delegate to itself", where=view.id)
        named = view.proposal.voters
        if named and request.delegate not in named:
            raise RefusedError(f"{request.delegate} is none of its voters", where=view.id)
    return voter
