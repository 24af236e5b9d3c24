"""Who sent a prompt: the protocol's `Agent-Sender` header, held against what the mesh knows.

A signature proves the key, never the name beside it: that is checked against the process whose
user the key is. Source: Synadia Agent Protocol, section 13 (sender identity).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from nats.aio.client import Client
from synadia_ai.agents import Identity
from synadia_ai.agents.errors import (
    IdentityError,
    MalformedSenderHeaderError,
    SenderVerificationError,
)
from synadia_ai.agents.identity import (
    AGENT_SENDER_HEADER,
    AgentId,
    SenderSigner,
    options,
    signer_from_seed,
    verify_sender,
)
from synadia_ai.agents.identity.self_id import lookup_self_id
from synadia_ai.agents.identity.sender_header import serialize_sender_header
from synadia_ai.agents.identity.signed_publish import signed_sender_header
from synadia_ai.agents.identity.signer import identity_from_jwt

from sparkplug.bus.connection import Bus
from sparkplug.bus.jwt import Credentials
from sparkplug.schema.errors import RefusedError


class Signed(Protocol):
    """A message, as nats-py has it or as it was heard: what a signature is of."""

    @property
    def subject(self) -> str:
        """Where it came."""
        ...

    @property
    def data(self) -> bytes:
        """What it says."""
        ...

    @property
    def headers(self) -> Mapping[str, str] | None:
        """Its headers."""
        ...


#: Characters of a name in the header, by the protocol.
_LONGEST_NAME = 64


async def _known_id(nc: Client, *, signer: SenderSigner | None = None) -> AgentId:
    """Who this connection is, by the JWT it was opened with: a user's key never changes.

    The SDK asks the server each time ($SYS.REQ.USER.INFO); agents have no leave to ask it.
    """
    if signer is None or signer.jwt is None:
        return await lookup_self_id(nc, signer=signer)
    return identity_from_jwt(signer.jwt)


options.lookup_self_id = _known_id  # type: ignore[attr-defined, assignment]


def sender_identity(connection: str, credentials: Credentials | None) -> Identity | None:
    """What a connection of that name signs its prompts with; None without credentials.

    Only agents give a name, as agent/replica: of all others the key says all that can be proved.
    """
    if credentials is None:
        return None
    kind, _, name = connection.partition(" ")
    shown = name if kind == "agent" and len(name) <= _LONGEST_NAME else None
    try:
        signer = signer_from_seed(credentials.seed, credentials.jwt)
    except IdentityError:
        return None
    return Identity(signer=signer, name=shown)


async def signed_headers(bus: Bus, subject: str, body: bytes) -> dict[str, str] | None:
    """The header that proves who sends a body to a subject; None where there is no key to sign
    with. Raises RefusedError when the key cannot sign."""
    identity = sender_identity(bus.name, bus.credentials)
    if identity is None:
        return None
    try:
        header = await signed_sender_header(identity, bus.nc, subject, body)
    except IdentityError as error:
        raise RefusedError(f"the request cannot be signed: {error}") from error
    return {AGENT_SENDER_HEADER: serialize_sender_header(header)}


class Proved(NamedTuple):
    """The user whose key signed a message, the name it gives, and the number it used once."""

    user: str
    name: str | None
    nonce: str


def proved_sender(message: Signed, seen: Callable[[str, str], bool] | None = None) -> Proved | None:
    """Who signed a message; None when nobody did.

    `seen` says whether a user's number used once was there before. Raises RefusedError for a
    signature that does not hold, is too old, or was there before.
    """
    if not message.headers or AGENT_SENDER_HEADER not in message.headers:
        return None
    try:
        sender = verify_sender(message, "live", nonce_seen=seen)
    except (MalformedSenderHeaderError, SenderVerificationError) as error:
        why = str(getattr(error, "detail", "") or error)
        raise RefusedError(f"the signature does not hold: {why}") from error
    if sender is None or sender.header is None or sender.header.sig is None:
        return None
    return Proved(sender.header.user, sender.name, sender.header.nonce or "")


def why_forged(
    message: Signed,
    via: str,
    named: Callable[[str], str | None],
    user_of: Callable[[str], str | None],
) -> str | None:
    """Why the sender that a prompt's header names did not send it; None when nothing speaks for it.

    `via` is the agent whose inbox the answer goes to, empty when it is no agent's. `named` gives
    the agent/replica whose process a user is, `user_of` the user of an agent/replica.
    """
    if not message.headers or AGENT_SENDER_HEADER not in message.headers:
        return None
    try:
        sender = verify_sender(message, "live")
    except (MalformedSenderHeaderError, SenderVerificationError) as error:
        return str(getattr(error, "detail", "") or error)
    if sender is None or sender.header is None:
        return None
    user, name = sender.header.user, sender.name
    actual = named(user)
    if actual is not None:
        if name is not None and name != actual:
            return f"it calls itself {name} and its key is that of {actual}"
        if via and via != actual.partition("/")[0]:
            return f"its key is that of {actual} and the answer goes to {via}"
    elif name is not None and (user_of(name) or user) != user:
        return f"it calls itself {name} and its key is another"
    return None
