"""Actions that look memories over: what happened when, and pairs that could be one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject
from sparkplug.actions.memory import short
from sparkplug.schema.plain import plain

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.memory import MemoryItem
    from sparkplug.schema.memory_pruning import Proposal
    from sparkplug.schema.memory_review import Decision
    from sparkplug.schema.memory_timeline import Happening, TimelineReply, TimelineRequest

#: `schema.memory_timeline.HappeningKind`, which is not imported for it.
HAPPENING_KINDS = (
    *("added", "said", "edited", "read", "deleted", "restored", "quarantined", "released"),
    *("moved", "weighed", "merged", "kept"),
)
_PAIR_KINDS = ("duplicate", "contradiction")
_BLOCKS = " ▁▂▃▄▅▆▇█"
_SPANS, _MOST = 60, 1000

_PROPOSAL = Argument("proposal", "proposal", "name of the pair, like 1a2b3c4d.5e6f7a8b", True)
_WHY = Argument("why", "text", "why, for others to read", default="", flag="--why")
_SCOPE = Argument("scope", "text", "of this scope alone", default=(), flag="--scope", repeated=True)


# What happened when


def timeline_request(
    *,
    memory: str | None = None,
    scope: Sequence[str] = (),
    kind: Sequence[str] = (),
    since: float | None = None,
    until: float | None = None,
    limit: int = 200,
    **more: str,
) -> TimelineRequest:
    """What is asked for, as it is typed: `since` and `until` so many seconds ago.

    `more` is by, run and before, as the request has them.

    Raises InvalidError.
    """
    from pydantic import ValidationError

    from sparkplug.schema.base import utc_now
    from sparkplug.schema.errors import InvalidError
    from sparkplug.schema.memory_timeline import TimelineRequest
    from sparkplug.schema.problems import did_you_mean

    for one in kind:
        if one not in HAPPENING_KINDS:
            near = did_you_mean(one, HAPPENING_KINDS)
            hint = f"it is one of {', '.join(HAPPENING_KINDS)}"
            raise InvalidError(f"nothing of the kind {one[:40]} happens{near}", hint=hint)
    if not 1 <= limit <= _MOST:
        raise InvalidError(f"--limit is from 1 to {_MOST}")
    if memory is not None and not 4 <= len(memory) <= 64:
        raise InvalidError(f"{memory[:80]!r} is no id", hint="at least four characters of one")
    now = utc_now()
    moments = {"since": since, "until": until}
    try:
        given: dict[str, datetime | None] = {
            name: None if ago is None else now - timedelta(seconds=ago)
            for name, ago in moments.items()
        }
        asked = {"scopes": list(scope), "kinds": list(kind), "limit": limit, **given, **more}
        return TimelineRequest.model_validate({**asked, "item": memory or "", "spans": _SPANS})
    except OverflowError as error:
        raise InvalidError("that is further back than there are dates") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InvalidError(f"{where}: {problem['msg']}") from error


async def _timeline(
    client: Client,
    *,
    memory: str | None = None,
    scope: Sequence[str] = (),
    kind: Sequence[str] = (),
    by: str = "",
    run: str = "",
    since: float | None = None,
    until: float | None = None,
    limit: int = 200,
    before: str = "",
) -> ActionResult:
    from sparkplug.client import memory as room

    request = timeline_request(
        memory=memory,
        scope=scope,
        kind=kind,
        by=by,
        run=run,
        since=since,
        until=until,
        limit=limit,
        before=before,
    )
    reply = await room.timeline(client, request)
    data = plain(reply)
    for part in (*data["happenings"], *data["spans"]):
        part.pop("v", None)
    lines = [_told(one) for one in reply.happenings]
    title = f"timeline of {memory}" if memory else "timeline of the memory"
    text = "\n".join([*bar_lines(reply), *lines]) if lines else "nothing happened there"
    return ActionResult(title, data, changed=False, text=text)


def bar_lines(reply: TimelineReply) -> list[str]:
    """How much happened when, as blocks, with the first and the last moment."""
    counts = [sum(span.counts.values()) for span in reply.spans]
    if not any(counts) or reply.since is None or reply.until is None:
        return []
    most = max(counts)
    # Whatever there is of it is seen: one in a thousand is a block, too.
    drawn = "".join(_BLOCKS[-(-count * 8 // most)] for count in counts)
    first, last = (f"{moment.astimezone():%Y-%m-%d %H:%M}" for moment in (reply.since, reply.until))
    return [f"{drawn}  {most} at most", f"{first}{last:>{max(1, len(drawn) - len(first))}}"]


def _told(one: Happening) -> str:
    when = f"{one.time.astimezone():%Y-%m-%d %H:%M:%S}"
    who = one.by or "the memory"
    run = f" in run {one.run}" if one.run else ""
    ended = f" ({one.ended})" if one.ended else ""
    times = f" {one.times} times" if one.times > 1 else ""
    version = f" version {one.version}" if one.version else ""
    why = f" ({one.why})" if one.why else ""
    text = "gone" if one.state == "gone" else short(one.text)
    what = f"{one.kind:<11} {one.id[:8]}  {one.scope}"
    return f"{when}  {what}  by {who}{run}{ended}{times}{version}{why}: {text}"


# Pairs that could be one


async def _proposals(
    client: Client,
    *,
    scope: Sequence[str] = (),
    kind: Sequence[str] = (),
    decided: bool = False,
    limit: int = 100,
) -> ActionResult:
    from sparkplug.client import memory as room
    from sparkplug.schema.errors import InvalidError
    from sparkplug.schema.memory_review import ProposalsRequest

    if not 1 <= limit <= _MOST:
        raise InvalidError(f"--limit is from 1 to {_MOST}")
    for one in kind:
        if one not in _PAIR_KINDS:
            raise InvalidError(f"--kind is {' or '.join(_PAIR_KINDS)}, not {one[:40]}")
    request = ProposalsRequest.model_validate(
        {"scopes": list(scope), "kinds": list(kind), "decided": decided, "limit": limit}
    )
    reply = await room.proposals(client, request)
    data = {
        "proposals": [pair_data(one) for one in reply.proposals],
        "compared": reply.compared,
        "items": reply.items,
    }
    lines = [line for one in reply.proposals for line in _pair_lines(one)]
    if reply.compared < reply.items:
        lines.append(f"the newest {reply.compared} of {reply.items} memories were compared")
    if not reply.proposals:
        nothing = "nothing was decided yet" if decided else "nothing says the same or contradicts"
        lines.insert(0, nothing)
    text = "\n".join(lines)
    return ActionResult("proposals", data, changed=False, text=text)


def pair_data(one: Proposal) -> dict[str, Any]:
    """A pair as `--json` has it: both sides whole, with where they are from."""

    def side(item: MemoryItem | None) -> dict[str, Any] | None:
        return plain(item) if item else None

    found = one.model_dump(mode="json", exclude={"v", "keep", "drop"})
    return {**found, "keep": side(one.keep), "drop": side(one.drop)}


def _pair_lines(one: Proposal) -> list[str]:
    told = f"{one.id}  {one.kind}: {one.why}"
    if one.decided:
        what = "both are kept" if one.decided == "both" else "one was taken into the other"
        told = f"{one.id}  {what}, by {one.decided_by}"
        told += f" ({one.decided_why})" if one.decided_why else ""
    sides = (("keep", one.keep), ("drop", one.drop))
    if one.kind == "contradiction" and not one.decided:
        sides = (("newer", one.keep), ("older", one.drop))
    return [told, *(_side(title, item) for title, item in sides if item is not None)]


def _side(title: str, item: MemoryItem) -> str:
    run = f" in run {item.run}" if item.run else ""
    from_ = f"{item.author or 'unknown'}{run}, {item.source}, read {item.reads} times"
    return f"  {title:<6} {item.id[:8]}  {item.scope}  {short(item.text)}  ({from_})"


async def _settle(
    client: Client, decision: Decision, proposal: str, keep: str = "", why: str = ""
) -> ActionResult:
    from sparkplug.client import memory as room

    reply = await room.settle(client, proposal, decision, keep=keep, why=why)
    made = reply.proposal
    if decision == "merge" and made.keep is not None:
        told = f"{made.keep.id[:8]} stays, {made.drop.id[:8]} is deleted: for seven days"
        told += " that can be taken back"
    elif decision == "both":
        told = "both are kept, and it is not proposed again"
    else:
        told = "taken back: nothing is decided about it"
    return ActionResult(f"{made.id}: {told}", pair_data(made))


async def _check_pair(client: Client, proposal: str, **_: Any) -> None:
    from sparkplug.client import memory as room
    from sparkplug.schema.memory_review import pair_ids

    for known in pair_ids(proposal):
        await room.describe(client, known)


async def _accept(
    client: Client, proposal: str, *, keep: str | None = None, why: str = ""
) -> ActionResult:
    return await _settle(client, "merge", proposal, keep or "", why)


async def _keep_both(client: Client, proposal: str, *, why: str = "") -> ActionResult:
    return await _settle(client, "both", proposal, why=why)


async def _reopen(client: Client, proposal: str) -> ActionResult:
    return await _settle(client, "open", proposal)


def _pair(decided: bool) -> Any:
    """Whether something was decided about the selected pair."""

    def applies(subject: Subject | None) -> str | None:
        if subject is None or subject.kind != "proposal":
            return "select a proposal: `memory proposals` lists them"
        if bool(getattr(subject.value, "decided", "")) is decided:
            return None
        return "nothing was decided about it" if decided else "that is decided"

    return applies


def _accepts(proposal: str, keep: str | None = None, **_: Any) -> str:
    stays = f"keep {keep[:8]}" if keep else "keep the one that is proposed"
    return f"would {stays} of {proposal} and delete the other, for seven days to be had back"


MEMORY_REVIEW_ACTIONS: tuple[Action, ...] = (
    Action(
        id="memory.timeline",
        title="Timeline of the memory",
        help="what happened to memories over time: added, edited, read, deleted, judged",
        verb=("memory", "timeline"),
        arguments=(
            Argument("memory", "memory", "what happened to this one", flag="--memory"),
            _SCOPE,
            Argument(
                *("kind", "text", "only this: added, edited, read, deleted, …"),
                default=(),
                flag="--kind",
                repeated=True,
            ),
            Argument("by", "text", "what this agent or user did", default="", flag="--by"),
            Argument("run", "run", "what happened in this run", default="", flag="--run"),
            Argument("since", "seconds", "this far back, like 2h (all)", flag="--since"),
            Argument("until", "seconds", "till this long ago (now)", flag="--until"),
            Argument("limit", "integer", "the newest so many (200)", default=200, flag="--limit"),
            Argument("before", "text", "go on: `more` of a page", default="", flag="--before"),
        ),
        writes=False,
        run=_timeline,
        preview=lambda memory=None, **_: f"would show what happened to {memory or 'memories'}",
    ),
    Action(
        id="memory.proposals",
        title="Proposals to tidy the memory",
        help="pairs of memories that say the same or contradict each other, to be decided about",
        verb=("memory", "proposals"),
        arguments=(
            _SCOPE,
            Argument(
                *("kind", "text", "duplicate or contradiction alone"),
                default=(),
                flag="--kind",
                repeated=True,
            ),
            Argument("decided", "switch", "those that were decided about", flag="--decided"),
            Argument("limit", "integer", "so many at most (100)", default=100, flag="--limit"),
        ),
        writes=False,
        run=_proposals,
        preview=lambda **_: "would compare memories with each other",
    ),
    Action(
        id="memory.accept",
        title="Accept the proposal",
        help="keep one of a pair; the other is deleted, and who said it is told of the one kept",
        verb=("memory", "accept"),
        key="a",
        target="proposal",
        arguments=(
            _PROPOSAL,
            Argument("keep", "text", "id of the one that stays", flag="--keep"),
            _WHY,
        ),
        danger=True,
        many=True,
        applies=_pair(decided=False),
        check=_check_pair,
        run=_accept,
        preview=_accepts,
    ),
    Action(
        id="memory.keep-both",
        title="Keep both",
        help="keep both of a pair; it is not proposed again while they say what they say",
        verb=("memory", "keep-both"),
        key="b",
        target="proposal",
        arguments=(_PROPOSAL, _WHY),
        many=True,
        applies=_pair(decided=False),
        run=_keep_both,
        preview=lambda proposal, **_: f"would keep both of {proposal}",
    ),
    Action(
        id="memory.reopen",
        title="Take the decision back",
        help="take back what was decided about a pair; what was deleted for it is there again",
        verb=("memory", "reopen"),
        key="u",
        target="proposal",
        arguments=(_PROPOSAL,),
        many=True,
        applies=_pair(decided=True),
        run=_reopen,
        preview=lambda proposal, **_: f"would take back what was decided about {proposal}",
    ),
)
