"""For an agent that takes signed prompts only: is the sender who its name says?"""

from __future__ import annotations

import asyncio
import logging

from synadia_ai.agents import SenderInfo

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import call
from sparkplug.schema.agent import ResolveReply, ResolveRequest
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger("sparkplug.agent")

#: An agent that has just begun may ask before its node's record of it is known everywhere.
_KNOWN_WITHIN_S = 3.0
_AGAIN_S = 0.1
_MOST_KNOWN = 10_000


class KnownSenders:
    """Says which verified senders are accepted; whom it knows once it asks for no more.

    A user is one process and never another's, so what is known of it stays true.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[str, str] = {}

    async def accept(self, sender: SenderInfo | None) -> bool:
        """Whether the name beside a proved key is that key's. No name claims nothing."""
        if sender is None:
            return False
        name, user = sender.name, sender.header.user if sender.header else ""
        if name is None:
            return True
        if self._known.get(user) != name:
            try:
                async with asyncio.timeout(_KNOWN_WITHIN_S):
                    await self._learn(user)
            except TimeoutError:
                log.warning("a prompt is refused: nobody knows the key that says it is %s", name)
                return False
        return self._known.get(user) == name

    async def _learn(self, user: str) -> None:
        while True:
            try:
                reply = await call(
                    self._bus,
                    subjects.AGENTS_RESOLVE,
                    ResolveRequest(user=user, any_state=True),
                    ResolveReply,
                )
            except SparkplugError as error:
                log.debug("who a sender is: %s", error)
            else:
                found = next((t for t in reply.targets if t.user == user and not t.foreign), None)
                if found is not None:
                    if len(self._known) >= _MOST_KNOWN:
                        self._known.clear()
                    self._known[user] = f"{found.name}/{found.replica}"
                    return
            await asyncio.sleep(_AGAIN_S)
