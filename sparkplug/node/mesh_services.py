"""The mesh's own affairs: where its server listens, who is invited, let in and shut out.

Served by the node whose private server it is: it alone holds the account's seed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import secrets
import ssl
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sparkplug import __version__
from sparkplug.bus import jwt, subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.certificates import Certificates, host_addresses
from sparkplug.bus.claims import Account
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.jwt import Permissions
from sparkplug.bus.keys import MeshKeys
from sparkplug.bus.server import free_port, require_free
from sparkplug.bus.server_record import server_url
from sparkplug.bus.service import Services
from sparkplug.config import Settings, load_settings, read_mesh_settings, write_mesh_settings
from sparkplug.node.server_keeper import ServerKeeper, server_settings
from sparkplug.paths import Paths
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    RefusedError,
    SparkplugError,
)
from sparkplug.schema.mesh import (
    WILDCARDS,
    ExpelReply,
    ExpelRequest,
    Invite,
    InviteReply,
    InviteRequest,
    JoinToken,
    ListenReply,
    ListenRequest,
    Member,
    MemberKind,
    RedeemReply,
    RedeemRequest,
    parse_address,
    parse_addresses,
)
from sparkplug.schema.problems import did_you_mean

log = logging.getLogger(__name__)

#: For an answer to leave before the server or the asker's connection goes.
_TELL_S = 0.3
_SECRET_BYTES = 16
_EVERYTHING = Permissions()


class MeshServices:
    """What the node of a private server answers about its mesh."""

    def __init__(
        self,
        *,
        bus: Bus,
        settings: Settings,
        paths: Paths,
        keys: MeshKeys,
        account: Account,
        keeper: ServerKeeper,
        events: EventLog,
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._paths = paths
        self._keys = keys
        self._account = account
        self._keeper = keeper
        self._events = events
        self._bucket = Bucket(bus, subjects.BUCKET_MESH)
        self._later: set[asyncio.Task[None]] = set()

    @property
    def _node(self) -> str:
        return self._settings.node.name

    async def serve(self, services: Services) -> None:
        """Answer from now on."""
        listen = subjects.node_service(self._node, "listen")
        await services.serve(listen, ListenRequest, self._listen)
        await services.serve(subjects.MESH_INVITE, InviteRequest, self._invite)
        await services.serve(subjects.MESH_REDEEM, RedeemRequest, self._redeem)
        await services.serve(subjects.MESH_EXPEL, ExpelRequest, self._expel)

    async def _listen(self, request: ListenRequest) -> ListenReply:
        """Change where the server listens. It starts again after the answer has left."""
        home = self._paths.home
        before = await asyncio.to_thread(read_mesh_settings, home)
        after = {**before, "nats.listen": request.listen, "nats.advertise": request.advertise}
        if request.name:
            after["mesh.name"] = request.name
        process = self._keeper.server.process
        if process is None:
            raise ConflictError("the server is starting just now", hint="try again in a moment")
        await asyncio.to_thread(_check_address, request.listen, process.port)
        await asyncio.to_thread(write_mesh_settings, home, after)
        try:
            settings = await asyncio.to_thread(load_settings)
        except SparkplugError:
            await asyncio.to_thread(write_mesh_settings, home, before)
            raise
        wanted = server_settings(settings)
        if wanted == server_settings(self._settings):
            self._settings = settings
            return ListenReply(url=process.url, changed=False)
        old, self._settings = self._settings, settings

        def undo() -> None:
            self._settings = old
            write_mesh_settings(home, before)

        self._soon(lambda: self._keeper.reopen(wanted, undo))
        near = "127.0.0.1" if wanted.listen in WILDCARDS else wanted.listen or "127.0.0.1"
        port = wanted.port or process.port
        return ListenReply(url=server_url(near, port, tls=bool(wanted.listen)), changed=True)

    def _soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it once the answer to the request in hand has left."""

        async def later() -> None:
            await asyncio.sleep(_TELL_S)
            try:
                await work()
            except SparkplugError as error:
                log.error("%s", error)

        task = asyncio.create_task(later(), name="mesh change")
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def _urls(self) -> list[str]:
        """Where other hosts reach the server, the likeliest first. Empty: nowhere."""
        nats = self._settings.nats
        process = self._keeper.server.process
        if not nats.listen or process is None:
            return []
        told = parse_addresses(nats.advertise)
        if told:
            return [server_url(host, port or process.port, tls=True) for host, port in told]
        host, _ = parse_address(nats.listen)
        if host not in WILDCARDS:
            return [server_url(host, process.port, tls=True)]
        loopback = ("127.", "::1", "localhost")
        all_of_them = host_addresses()
        far = [text for text in all_of_them if not text.startswith(loopback)]
        return [server_url(text, process.port, tls=True) for text in far or all_of_them]

    async def _invite(self, request: InviteRequest) -> InviteReply:
        """Make a token. Only its secret's hash is kept."""
        urls = await asyncio.to_thread(self._urls)
        if not urls:
            raise ConflictError(
                "this mesh is one host's alone: nobody could come in",
                hint="`sparkplug mesh init --listen ADDRESS` lets other hosts reach it",
            )
        await self._forget_expired()
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        invite = Invite(
            id=secrets.token_hex(4),
            kind=request.kind,
            secret_sha256=_hash(secret),
            left=request.hosts,
            created_by=request.actor,
            expires=utc_now() + timedelta(seconds=request.ttl),
        )
        await self._bucket.put(_invite_key(invite.id), invite, revision=0)
        # The server itself ends the connection of a token that has expired.
        credentials = jwt.user_credentials(
            f"invite {invite.id}",
            self._keys.account_seed,
            Permissions(
                publish=(subjects.MESH_REDEEM,),
                subscribe=(f"{subjects.inbox('join', invite.id)}.>",),
            ),
            expires=int(invite.expires.timestamp()),
        )
        ca = await asyncio.to_thread(Certificates(self._paths.keys).ca.read_text)
        der = base64.b64encode(ssl.PEM_cert_to_DER_cert(ca)).decode()
        token = JoinToken(
            mesh=self._settings.mesh.name,
            kind=request.kind,
            urls=urls,
            ca=der,
            jwt=credentials.jwt,
            seed=credentials.seed,
            invite=invite.id,
            secret=secret,
            expires=invite.expires,
        )
        self._events.emit(
            "host:invited", self._node, actor=request.actor, data={"invite": invite.id}
        )
        return InviteReply(id=invite.id, token=token.encode(), expires=invite.expires)

    async def _forget_expired(self) -> None:
        invites = await self._bucket.read_all(Invite, "invites.>")
        for key, invite in invites.items():
            if invite.expires < utc_now():
                await self._bucket.delete(key)

    async def _redeem(self, request: RedeemRequest) -> RedeemReply:
        """Let a new member in, once for each that its invitation is for."""
        invite, revision = await self._find_invite(request)
        _check_keys(request)
        await self._refuse_taken(request)
        try:
            used = invite.model_copy(update={"left": invite.left - 1})
            await self._bucket.put(_invite_key(invite.id), used, revision=revision)
        except ConflictError as error:
            raise ConflictError(
                "the invitation was used by somebody else at this moment", hint="try again"
            ) from error
        member = Member(
            name=request.name,
            kind=request.kind,
            user=request.user,
            signing_key=request.signing_key or "",
            invited_by=invite.created_by,
            version=request.version,
        )
        await self._bucket.put(_member_key(member.name), member)
        if member.signing_key:
            key = member.signing_key
            await self._account.change(lambda claims: claims.with_signing_key(member.name, key))
        signed = jwt.user_jwt(
            f"{member.kind} {member.name}", member.user, self._keys.account_seed, _EVERYTHING
        )
        self._events.emit("host:admitted", member.name, data={"kind": str(member.kind)})
        log.info("%s %s is let in", member.kind, member.name)
        advertised = self._urls() if self._settings.nats.advertise else []
        return RedeemReply(
            mesh=self._settings.mesh.name,
            host=self._node,
            account=self._keys.account,
            jwt=signed,
            advertise=advertised,
            version=__version__,
        )

    async def _find_invite(self, request: RedeemRequest) -> tuple[Invite, int]:
        entry = await self._bucket.get(_invite_key(request.invite))
        invite = decode(Invite, entry) if entry else None
        if (
            entry is None
            or invite is None
            or not hmac.compare_digest(_hash(request.secret), invite.secret_sha256)
        ):
            raise InvalidError(
                "this mesh knows no such invitation",
                hint="`sparkplug mesh invite` on a host of the mesh makes a new one",
            )
        if invite.left < 1:
            raise RefusedError(
                "the token was used already; it lets in no other",
                hint="`sparkplug mesh invite` on a host of the mesh makes a new one",
            )
        if invite.expires < utc_now():
            raise InvalidError("the token has expired", hint="ask for a new one")
        if invite.kind is not request.kind:
            raise InvalidError(f"the token invites a {invite.kind}, not a {request.kind}")
        return invite, entry.revision

    async def _refuse_taken(self, request: RedeemRequest) -> None:
        name = request.name
        taken = name == self._node or await self._bucket.get(_member_key(name)) is not None
        if taken:
            raise ConflictError(
                f"the mesh has a member {name} already",
                hint=f"--name gives another name; `sparkplug mesh expel {name}` there frees it",
            )

    async def _expel(self, request: ExpelRequest) -> ExpelReply:
        """Take back what a member was given: it, and all it signed, is cut off at once."""
        members = await self._bucket.read_all(Member, "members.>")
        member = next((m for m in members.values() if m.name == request.name), None)
        if member is None:
            if request.name == self._node:
                raise RefusedError(f"{request.name} runs the server of this mesh")
            near = did_you_mean(request.name, [m.name for m in members.values()])
            raise NotFoundError(
                f"no member {request.name}{near}", hint="`sparkplug mesh members` lists them"
            )
        found = member

        async def shut_out() -> None:
            await self._account.change(
                lambda claims: claims.without_signing_key(found.name).with_revoked(found.user)
            )
            await self._bucket.delete(_member_key(found.name))
            if found.kind is MemberKind.NODE:
                await Bucket(self._bus, subjects.BUCKET_OBSERVED).delete(f"nodes.{found.name}")
            self._events.emit("host:expelled", found.name, actor=request.actor)
            log.info("%s %s is shut out", found.kind, found.name)

        if request.leaving:
            # Who asks is cut off by it: the answer goes first.
            self._soon(shut_out)
        else:
            await shut_out()
        return ExpelReply(member=member)


def _check_address(listen: str, current_port: int) -> None:
    """Raise SparkplugError when this host could not listen there."""
    if not listen:
        return
    host, port = parse_address(listen)
    if port and port != current_port:
        require_free(host, port)
    else:
        # Our own server holds the port.
        free_port(host)


def _check_keys(request: RedeemRequest) -> None:
    """Raise InvalidError for a key the server would choke on: it would be in its claims."""
    if not jwt.is_public_key(request.user, "user"):
        raise InvalidError("that is not the public key of a user")
    if request.kind is MemberKind.NODE and not (
        request.signing_key and jwt.is_public_key(request.signing_key, "account")
    ):
        raise InvalidError("a node brings the public key of its signing key")
    if request.kind is MemberKind.FACE and request.signing_key:
        raise InvalidError("a face signs nothing")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _invite_key(invite: str) -> str:
    return f"invites.{subjects.token(invite)}"


def _member_key(name: str) -> str:
    return f"members.{subjects.token(name)}"
