"""What the owner's account says of its users: who may sign them, and which are revoked.

Kept on the host of the private server (`nats/account.json`) and pushed to the server over its
system account, `$SYS.REQ.CLAIMS.UPDATE`: nothing restarts, and who lost its right is disconnected
at once. The file is the truth, the server is told of it again whenever it starts.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import nats.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.keys import MeshKeys
from sparkplug.paths import write_private
from sparkplug.schema.errors import NoMeshError, RefusedError, SparkplugError

log = logging.getLogger(__name__)

ACCOUNT_FILE = "account.json"
_UPDATE = "$SYS.REQ.CLAIMS.UPDATE"
_PUSH_DEADLINE_S = 5.0
_MOST_ENDED = 500


@dataclass(frozen=True, slots=True)
class AccountClaims:
    """`signing_keys` by the name of the node that holds them; `revocations` by public user key.

    A revocation's value is a time in Unix seconds: JWTs of that user issued by then are refused.
    """

    signing_keys: dict[str, str] = field(default_factory=dict)
    revocations: dict[str, int] = field(default_factory=dict)
    #: Users of agents' processes that have ended; of these only the newest are kept.
    ended: dict[str, int] = field(default_factory=dict)

    @property
    def refused(self) -> dict[str, int]:
        """All users whose JWTs are refused, and until when they were issued."""
        return {**self.ended, **self.revocations}

    def with_ended(self, *users: str) -> AccountClaims:
        """These, and the users of processes that have ended are refused from now on.

        Their seeds were in memory that is gone: of very many the oldest are forgotten, which keeps
        the account's JWT small.
        """
        now = int(time.time())
        ended = {**self.ended, **dict.fromkeys(users, now)}
        return replace(self, ended=dict(list(ended.items())[-_MOST_ENDED:]))

    def with_signing_key(self, node: str, public: str) -> AccountClaims:
        """These, and `node` may sign users with the key of that public key."""
        return replace(self, signing_keys={**self.signing_keys, node: public})

    def without_signing_key(self, node: str) -> AccountClaims:
        """These, and whatever `node` signed counts no more."""
        kept = {name: key for name, key in self.signing_keys.items() if name != node}
        return replace(self, signing_keys=kept)

    def with_revoked(self, *users: str) -> AccountClaims:
        """These, and the users of these public keys are refused from now on."""
        now = int(time.time())
        return replace(self, revocations={**self.revocations, **dict.fromkeys(users, now)})

    def without_revoked(self, *users: str) -> AccountClaims:
        """These, with some revocations forgotten: of users that nobody holds the seed of."""
        kept = {user: at for user, at in self.revocations.items() if user not in users}
        return replace(self, revocations=kept)


def read_claims(folder: Path) -> AccountClaims:
    """The claims on disk, empty when none were written. Raises RefusedError for a broken file."""
    path = folder / ACCOUNT_FILE
    try:
        data = json.loads(path.read_text())
        return AccountClaims(
            {str(name): str(key) for name, key in data.get("signing_keys", {}).items()},
            {str(user): int(at) for user, at in data.get("revocations", {}).items()},
            {str(user): int(at) for user, at in data.get("ended", {}).items()},
        )
    except FileNotFoundError:
        return AccountClaims()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        # Going on without it would let in again who was shut out.
        raise RefusedError(
            f"what the mesh's account says of its users cannot be read: {error}",
            where=str(path),
            hint="restore the file from a backup",
        ) from error


def account_jwts(keys: MeshKeys, folder: Path) -> dict[str, str]:
    """Account JWTs by public key, as the server preloads them."""
    claims = read_claims(folder)
    owner = keys.account_jwt(sorted(claims.signing_keys.values()), claims.refused)
    return {keys.system_account: keys.system_jwt(), keys.account: owner}


async def push_account(keys: MeshKeys, claims: AccountClaims, bus: Bus) -> None:
    """Give the server the account as it is to be; `bus` says where the server is.

    The push goes over a connection of its own, as a user of the system account. Raises
    NoMeshError when the server is away, SparkplugError when it refuses.
    """
    told = keys.account_jwt(sorted(claims.signing_keys.values()), claims.refused)
    system = await connect(
        bus.url,
        name="claims",
        inbox_prefix=subjects.inbox("claims", keys.account[:8]),
        credentials=keys.system_user("claims"),
        ca=bus.ca,
        record=bus.record,
        deadline=_PUSH_DEADLINE_S,
    )
    try:
        answer = await system.nc.request(_UPDATE, told.encode(), timeout=_PUSH_DEADLINE_S)
        data = json.loads(answer.data).get("data") or {}
        if data.get("code") != 200:
            raise SparkplugError(
                f"the server does not take the account's claims: {answer.data[:300].decode()}"
            )
    except (TimeoutError, nats.errors.Error, ValueError) as error:
        raise SparkplugError(
            f"the server did not answer to the account's claims: {error or 'no answer in time'}"
        ) from error
    finally:
        await system.close()


class Account:
    """The account of a private server, changed one change at a time. For the daemon that owns it.

    `bus` is a connection to that server; it says where the server is now.
    """

    def __init__(self, keys: MeshKeys, folder: Path, bus: Bus) -> None:
        self._keys = keys
        self._folder = folder
        self._bus = bus
        self._one_at_a_time = asyncio.Lock()

    async def change(self, change: Callable[[AccountClaims], AccountClaims]) -> AccountClaims:
        """Write the changed claims down and tell the server. Nothing to do costs nothing.

        Once written the change stands: a server that is away is told when it starts.
        """
        async with self._one_at_a_time:
            before = await asyncio.to_thread(read_claims, self._folder)
            after = change(before)
            if after == before:
                return after
            data = json.dumps({"v": 1, **asdict(after)}, indent=1)
            await asyncio.to_thread(write_private, self._folder / ACCOUNT_FILE, data)
            try:
                await push_account(self._keys, after, self._bus)
            except NoMeshError as error:
                log.info("the account's claims are told when the server is back: %s", error)
            return after

    async def push(self) -> None:
        """Tell a server that was taken over: its configuration may be older than the claims."""
        async with self._one_at_a_time:
            claims = await asyncio.to_thread(read_claims, self._folder)
            await push_account(self._keys, claims, self._bus)
