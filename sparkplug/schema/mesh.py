"""A mesh of several hosts: where it listens, who was invited, who is in it."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import zlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, ValidationError

from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.errors import InvalidError

#: Addresses that stand for all of a host's.
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  what an operator asks for by name
_TOKEN_MARK = "spk1."  # noqa: S105  what every token begins with
_MOST_TOKEN = 16 << 10
_NATS_URL = re.compile(r"(nats|tls|ws|wss)://[^\s/,]+/?")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")

#: The name of a node or a face, as it stands in subjects and keys.
MemberName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.=@-]{0,126}$")]
PublicUser = Annotated[str, StringConstraints(pattern=r"^U[A-Z2-7]{55}$")]
PublicAccount = Annotated[str, StringConstraints(pattern=r"^A[A-Z2-7]{55}$")]


def parse_address(text: str) -> tuple[str, int]:
    """`host`, `host:port`, `[v6]:port` as host and port (0: none given). Raises ValueError."""
    host, port = text.strip(), ""
    if host.startswith("["):
        host, closed, rest = host[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"expected [ADDRESS]:PORT, not {text!r}")
        port = rest[1:]
        ipaddress.IPv6Address(host)
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if port and not (port.isdecimal() and 0 < int(port) <= 65535):
        raise ValueError(f"a port is a number from 1 to 65535, not {port!r}")
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError as error:
        if not _HOST.fullmatch(host):
            raise ValueError(f"expected an address or a host's name, not {text!r}") from error
    return host, int(port or 0)


def parse_addresses(text: str) -> list[tuple[str, int]]:
    """Several of them, with commas between. Raises ValueError."""
    return [parse_address(part) for part in text.split(",") if part.strip()]


def check_nats_urls(value: str) -> str:
    """NATS URLs with commas between, as they are. Raises ValueError where one is none."""
    for url in value.split(","):
        if not _NATS_URL.fullmatch(url.strip()):
            raise ValueError("expected a NATS URL, like nats://host:4222")
        try:
            parts = urlsplit(url.strip())
            whole = bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise ValueError(f"not a NATS URL: {error}") from error
        if not whole:
            raise ValueError("a NATS URL names a host, and a port above 0: nats://host:4222")
    return value


class MemberKind(StrEnum):
    """What somebody who was let in is: a node with agents, or a face that only looks and asks."""

    NODE = "node"
    FACE = "face"


class Invite(Record):
    """An invitation, in the bucket `sparkplug-mesh`. The secret itself is only in the token."""

    id: str
    kind: MemberKind = MemberKind.NODE
    secret_sha256: str = Field(repr=False)
    left: int = Field(1, description="how many may still come")
    created: datetime = Field(default_factory=utc_now)
    created_by: str = ""
    expires: datetime


class Member(Record):
    """Who was let into the mesh, in the bucket `sparkplug-mesh`."""

    name: MemberName
    kind: MemberKind = MemberKind.NODE
    user: PublicUser
    signing_key: str = ""
    joined: datetime = Field(default_factory=utc_now)
    invited_by: str = ""
    version: str = ""


class ListenRequest(Record):
    """Asks a node to let other hosts reach its server, or none any more (`listen` empty)."""

    listen: str = Field("", max_length=300)
    advertise: str = Field("", max_length=2000)
    name: str = Field("", max_length=63)


class ListenReply(Record):
    """Where the server will be reached; `changed` when it starts again for it."""

    url: str
    changed: bool


class InviteRequest(Record):
    """Asks the mesh's host for an invitation. `ttl` in seconds."""

    kind: MemberKind = MemberKind.NODE
    ttl: float = Field(3600.0, gt=0, le=30 * 86400.0)
    hosts: int = Field(1, ge=1, le=1000)
    actor: str = Field("", max_length=200)


class InviteReply(Record):
    """The token to hand over."""

    id: str
    token: str = Field(repr=False)
    expires: datetime


