"""Who mints the users of this node's agents: the account itself, or a signing key of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sparkplug.bus import jwt, subjects
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.jwt import Credentials, Permissions
from sparkplug.bus.keys import MeshKeys
from sparkplug.schema.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Signer:
    """A seed that may sign users of an account.

    With `scoped` the key carries a template of what its users may do: they are told apart by
    their tags alone, and what they ask for is not said.
    """

    account: str
    seed: str = field(repr=False)
    scoped: bool = False

    def user(
        self, name: str, permissions: Permissions, tags: Mapping[str, str] | None = None
    ) -> Credentials:
        """A new user of the account."""
        own = jwt.public_key(self.seed) == self.account
        return jwt.user_credentials(
            name,
            self.seed,
            permissions,
            account="" if own else self.account,
            tags=[f"{key}:{value}" for key, value in (tags or {}).items()] if self.scoped else (),
            scoped=self.scoped,
        )


def own_signer(keys: MeshKeys) -> Signer:
    """The signer of a private server's own host."""
    return Signer(keys.account, keys.account_seed)


def read_signer(path: Path, credentials: Credentials | None) -> Signer:
    """The signer of a signing key's file, for the account that `credentials` belong to.

    Raises RefusedError when the file can be read by others or holds no account seed, or when
    nothing says whose account it is.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise RefusedError(
                "the signing key can be read by others", where=str(path), hint=f"chmod 600 {path}"
            )
        text = path.read_text(errors="replace")
    except OSError as error:
        raise RefusedError(
            f"cannot read the signing key: {error.strerror or error}", where=str(path)
        ) from error
    seed = next((word for word in text.split() if word.startswith("SA")), "")
    if credentials is None:
        raise RefusedError(
            "nats.signing_key needs nats.creds, which say whose account it signs for",
            where=str(path),
        )
    try:
        jwt.public_key(seed)
        claims = jwt.read_claims(credentials.jwt)
        account = claims.get("nats", {}).get("issuer_account") or claims["iss"]
    except Exception as error:  # nkeys raises kinds of its own for each way a seed is wrong
        raise RefusedError(
            "that is not the seed of an account's signing key (SA…)", where=str(path)
        ) from error
    return Signer(str(account), seed)


async def tried(signer: Signer, bus: Bus, where: str) -> Signer:
    """The signer as the server takes it: with a template of its own, or without.

    `bus` says which server. Raises RefusedError when it takes neither.
    """
    inbox = subjects.inbox("probe", "signer")
    refused: RefusedError | None = None
    for found in (signer, replace(signer, scoped=True)):
        tags = {"agent": "probe", "owner": "probe", "replica": "0"}
        credentials = found.user("probe", Permissions(subscribe=(f"{inbox}.>",)), tags)
        try:
            probe = await connect(
                bus.url,
                name="signing key probe",
                inbox_prefix=inbox,
                credentials=credentials,
                ca=bus.ca,
                record=bus.record,
            )
        except RefusedError as error:
            refused = error
            continue
        await probe.close()
        return found
    raise RefusedError(
        "the NATS server does not take users of that signing key",
        where=where,
        hint="is it a signing key of the account of nats.creds, and was the account pushed?",
    ) from refused
