"""Whose vote it is: by the key that signed it, and by what the proposal calls its voters."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sparkplug.bus.senders import Signed, proved_sender
from sparkplug.schema.decision import HUMAN, DecisionState, DecisionView
from sparkplug.schema.errors import RefusedError

#: An agent that has just begun may vote before what its node wrote of it is known everywhere.
_KNOWN_WITHIN_S = 3.0
_AGAIN_S = 0.1
#: The window in which a signature may arrive (SDK) with room for both ends of it.
_REMEMBERED_S = 90.0
_MOST_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a request: the user of its signature, and the agent/replica or human:NAME it is.

    `user` is empty where nobody signed, which a mesh without users of its own allows.
    """

    name: str
    user: str = ""


class Voters:
    """Tells who signed. `named` gives the agent/replica whose process is a user, `user_of` the
    user of an agent/replica (None: it has none)."""

    def __init__(
        self, named: Callable[[str], str | None], user_of: Callable[[str], str | None]
    ) -> None:
        self._named = named
        self._user_of = user_of
        self._nonces: OrderedDict[tuple[str, str], float] = OrderedDict()

    def _seen(self, user: str, nonce: str, /) -> bool:
        """Whether this signature was used before."""
        return (user, nonce) in self._nonces

    def _remember(self, user: str, nonce: str) -> None:
        now = time.monotonic()
        while self._nonces:
            key, at = next(iter(self._nonces.items()))
            if now - at < _REMEMBERED_S and len(self._nonces) < _MOST_REMEMBERED:
                break
            del self._nonces[key]
        self._nonces[user, nonce] = now

    async def identify(self, message: Signed, claimed: str) -> Identity:
        """Who sent a message; `claimed` is the person it says it is, where that cannot be proved.

        Raises RefusedError for a signature that does not hold, or a name that is another's.
        """
        proved = proved_sender(message, self._seen)
        if proved is None:
            return self._unsigned(claimed)
        user, name, nonce = proved
        self._remember(user, nonce)
        actual = self._named(user)
        if actual is None and name is not None:
            actual = await self._learn(user)
        if actual is not None:
            if name is not None and name != actual:
                raise RefusedError(f"it calls itself {name} and its key is that of {actual}")
            return Identity(actual, user)
        if name is not None:
            if self._user_of(name) is not None:
                raise RefusedError(f"it calls itself {name}, and its key is another")
            # One user for all: the mesh has no way to tell its agents apart.
            return Identity(name, "")
        # The key of a face is that of all of them: that it is a face's is what it proves.
        return Identity(f"{HUMAN}:{claimed or 'somebody'}", user)

    async def _learn(self, user: str) -> str | None:
        until = time.monotonic() + _KNOWN_WITHIN_S
        while time.monotonic() < until:
            actual = self._named(user)
            if actual is not None:
                return actual
            await asyncio.sleep(_AGAIN_S)
        return None

    def _unsigned(self, claimed: str) -> Identity:
        if "/" in claimed and self._user_of(claimed) is not None:
            raise RefusedError(f"{claimed} signs what it sends, and this is not signed")
        return Identity(claimed if "/" in claimed else f"{HUMAN}:{claimed or 'somebody'}")


def voter_for(view: DecisionView, who: Identity) -> str:
    """The voter of the proposal that a sender is. Raises RefusedError when it is none of them."""
    agent = who.name.partition("/")[0]
    human = who.name.startswith(f"{HUMAN}:")
    names = (who.name, HUMAN) if human else (who.name, agent)
    if view.state is DecisionState.HUMAN:
        if human:
            return who.name
        raise RefusedError("a person is asked to settle it now", where=view.id)
    if view.state is DecisionState.ARBITER:
        if view.proposal.arbiter in names:
            return str(view.proposal.arbiter)
        raise RefusedError(f"{view.proposal.arbiter} is asked to settle it now", where=view.id)
    if not view.proposal.voters:
        return who.name if human else agent
    for name in names:
        if name in view.proposal.voters:
            return name
    raise RefusedError(f"{who.name} is none of its voters", where=view.id)
