"""Decisions: opening them, voting as a person, reading them back."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from sparkplug.bus import deciding, subjects
from sparkplug.bus import decision_journal as journal
from sparkplug.client.session import Client
from sparkplug.schema.decision import (
    HUMAN,
    CloseRequest,
    DecisionEntry,
    DecisionView,
    Proposal,
    ProposeRequest,
    VoteRequest,
)
from sparkplug.schema.decision_fold import fold
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError


def proposal(question: str, options: Sequence[str], rule: Mapping[str, Any]) -> Proposal:
    """A proposal of these fields. Raises InvalidError naming the one that does not hold."""
    try:
        return Proposal.model_validate({**rule, "question": question, "options": list(options)})
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(part) for part in problem["loc"]) or "proposal"
        said = problem["msg"].removeprefix("Value error, ")
        raise InvalidError(said, where=field) from error


async def propose(client: Client, wanted: Proposal) -> DecisionView:
    """Open a decision: it is kept when this returns."""
    made = wanted.model_copy(update={"actor": client.actor})
    request = ProposeRequest(proposal=made, id=secrets.token_hex(4))
    return await deciding.propose(client.bus, request, lease=subjects.DECISIONS_LEASE)


async def vote(
    client: Client,
    decision: str,
    option: str | None = None,
    *,
    delegate: str | None = None,
    round: int | None = None,  # noqa: A002  the field's own name for it
    why: str = "",
) -> DecisionView:
    """Vote as the person at this face. Raises RefusedError for a vote that does not count."""
    found = await describe(client, decision)
    request = VoteRequest(
        decision=found.id,
        option=option,
        delegate=delegate,
        round=round,
        vote=secrets.token_hex(8),
        why=why,
        actor=client.actor,
    )
    return await deciding.vote(client.bus, request, lease=subjects.DECISIONS_LEASE)


async def close(client: Client, decision: str, reason: str = "") -> DecisionView:
    """End a decision without an outcome. Raises NotFoundError, ConflictError."""
    found = await describe(client, decision)
    request = CloseRequest(decision=found.id, reason=reason, actor=client.actor)
    return await deciding.close(client.bus, request)


async def wait_decided(client: Client, decision: str, seconds: float) -> DecisionView:
    """A decision once it has ended, or as it is when the time is up."""
    lease = subjects.DECISIONS_LEASE
    return await deciding.wait_decided(client.bus, decision, seconds, lease=lease)


async def list_decisions(client: Client, limit: int = 100) -> list[DecisionView]:
    """The newest `limit` decisions, newest first."""
    return await journal.list_decisions(client.bus, limit)


async def describe(client: Client, decision: str) -> DecisionView:
    """One decision, by its id or the beginning of it. Raises NotFoundError, ConflictError."""
    return fold(await history(client, decision))


async def history(client: Client, decision: str) -> list[DecisionEntry]:
    """Its journal, whole: what was opened, every vote and what became of it, how it ended.

    By its id or the beginning of it. Raises NotFoundError, ConflictError.
    """
    if decision and decision == subjects.token(decision):
        entries = await journal.read_decision(client.bus, decision)
        if entries:
            return entries
    last = await journal.last_entries(client.bus)
    near = sorted({e.decision for e in last if decision and e.decision.startswith(decision)})
    if len(near) > 1:
        raise ConflictError(
            f"{decision} begins the id of {len(near)} decisions: {', '.join(near[:5])}"
        )
    if not near:
        raise NotFoundError(
            f"no decision {decision}", hint="`sparkplug decisions list` shows those that are kept"
        )
    return await journal.read_decision(client.bus, near[0])


async def follow_asked(client: Client) -> AsyncGenerator[dict[str, DecisionView], None]:
    """The decisions a person is asked to settle, by id, whenever others are; for ever."""
    asked: dict[str, DecisionView] = {}
    async with contextlib.aclosing(follow(client)) as entries:
        async for entry in entries:
            known = entry.decision in asked
            if entry.kind == "asked" and entry.why == HUMAN and not known:
                asked[entry.decision] = fold(
                    await journal.read_decision(client.bus, entry.decision)
                )
            elif known and entry.kind != "refused":
                del asked[entry.decision]
            else:
                continue
            yield dict(asked)


async def follow(client: Client) -> AsyncGenerator[DecisionEntry, None]:
    """The last entry of every decision, then each new entry of any, for ever."""
    async with contextlib.aclosing(journal.follow_decisions(client.bus)) as entries:
        async for entry in entries:
            yield entry
