"""The mesh as whole: opening it to other hosts, inviting, who is in it, shutting out."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TypeVar

from pydantic import BaseModel

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.server_record import ServerProcess, read_server
from sparkplug.bus.service import call
from sparkplug.client import local
from sparkplug.client.deadline import READ_S, within
from sparkplug.client.session import Client
from sparkplug.config import Settings, load_settings, read_mesh_settings, write_mesh_settings
from sparkplug.paths import Paths
from sparkplug.schema.errors import (
    DeadlineError,
    NoMeshError,
    NotFoundError,
    RefusedError,
    SparkplugError,
)
from sparkplug.schema.mesh import (
    ExpelReply,
    ExpelRequest,
    InviteReply,
    InviteRequest,
    ListenReply,
    ListenRequest,
    Member,
    MemberKind,
)
from sparkplug.schema.problems import did_you_mean

ReplyT = TypeVar("ReplyT", bound=BaseModel)

_ASK_S = 10.0
_RESTART_S = 30.0
_LOOK_EVERY_S = 0.05


async def listen(
    paths: Paths, settings: Settings, *, address: str, advertise: str = "", name: str = ""
) -> ListenReply:
    """Let other hosts reach this host's server at `address`; empty: this host alone again.

    Returns once the server and this host's node answer there. Nothing that it stores is touched,
    and everybody reconnects by themselves. A node that is down is started. Raises RefusedError
    when this host has no server of its own, SparkplugError when it cannot listen there: then all
    is as before.
    """
    if settings.nats.url:
        raise RefusedError(
            "this host has no server of its own",
            where=settings.origin("nats.url"),
            hint="`sparkplug mesh leave` leaves a mesh that was joined; else unset nats.url",
        )
    before = read_server(paths.run)
    if local.read_node(paths) is None or before is None:
        return await _listen_from_down(paths, address, advertise, name)
    request = ListenRequest(listen=address, advertise=advertise, name=name)
    async with await Client.connect(url=None, paths=paths, settings=settings) as client:
        subject = subjects.node_service(settings.node.name, "listen")
        reply = await call(client.bus, subject, request, ListenReply, deadline=_ASK_S)
    if not reply.changed:
        return reply
    after = await _restarted(paths, before)
    if after.url != reply.url:
        raise SparkplugError(
            f"the server did not start at {reply.url}; it goes on at {after.url}",
            where=str(paths.logs / "nats.log"),
            hint="the log's end says why",
        )
    async with await Client.connect(url=None, paths=paths, settings=load_settings()) as client:
        await _answered_again(client, subject, request)
        return reply


async def _answered_again(client: Client, subject: str, request: ListenRequest) -> None:
    """Wait for the node: it connects by itself, and is asked what changes nothing any more."""
    try:
        async with asyncio.timeout(_RESTART_S):
            while True:
                with contextlib.suppress(NoMeshError):
                    await call(client.bus, subject, request, ListenReply, deadline=_ASK_S)
                    return
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError as error:
        raise DeadlineError(
            f"the node was not there again within {_RESTART_S:g} s",
            hint="`sparkplug doctor` says more",
        ) from error


async def _listen_from_down(paths: Paths, address: str, advertise: str, name: str) -> ListenReply:
    """Start the node with the server there; when it does not start, nothing has changed."""
    paths.ensure()
    before = read_mesh_settings(paths.home)
    after = {**before, "nats.listen": address, "nats.advertise": advertise}
    if name:
        after["mesh.name"] = name
    write_mesh_settings(paths.home, after)
    try:
        await local.up(paths)
    except BaseException:
        write_mesh_settings(paths.home, before)
        with contextlib.suppress(SparkplugError):
            await local.down(paths)
        raise
    process = read_server(paths.run)
    return ListenReply(url=process.url if process else "", changed=after != before)


async def _restarted(paths: Paths, before: ServerProcess) -> ServerProcess:
    """The server's next process, once it is recorded."""
    try:
        async with asyncio.timeout(_RESTART_S):
            while True:
                found = read_server(paths.run)
                if found is not None and found.pid != before.pid:
                    return found
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError as error:
        raise DeadlineError(
            f"the server was not there again within {_RESTART_S:g} s",
            where=str(paths.logs / "nats.log"),
            hint="`sparkplug doctor` says more",
        ) from error


async def invite(client: Client, *, face: bool, ttl: float, hosts: int) -> InviteReply:
    """A token for others to come in with. `ttl` in seconds, `hosts` how many may use it."""
    request = InviteRequest(
        kind=MemberKind.FACE if face else MemberKind.NODE,
        ttl=ttl,
        hosts=hosts,
        actor=client.actor,
    )
    return await _ask(client, subjects.MESH_INVITE, request, InviteReply)


async def members(client: Client) -> list[Member]:
    """Who was let in, by name. The host that runs the server needed no letting in."""
    async with within(READ_S, "the members of the mesh"):
        found = await Bucket(client.bus, subjects.BUCKET_MESH).read_all(Member, "members.>")
    return sorted(found.values(), key=lambda member: member.name)


async def require_member(client: Client, name: str) -> None:
    """Raise NotFoundError when nobody of that name was let in."""
    names = [member.name for member in await members(client)]
    if name not in names:
        raise NotFoundError(
            f"no member {name}{did_you_mean(name, names)}",
            hint="`sparkplug mesh members` lists them",
        )


async def expel(client: Client, name: str, *, leaving: bool = False) -> Member:
    """Take back what a member was given; it and its agents are cut off at once.

    `leaving`: it asks itself, so that the answer comes first. Raises NotFoundError.
    """
    request = ExpelRequest(name=name, actor=client.actor, leaving=leaving)
    return (await _ask(client, subjects.MESH_EXPEL, request, ExpelReply)).member


async def _ask(client: Client, subject: str, request: BaseModel, reply: type[ReplyT]) -> ReplyT:
    try:
        return await call(client.bus, subject, request, reply, deadline=_ASK_S)
    except NoMeshError as error:
        raise NoMeshError(
            "no node here answers for the mesh",
            hint="the node that runs its server does; on a server somebody else owns nobody does",
        ) from error
