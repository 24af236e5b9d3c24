"""What people look over: what happened when, and pairs that could be one; what they decide."""

from __future__ import annotations

from sparkplug.memory import proposals, timeline
from sparkplug.memory.access import Caller
from sparkplug.memory.parts import Parts
from sparkplug.schema.memory_review import (
    ComparingReply,
    ComparingRequest,
    ProposalsReply,
    ProposalsRequest,
    SettleReply,
    SettleRequest,
)
from sparkplug.schema.memory_timeline import HappeningKind, TimelineReply, TimelineRequest

#: Runs of one page whose end is looked up.
_RUNS = 20


class Reviewing:
    """The timeline and the proposals."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def timeline(self, caller: Caller, request: TimelineRequest) -> TimelineReply:
        """What happened, the newest first; of readings how their run ended."""
        parts = self._parts
        await parts.access.readable(caller, request.scopes, "")
        reply = await parts.on_reader(timeline.read, parts.catalogue, request)
        runs = dict.fromkeys(
            one.run for one in reply.happenings if one.run and one.kind is HappeningKind.READ
        )
        ended = {run: await parts.company.run_state(run) for run in list(runs)[:_RUNS]}
        for one in reply.happenings:
            if one.kind is HappeningKind.READ:
                one.ended = ended.get(one.run, "")
        return reply

    async def proposals(self, caller: Caller, request: ProposalsRequest) -> ProposalsReply:
        """Pairs that could be one, or those that were decided about."""
        parts = self._parts
        await parts.access.readable(caller, request.scopes, "")
        if request.decided:
            return await parts.on_reader(proposals.read, parts.catalogue, request, parts.half_life)
        async with parts.comparisons.begin(request.request) as comparison:
            return await parts.on_reader(
                proposals.read, parts.catalogue, request, parts.half_life, comparison
            )

    async def comparing(self, _: Caller, request: ComparingRequest) -> ComparingReply:
        """How far a comparison is that somebody waits for; with `stop` it ends."""
        found = self._parts.comparisons.find(request.request)
        if found is not None and request.stop:
            found.stop()
        return ComparingReply(going=found is not None, share=found.share if found else 0.0)

    async def settle(self, caller: Caller, request: SettleRequest) -> SettleReply:
        """Decide about a pair, or take that back."""
        parts = self._parts
        reply = await parts.on_writer(
            proposals.settle, parts.catalogue, request, caller.author, parts.half_life
        )
        parts.indexing.wake()
        made = reply.proposal
        event, told = "memory:updated", [made.drop.id]
        if request.decision == "merge":
            event = "memory:deleted"
        elif request.decision == "both" and made.keep is not None:
            told.append(made.keep.id)
        parts.tell(event, made.drop.scope, caller.author, told, proposal=made.id)
        return reply
