"""Taking back what agent processes proved themselves with, as soon as they have ended.

Each process has a user of its own, which lives as long as the process. What is to be revoked is
noted on disk first, so that neither a killed daemon nor a server that is away lets it be
forgotten. Where the mesh's server is another host's, that host is asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from sparkplug.bus import subjects
from sparkplug.bus.claims import Account
from sparkplug.bus.connection import Bus
from sparkplug.bus.jwt import is_public_key
from sparkplug.bus.service import Services, call
from sparkplug.schema.errors import InvalidError, SparkplugError
from sparkplug.schema.mesh import MAX_REVOKED, RevokeRequest
from sparkplug.schema.node import Nothing

log = logging.getLogger(__name__)

_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0

Revoke = Callable[[tuple[str, ...]], Awaitable[None]]


class Revocations:
    """The users to revoke, kept as empty files by their public keys until it is done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._users = {p.name for p in folder.iterdir() if is_public_key(p.name, "user")}
        self._wake = asyncio.Event()

    @property
    def pending(self) -> int:
        """How many users are still to be revoked."""
        return len(self._users)

    def add(self, user: str) -> None:
        """Have a user revoked: nobody may use it from now on. Empty is nobody's."""
        if not user:
            return
        (self._folder / user).touch(mode=0o600)
        self._users.add(user)
        self._wake.set()

    async def run(self, revoke: Revoke) -> None:
        """Revoke what there is, for ever; what fails is tried again."""
        pause = _PAUSE_S
        while True:
            self._wake.clear()
            some = tuple(sorted(self._users)[:MAX_REVOKED])
            if not some:
                await self._wake.wait()
                continue
            try:
                await revoke(some)
            except SparkplugError as error:
                log.info("%d users are not revoked yet: %s", len(self._users), error)
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE_S, pause * 2)
                continue
            pause = _PAUSE_S
            self._users.difference_update(some)
            await asyncio.to_thread(self._forget, some)

    def _forget(self, users: Iterable[str]) -> None:
        for user in users:
            (self._folder / user).unlink(missing_ok=True)


def by_account(account: Account) -> Revoke:
    """Revoking on the host whose private server it is."""

    async def revoke(users: tuple[str, ...]) -> None:
        await account.change(lambda claims: claims.with_ended(*users))

    return revoke


def by_mesh(bus: Bus) -> Revoke:
    """Revoking from another host of the mesh: the one with the account's key is asked."""

    async def revoke(users: tuple[str, ...]) -> None:
        await call(bus, subjects.MESH_REVOKE, RevokeRequest(users=list(users)), Nothing)

    return revoke


async def serve_revocation(services: Services, account: Account) -> None:
    """Answer the nodes of other hosts that revoke users of theirs."""
    own = by_account(account)

    async def revoke(request: RevokeRequest) -> Nothing:
        if not all(is_public_key(user, "user") for user in request.users):
            # The server would choke on it: it would be in the account's claims.
            raise InvalidError("that is not the public key of a user")
        await own(tuple(request.users))
        return Nothing()

    await services.serve(subjects.MESH_REVOKE, RevokeRequest, revoke)
