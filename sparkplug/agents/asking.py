"""An agent's own way to people: its nodes keep what it asks, and it takes what was answered.

It may speak only under its own name (`subjects.agent_service`), which the server sees to: no
agent reads another's answers, or answers for a person.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sparkplug.agents.envelopes import MOST_SAVED
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.questions import hold
from sparkplug.bus.service import call
from sparkplug.schema.errors import InvalidError, SparkplugError
from sparkplug.schema.node import Nothing
from sparkplug.schema.question import (
    Answer,
    AskReply,
    AskRequest,
    Draft,
    MineReply,
    SavedRequest,
    TakeReply,
    TakeRequest,
    ThreadQuestions,
)

log = logging.getLogger("sparkplug.agent")

_ASK_S = 10.0


class Asking:
    """What one replica asks people."""

    def __init__(self, bus: Bus, agent: str, replica: str) -> None:
        self._bus = bus
        self._agent = agent
        self._replica = replica

    def _subject(self, verb: str) -> str:
        return subjects.agent_service(self._agent, self._replica, verb)

    async def ask(self, saved: SavedRequest, drafts: Sequence[Draft]) -> list[str]:
        """Have people asked; the ids of the questions. One that was asked before has its id.

        Raises InvalidError for a request too large to be kept.
        """
        size = len(saved.model_dump_json())
        if size > MOST_SAVED:
            raise InvalidError(
                f"a request of {size} bytes cannot be kept until a person answers; at most "
                f"{MOST_SAVED} can",
                hint="name large files by their path, in place of attaching them",
            )
        request = AskRequest(saved=saved, drafts=list(drafts))
        reply = await call(self._bus, self._subject("ask"), request, AskReply, deadline=_ASK_S)
        return reply.ids

    async def take(self, question: str, token: str) -> TakeReply:
        """The request that waited, with what was answered. Raises RefusedError: it is not ours."""
        request = TakeRequest(question=question, token=token)
        return await call(self._bus, self._subject("take"), request, TakeReply, deadline=_ASK_S)

    async def mine(self) -> list[str]:
        """The open questions that this replica asked, in this process or one before."""
        try:
            reply = await call(self._bus, self._subject("mine"), Nothing(), MineReply)
        except SparkplugError as error:
            log.debug("open questions: %s", error)
            return []
        return reply.ids

    async def open(self, thread: str) -> list[str]:
        """The open questions of the agent, any replica of it, on a thread."""
        request = ThreadQuestions(thread=thread)
        reply = await call(self._bus, self._subject("open"), request, MineReply)
        return reply.ids

    async def hold(self, draft: Draft, foreign: str = "") -> Answer:
        """Ask a person and wait on the line; the question goes when this is cancelled."""
        return await hold(self._bus, self._subject("hold"), draft, foreign=foreign)
