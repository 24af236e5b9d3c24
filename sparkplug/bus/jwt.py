"""Minting NATS JWTs: operator, account and user claims signed with nkeys.

The form is NATS's decentralised authentication, version 2 claims:
https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt
and github.com/nats-io/jwt (v2).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import nkeys

Kind = Literal["operator", "account", "user"]

_PREFIX: dict[Kind, int] = {
    "operator": nkeys.PREFIX_BYTE_OPERATOR,
    "account": nkeys.PREFIX_BYTE_ACCOUNT,
    "user": nkeys.PREFIX_BYTE_USER,
}
_UNLIMITED = -1


def create_seed(kind: Kind) -> str:
    """A fresh nkey seed of that kind, as text (`SO…`, `SA…`, `SU…`)."""
    return bytes(nkeys.encode_seed(secrets.token_bytes(32), _PREFIX[kind])).decode()


def public_key(seed: str) -> str:
    """The public nkey of a seed."""
    return str(nkeys.from_seed(seed.encode()).public_key.decode())


def is_public_key(text: str, kind: Kind) -> bool:
    """Whether `text` is a public nkey of that kind, its checksum included.

    Source: github.com/nats-io/nkeys, strkey.go: prefix, 32 bytes, CRC-16, in base32.
    """
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        return False
    if len(raw) != 35 or raw[0] != _PREFIX[kind]:
        return False
    return bool(nkeys.crc16(raw[:-2]) == int.from_bytes(raw[-2:], "little"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _sign(claims: dict[str, Any], issuer_seed: str) -> str:
    """Claims as a signed JWT; `jti` is the hash of the claims, as the nats tools make it."""
    body = json.dumps(claims, separators=(",", ":"), sort_keys=True).encode()
    claims["jti"] = base64.b32encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
    header = _encode(b'{"typ":"JWT","alg":"ed25519-nkey"}')
    payload = _encode(json.dumps(claims, separators=(",", ":")).encode())
    signature = nkeys.from_seed(issuer_seed.encode()).sign(f"{header}.{payload}".encode())
    return f"{header}.{payload}.{_encode(bytes(signature))}"


def _claims(name: str, subject: str, issuer_seed: str, nats: dict[str, Any]) -> dict[str, Any]:
    return {
        "iat": int(time.time()),
        "iss": public_key(issuer_seed),
        "name": name,
        "sub": subject,
        "nats": {**nats, "version": 2},
    }


def operator_jwt(name: str, seed: str, system_account: str) -> str:
    """The operator's own JWT, naming the account that may see the server's internals."""
    nats = {"type": "operator", "system_account": system_account}
    return _sign(_claims(name, public_key(seed), seed, nats), seed)


def account_jwt(
    name: str,
    account: str,
    operator_seed: str,
    *,
    jetstream: bool,
    signing_keys: Sequence[str | Mapping[str, Any]] = (),
    revocations: Mapping[str, int] | None = None,
) -> str:
    """An account's JWT. With `jetstream` it may use all the storage the server is given.

    `signing_keys` are public account keys that may sign its users beside its own, or scopes
    that say what users of such a key may do (`kind`, `key`, `role`, `template`). A user named
    in `revocations` is refused when its JWT was issued at that time (Unix seconds) or before.
    """
    limits: dict[str, Any] = dict.fromkeys(
        ("subs", "data", "payload", "imports", "exports", "conn", "leaf"), _UNLIMITED
    )
    limits["wildcards"] = True
    if jetstream:
        limits |= dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), _UNLIMITED)
    nats: dict[str, Any] = {"type": "account", "limits": limits}
    if signing_keys:
        nats["signing_keys"] = list(signing_keys)
    if revocations:
        nats["revocations"] = dict(revocations)
    return _sign(_claims(name, account, operator_seed, nats), operator_seed)


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects a user may publish and subscribe to; empty lists mean all of them.

    With `replies` it may answer any request it receives, for as long as the answer streams.
    """

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    replies: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a process proves itself to the server with."""

    jwt: str = field(repr=False)
    seed: str = field(repr=False)

    def as_creds_file(self) -> str:
        """The `.creds` form that every stock NATS client reads."""
        return (
            f"-----BEGIN NATS USER JWT-----\n{self.jwt}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            "NKEY Seed printed below can be used to sign and prove identity.\n"
            "NKEYs are sensitive and should be treated as secrets.\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{self.seed}\n------END USER NKEY SEED------\n\n"
            "*************************************************************\n"
        )


def user_jwt(
    name: str,
    user: str,
    issuer_seed: str,
    permissions: Permissions,
    *,
    account: str = "",
    expires: int = 0,
    tags: Sequence[str] = (),
    scoped: bool = False,
) -> str:
    """The JWT of a user whose public key is `user`, signed by an account or its signing key.

    `account` is the account's public key when a signing key signs. `expires` is in Unix
    seconds, 0 for never. With `scoped` the key's own template says what the user may do (from
    its name and `tags`), so the JWT says nothing of it: the server refuses one that does.
    """
    nats: dict[str, Any] = {"type": "user"}
    if not scoped:
        nats |= {
            "pub": {"allow": list(permissions.publish)} if permissions.publish else {},
            "sub": {"allow": list(permissions.subscribe)} if permissions.subscribe else {},
            "subs": _UNLIMITED,
            "data": _UNLIMITED,
            "payload": _UNLIMITED,
        }
        if permissions.replies:
            nats["resp"] = {"max": _UNLIMITED, "ttl": _UNLIMITED}
    if account:
        nats["issuer_account"] = account
    if tags:
        nats["tags"] = list(tags)
    claims = _claims(name, user, issuer_seed, nats)
    if expires:
        claims["exp"] = expires
    return _sign(claims, issuer_seed)


def user_credentials(
    name: str,
    issuer_seed: str,
    permissions: Permissions,
    *,
    account: str = "",
    expires: int = 0,
    tags: Sequence[str] = (),
    scoped: bool = False,
) -> Credentials:
    """A new user of an account, signed by it: nothing needs reloading for it to connect."""
    seed = create_seed("user")
    signed = user_jwt(
        name,
        public_key(seed),
        issuer_seed,
        permissions,
        account=account,
        expires=expires,
        tags=tags,
        scoped=scoped,
    )
    return Credentials(signed, seed)


def read_claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, its signature not checked. Raises ValueError when it holds none."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a JWT")
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    if not isinstance(claims, dict):
        raise ValueError("not a JWT")
    return claims


def read_creds_file(text: str) -> Credentials:
    """Credentials from the `.creds` form. Raises ValueError when a part is missing."""
    lines = [line.strip() for line in text.splitlines()]

    def after(marker: str) -> str:
        for number, line in enumerate(lines[:-1]):
            if marker in line:
                return lines[number + 1]
        raise ValueError(f"no {marker} block")

    return Credentials(after("BEGIN NATS USER JWT"), after("BEGIN USER NKEY SEED"))