class RedeemRequest(Record):
    """Asks to be let in: the token's secret, and the public halves of keys made for this."""

    invite: str = Field(max_length=64)
    secret: str = Field(max_length=128, repr=False)
    kind: MemberKind = MemberKind.NODE
    name: MemberName
    user: PublicUser
    signing_key: PublicAccount | None = None
    version: str = Field("", max_length=64)


class RedeemReply(Record):
    """What lets the new member in: the JWT of its user, and what it is to know of the mesh."""

    mesh: str
    host: str = Field(description="the node that runs the server")
    account: str = Field(description="public key of the account")
    jwt: str = Field(repr=False)
    advertise: list[str] = Field(default_factory=list, description="URLs, beside the one in use")
    version: str = ""


#: The most users in one request to revoke.
MAX_REVOKED = 1000


class RevokeRequest(Record):
    """Asks that users are refused from now on: a node's agents whose processes have ended."""

    users: list[str] = Field(max_length=MAX_REVOKED, description="public keys")


class ExpelRequest(Record):
    """Asks that a member is shut out."""

    name: MemberName
    actor: str = Field("", max_length=200)
    leaving: bool = Field(False, description="it asks itself, and is told before it is cut off")


class ExpelReply(Record):
    """Who was."""

    member: Member


class JoinToken(Record):
    """What a token holds: where the mesh is, whom to trust, and the right to ask once."""

    mesh: str
    kind: MemberKind = MemberKind.NODE
    urls: list[str] = Field(min_length=1, max_length=32)
    ca: str = Field(description="the authority's certificate, DER in base64")
    jwt: str = Field(repr=False)
    seed: str = Field(repr=False)
    invite: str
    secret: str = Field(repr=False)
    expires: datetime

    def encode(self) -> str:
        """One line of text to hand over."""
        data = zlib.compress(self.model_dump_json().encode(), 9)
        check = zlib.crc32(data).to_bytes(4, "big")
        return _TOKEN_MARK + base64.urlsafe_b64encode(check + data).rstrip(b"=").decode()

    @property
    def ca_pem(self) -> str:
        """The authority's certificate in PEM form."""
        lines = [self.ca[n : n + 64] for n in range(0, len(self.ca), 64)]
        return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def looks_like_token(text: str) -> bool:
    """Whether somebody meant this to be a token."""
    return text.strip().startswith(_TOKEN_MARK)


def decode_token(text: str, now: datetime | None = None) -> JoinToken:
    """The token that `text` is. Raises InvalidError saying what is wrong with it."""
    hint = "`sparkplug mesh invite` on a host of the mesh makes one; copy all of its one line"
    # A terminal that wraps a long line may put breaks into what is copied.
    compact = "".join(text.split())
    if not compact.startswith(_TOKEN_MARK):
        raise InvalidError(f"that is no token: one begins with {_TOKEN_MARK}", hint=hint)
    body = compact.removeprefix(_TOKEN_MARK)
    if len(body) > _MOST_TOKEN:
        raise InvalidError("that is no token: it is far too long", hint=hint)
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        if len(raw) < 5 or zlib.crc32(raw[4:]).to_bytes(4, "big") != raw[:4]:
            raise ValueError("checksum")
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(raw[4:], 4 * _MOST_TOKEN)
        token = JoinToken.model_validate_json(data)
        base64.b64decode(token.ca, validate=True)
    except ValidationError as error:
        raise InvalidError(
            "the token does not hold what this release looks for",
            hint=f"is the mesh of another release? {hint}",
        ) from error
    except (ValueError, binascii.Error, zlib.error) as error:
        raise InvalidError("the token is garbled: a part of it is missing", hint=hint) from error
    if (now or utc_now()) >= token.expires:
        raise InvalidError(
            f"the token expired at {token.expires.isoformat(timespec='seconds')}", hint=hint
        )
    return token
