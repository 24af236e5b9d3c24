"""`sparkplug decisions`."""

from __future__ import annotations

from typing import Any

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing
from sparkplug.schema.decision import DecisionEntry, DecisionView, Tally
from sparkplug.schema.plain import plain


async def list_decisions(cli: Cli) -> int:
    """The decisions that are kept."""
    from sparkplug.client import decisions as room

    async with cli.connect() as client:

        async def fetch() -> list[DecisionView]:
            return await room.list_decisions(client)

        return await show(cli, fetch, DECISIONS)


async def describe(cli: Cli) -> int:
    """All about a decision: its rule, every vote, every round, how it ended."""
    from sparkplug.client import decisions as room
    from sparkplug.schema.decision_fold import fold, percent, tally

    async with cli.connect() as client:
        entries = await room.history(client, cli.args.decision)
    view = fold(entries)
    if cli.out.structured:
        history = [plain(entry, exclude_defaults=True) for entry in entries]
        cli.out.data({**decision_data(view), "history": history})
        return 0
    proposal = view.proposal
    tell = cli.out.text
    tell(f"{view.id}  {view.state}" + (f": {view.outcome}" if view.outcome else ""))
    tell(f"  question   {proposal.question}")
    tell(f"  options    {', '.join(proposal.options)}")
    voters = [
        f"{voter} ({proposal.weight(voter):g})" if voter in proposal.weights else voter
        for voter in proposal.voters
    ]
    tell(f"  voters     {', '.join(voters) or 'anybody'}")
    rule = f"quorum {percent(proposal.quorum)}, winner {percent(proposal.threshold)}"
    settled = {"none": "", "arbiter": f", else {proposal.arbiter} settles it"}
    rule += settled.get(proposal.conflict, f", else by {proposal.conflict}")
    rounds = f", {proposal.rounds} rounds" if proposal.rounds > 1 else ""
    tell(f"  rule       {rule}, {proposal.seconds:g} s{rounds}")
    tell(f"  opened     {figures.clock(view.opened)} by {proposal.actor or 'somebody'}")
    if view.reason:
        tell(f"  because    {view.reason}")
    live = [] if view.finished or str(view.state) != "open" else [tally(view)]
    for found in [*view.tallies, *live]:
        tell(f"  round {found.round}    {_tally(found)}")
    for entry in entries[1:]:
        line = _line(entry)
        if line:
            tell(f"    {figures.clock(entry.time)}  {line}")
    return 0


def _tally(found: Tally) -> str:
    standing = ", ".join(f"{option} {weight:g}" for option, weight in found.weights.items())
    quorum = "" if found.quorate else ", no quorum"
    moved = "" if found.moved is None else f", {found.moved} changed their vote"
    return f"{standing}; {found.took_part} took part{quorum}{moved}"


def _line(entry: DecisionEntry) -> str:
    """An entry of the journal in a line."""
    choice = entry.option or (f"as {entry.delegate}" if entry.delegate else "abstains")
    why = f" ({entry.why})" if entry.why else ""
    proof = ", signed" if entry.user else ", not signed"
    match entry.kind:
        case "voted":
            by = "" if entry.by == entry.voter else f" by {entry.by}"
            return f"{entry.voter}{by}: {choice}{why}{proof}"
        case "ruled":
            return f"{entry.by} settles it: {choice}{why}{proof}"
        case "refused":
            return f"refused: {entry.by} {choice}{why}"
        case "round":
            return f"round {entry.round} begins{why}"
        case "asked":
            return f"{entry.why} is asked to settle it"
    return f"{entry.kind}{f': {entry.option}' if entry.option else ''}{why}"


def decision_data(view: DecisionView) -> dict[str, Any]:
    """A decision as `--json` has it."""
    return plain(view)


def _voted(view: DecisionView) -> str:
    count = sum(vote.round == view.round for vote in view.votes)
    voters = len(view.proposal.voters)
    return f"{count}/{voters}" if voters else str(count)


DECISIONS: Listing[DecisionView] = Listing(
    columns=(
        Column("id", lambda d: d.id),
        Column("state", lambda d: d.state),
        Column("question", lambda d: d.proposal.question),
        Column("outcome", lambda d: d.outcome),
        Column("round", lambda d: f"{d.round}/{d.proposal.rounds}", wide=True),
        Column("votes", _voted, right=True),
        Column("refused", lambda d: d.refused or None, wide=True, right=True),
        Column("opened", lambda d: figures.age(d.opened), right=True),
        Column("by", lambda d: d.proposal.actor, wide=True),
        Column("because", lambda d: d.reason),
    ),
    name=lambda d: d.id,
    data=decision_data,
    empty="nothing was decided yet; `sparkplug decisions propose` has something decided",
)
