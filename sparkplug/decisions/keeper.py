"""The keeper of decisions: opens them, takes votes, ends rounds, and writes each of it down first.

Every node has one, and the one that holds the lease answers. What is decided follows from the
journal by `schema.decision_fold` alone; the keeper adds the clock, and who may vote.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from datetime import datetime

import nats.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.decision_journal import last_entries, read_all, read_decision
from sparkplug.bus.events import EventLog
from sparkplug.bus.leases import Lease, while_held
from sparkplug.bus.senders import Signed
from sparkplug.bus.service import Services
from sparkplug.decisions.invitations import FindTarget, Invitations
from sparkplug.decisions.journal import DecisionWriter
from sparkplug.decisions.opened import Open
from sparkplug.decisions.rules import may
from sparkplug.decisions.voters import Identity, Voters
from sparkplug.schema.decision import (
    DECISION_ENDED,
    HUMAN,
    CloseRequest,
    DecisionEntry,
    DecisionRequest,
    DecisionState,
    DecisionView,
    ProposeRequest,
    VoteRequest,
)
from sparkplug.schema.decision_fold import (
    advance,
    all_voted,
    begin,
    fold,
    percent,
    tally,
    verdict,
)
from sparkplug.schema.errors import (
    ConflictError,
    NotFoundError,
    RefusedError,
    SparkplugError,
)

log = logging.getLogger(__name__)

_LEASE_S = 3
_AGAIN_S = 0.5
_LOOK_S = 0.1
#: A round is open for so long at least once another has taken it over (or as long as it has).
_GRACE_S = 4.0
_MOST_OPEN = 1_000
_MOST_REFUSED = 200


class Decisions:
    """One node's keeper. `named` and `user_of` are the directory's, `find` whom to invite."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        holder: str,
        events: EventLog,
        *,
        named: Callable[[str], str | None],
        user_of: Callable[[str], str | None],
        find: FindTarget,
    ) -> None:
        self._bus = bus
        self._node = node
        self._events = events
        self._voters = Voters(named, user_of)
        self._lease = Lease(bus, subjects.DECISIONS_LEASE, holder, _LEASE_S, own=True)
        self._writer = DecisionWriter(bus, lambda: self._lease.held)
        self._invitations = Invitations(bus, find)
        self._open: dict[str, Open] = {}
        #: Set when one was opened: until then there is no time to look at.
        self._opened = asyncio.Event()
        self._opening = asyncio.Lock()

    async def run(self) -> None:
        """Keep the decisions for ever, whenever the lease is this node's."""
        while True:
            if await self._lease.acquire():
                try:
                    await while_held(self._lease, self._keep())
                except (SparkplugError, TimeoutError, nats.errors.Error) as error:
                    log.info("another may keep the decisions now: %s", error)
            await asyncio.sleep(_AGAIN_S)

    async def _keep(self) -> None:
        services = Services(self._bus)
        try:
            await self._take_over()
            await services.serve_message(subjects.DECISIONS_PROPOSE, ProposeRequest, self._propose)
            await services.serve_message(subjects.DECISIONS_VOTE, VoteRequest, self._vote)
            await services.serve(subjects.DECISIONS_CLOSE, CloseRequest, self._close)
            await services.serve(subjects.DECISIONS_GET, DecisionRequest, self._get)
            while True:
                if not self._open:
                    self._opened.clear()
                    await self._opened.wait()
                await asyncio.sleep(_LOOK_S)
                for one in list(self._open.values()):
                    if one.due:
                        async with one.lock:
                            if one.due:  # still: a vote may have ended the round meanwhile
                                await self._end_of_round(one)
        finally:
            await services.close()
            await self._invitations.close()
            for one in self._open.values():
                one.over.set()
            self._open = {}

    async def _take_over(self) -> None:
        """Read what is open, with the clock where the server's says it is."""
        now = await self._writer.open()
        unfinished = [
            entry.decision
            for entry in await last_entries(self._bus)
            if entry.kind not in ("decided", "undecided", "closed")
        ]
        for view in await read_all(self._bus, unfinished):
            if view.state in DECISION_ENDED:  # a late vote was its last entry
                continue
            one = Open(view, time.monotonic() - _ago(view.round_since, now))
            if one.seconds is not None:
                # Who voted while nobody kept it votes again now.
                one.since = max(one.since, time.monotonic() + min(0.0, _GRACE_S - one.seconds))
            for entry in await read_decision(self._bus, view.id):
                if entry.kind == "voted" and entry.vote:
                    one.ids[entry.vote] = (entry.voter, entry.round)
            self._open[view.id] = one
            if view.state is DecisionState.OPEN:
                # Who kept it before may have gone before all were asked.
                self._invite(one, "vote")

    # What is asked

    async def _propose(self, request: ProposeRequest, message: Signed) -> DecisionView:
        """Open a decision; it is in the journal before this answers."""
        who = await self._voters.identify(message, request.proposal.actor)
        request.proposal.actor = who.name.removeprefix(f"{HUMAN}:")
        async with self._opening:
            return await self._begin(request)

    async def _begin(self, request: ProposeRequest) -> DecisionView:
        name = request.id or secrets.token_hex(4)
        known = await self._find(name)
        if known is not None:
            if known.proposal == request.proposal:
                return known  # sent again
            raise ConflictError("there is another decision of this id", where=name)
        if len(self._open) >= _MOST_OPEN:
            raise RefusedError(
                f"{_MOST_OPEN} decisions are open already", hint="close some of them"
            )
        entry = DecisionEntry(
            decision=name, kind="opened", proposal=request.proposal, round=1, node=self._node
        )
        await self._writer.write(entry)
        one = self._open[name] = Open(begin(entry), time.monotonic())
        self._opened.set()
        proposal = request.proposal
        self._events.emit(
            "decision:opened",
            name,
            actor=proposal.actor,
            data={"question": proposal.question[:200], "options": proposal.options},
        )
        self._invite(one, "vote")
        return one.view

    async def _vote(self, request: VoteRequest, message: Signed) -> DecisionView:
        """Take a vote; it counts once this has answered. What does not count is written down."""
        one = self._open.get(request.decision)
        who = await self._voters.identify(message, request.actor)
        if one is None:
            view = await self._find(request.decision)
            if view is None:
                raise _no_decision(request.decision)
            raise await self._refusal(view, request, who, f"it is {view.state}: too late")
        async with one.lock:
            if one.late:
                await self._end_of_round(one)
            try:
                voter = may(one, request, who)
            except RefusedError as error:
                raise await self._refusal(one.view, request, who, error.message) from None
            if voter is None:
                return one.view  # the same vote, sent again
            await self._count(one, request, who, voter)
            return one.view

    async def _count(self, one: Open, request: VoteRequest, who: Identity, voter: str) -> None:
        view = one.view
        settles = view.state is not DecisionState.OPEN
        entry = DecisionEntry(
            decision=view.id,
            kind="ruled" if settles else "voted",
            round=view.round,
            voter=voter,
            user=who.user,
            by=who.name,
            option=request.option,
            delegate=request.delegate,
            vote=request.vote,
            why=request.why,
            node=self._node,
        )
        await self._write(one, entry)
        if request.vote:
            one.ids[request.vote] = (voter, view.round)
        self._events.emit(
            "decision:voted",
            view.id,
            actor=who.name,
            data={
                "voter": voter,
                "option": request.option,
                "delegate": request.delegate,
                "round": view.round,
            },
        )
        if settles:
            why = f"{who.name} settled it" + (f": {request.why}" if request.why else "")
            await self._end(one, "decided", request.option, why)
        elif all_voted(view):
            await self._end_of_round(one)

    async def _refusal(
        self, view: DecisionView, request: VoteRequest, who: Identity, why: str
    ) -> RefusedError:
        """Write down that a vote does not count; the error that tells its sender."""
        if view.refused < _MOST_REFUSED:
            entry = DecisionEntry(
                decision=view.id,
                kind="refused",
                round=view.round,
                by=who.name,
                user=who.user,
                option=request.option,
                delegate=request.delegate,
                vote=request.vote,
                why=why[:500],
                node=self._node,
            )
            await self._writer.write(entry)
            advance(view, entry)
        return RefusedError(why, where=view.id)

    async def _close(self, request: CloseRequest) -> DecisionView:
        one = self._open.get(request.decision)
        if one is None:
            view = await self._find(request.decision)
            if view is None:
                raise _no_decision(request.decision)
            raise ConflictError(f"it is {view.state} already", where=view.id)
        async with one.lock:
            if one.view.state in DECISION_ENDED:
                raise ConflictError(f"it is {one.view.state} already", where=one.view.id)
            by = request.actor or "somebody"
            why = f"closed by {by}" + (f": {request.reason}" if request.reason else "")
            await self._end(one, "closed", None, why)
        return one.view

    async def _get(self, request: DecisionRequest) -> DecisionView:
        one = self._open.get(request.decision)
        if one is not None and request.seconds:
            try:
                async with asyncio.timeout(request.seconds):
                    await one.over.wait()
            except TimeoutError:
                pass
        view = one.view if one is not None else await self._find(request.decision)
        if view is None:
            raise _no_decision(request.decision)
        return view

    async def _find(self, name: str) -> DecisionView | None:
        """A decision that is open, or one of the journal."""
        one = self._open.get(name)
        if one is not None:
            return one.view
        if name != subjects.token(name):
            return None
        entries = await read_decision(self._bus, name)
        return fold(entries) if entries else None

    # What follows

    async def _end_of_round(self, one: Open) -> None:
        """The round is over, or who was to settle it did not."""
        view = one.view
        if view.state in DECISION_ENDED:
            return
        if view.state is DecisionState.ARBITER:
            await self._end(one, "undecided", None, f"{view.proposal.arbiter} did not settle it")
            return
        if view.state is DecisionState.HUMAN:
            return
        found = verdict(view)
        if found.kind == "round":
            await self._write(
                one,
                DecisionEntry(
                    decision=view.id,
                    kind="round",
                    round=view.round + 1,
                    why=found.why,
                    node=self._node,
                ),
            )
            one.since = time.monotonic()
            self._invite(one, "vote")
        elif found.kind == "asked":
            await self._write(
                one,
                DecisionEntry(
                    decision=view.id,
                    kind="asked",
                    round=view.round,
                    why=found.why,
                    node=self._node,
                ),
            )
            one.since = time.monotonic()
            if view.proposal.arbiter is not None and found.why == "arbiter":
                self._invitations.send(
                    view, [view.proposal.arbiter], "settle", view.proposal.arbiter_seconds
                )
        else:
            await self._end(one, found.kind, found.option, found.why)

    async def _end(self, one: Open, kind: str, option: str | None, why: str) -> None:
        view = one.view
        share = tally(view).share
        entry = DecisionEntry.model_validate(
            {
                "decision": view.id,
                "kind": kind,
                "round": view.round,
                "option": option,
                "why": why[:500],
                "node": self._node,
            }
        )
        await self._write(one, entry)
        del self._open[view.id]
        one.over.set()
        self._events.emit(
            "decision:decided",
            view.id,
            data={
                "state": str(view.state),
                "outcome": option,
                "reason": why,
                "round": view.round,
                "share": percent(share),
            },
        )

    async def _write(self, one: Open, entry: DecisionEntry) -> None:
        await self._writer.write(entry)
        advance(one.view, entry)

    def _invite(self, one: Open, why: str) -> None:
        proposal = one.view.proposal
        if proposal.invite and proposal.voters:
            self._invitations.send(one.view, list(proposal.voters), why, proposal.seconds)


def _ago(then: datetime, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds())


def _no_decision(name: str) -> NotFoundError:
    return NotFoundError(f"no decision {name}", hint="`sparkplug decisions list` shows them")
