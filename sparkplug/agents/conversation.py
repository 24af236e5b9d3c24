"""The turns of a conversation, kept for agents that keep no state of their own.

One message a thread on the mesh, under the agent's own name: the next process has it, on this
host or another.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from pydantic import Field, ValidationError

from sparkplug.bus.connection import Bus
from sparkplug.bus.kept import Kept, kept_token, pack, unpack
from sparkplug.schema.base import Record

#: Turns that are kept, and characters of all of them: the oldest go first.
_MOST_TURNS = 100
_MOST_CHARACTERS = 200_000


class Turn(Record):
    """One side's word: `user` or `assistant`."""

    role: str
    content: str


class _Turns(Record):
    turns: list[Turn] = Field(default_factory=list)


class Conversations:
    """What one agent said with whom, by thread."""

    def __init__(self, bus: Bus, agent: str) -> None:
        self._kept = Kept(bus, agent)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self, thread: str) -> list[Turn]:
        """The turns of a thread, the oldest first; empty for none."""
        data = await self._kept.get(_name(thread)) if thread else None
        if data is None:
            return []
        try:
            _, (body,) = unpack(data)
            return _Turns.model_validate_json(body).turns
        except (ValueError, ValidationError):
            return []

    async def add(self, thread: str, question: str, answer: str) -> None:
        """One more question and its answer."""
        lock = self._locks.get(thread)
        if lock is None:
            lock = self._locks[thread] = asyncio.Lock()
        async with lock:
            turns = await self.read(thread)
            turns += [
                Turn(role="user", content=question),
                Turn(role="assistant", content=answer),
            ]
            turns = turns[-_MOST_TURNS:]
            while len(turns) > 2 and sum(len(one.content) for one in turns) > _MOST_CHARACTERS:
                turns = turns[2:]
            body = _Turns(turns=turns).model_dump_json().encode()
            await self._kept.put(_name(thread), pack({"v": 1}, body))


def _name(thread: str) -> str:
    return f"{kept_token(thread)}.{kept_token('')}.t.turns"
