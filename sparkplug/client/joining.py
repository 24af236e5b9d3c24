"""Joining a mesh of another host by a token, and leaving it again."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from sparkplug import __version__
from sparkplug.bus import jwt, subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.jwt import Credentials, Permissions
from sparkplug.bus.keys import FACE_CREDS
from sparkplug.bus.service import call
from sparkplug.bus.signing import Signer
from sparkplug.client import agents, local, mesh, runs
from sparkplug.client.offline import held, own_server
from sparkplug.client.session import Client, user_name
from sparkplug.config import (
    Settings,
    load_settings,
    mesh_file,
    read_mesh_settings,
    write_mesh_settings,
)
from sparkplug.contexts import add_context, contexts_file, refuse_name
from sparkplug.paths import Paths, write_private
from sparkplug.schema.agent import DesiredAgent
from sparkplug.schema.contexts import ContextEntry
from sparkplug.schema.errors import (
    ConflictError,
    InvalidError,
    NoMeshError,
    RefusedError,
    SparkplugError,
)
from sparkplug.schema.mesh import JoinToken, MemberKind, RedeemReply, RedeemRequest

_REACH_S = 8.0
_REDEEM_S = 15.0
_EVERYTHING = Permissions()
_NODE_CREDS = "node.creds"
_SIGNING_KEY = "signing.nk"
_CA = "ca.pem"

Tell = Callable[[str], None]


@dataclass(slots=True)
class LocalState:
    """What this host has of its own."""

    agents: dict[str, DesiredAgent] = field(default_factory=dict)
    runs: int = 0
    unfinished: int = 0

    def describe(self) -> str:
        """In words."""
        count = len(self.agents)
        told = [f"{count} agent{'s' * (count != 1)}"] if count else []
        if self.runs:
            told.append(f"{self.runs} run{'s' * (self.runs != 1)}")
        return " and ".join(told)


@dataclass(slots=True)
class Joined:
    """What a join did. `conflicts` are agents whose names the mesh has otherwise."""

    mesh: str
    node: str
    url: str
    merged: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    up: bool = False


async def join(
    paths: Paths,
    settings: Settings,
    token: JoinToken,
    *,
    name: str = "",
    merge: bool = False,
    discard: bool = False,
    start: bool = True,
    tell: Tell = lambda _: None,
) -> Joined:
    """Make this host a node of the token's mesh, and start its node (with `start`).

    Agents of its own move into the mesh with `merge`, those whose names are taken there stay
    behind; with `discard` all it had is deleted. Raises RefusedError when it has something and
    neither is given; whatever is raised before the token was used, nothing has changed.
    """
    _refuse(token, MemberKind.NODE)
    paths.ensure()
    _refuse_joined(settings)
    own = await local_state(paths, settings)
    if own.describe() and not (merge or discard):
        raise RefusedError(
            f"this host has a mesh of its own with {own.describe()}",
            where=str(paths.home),
            hint="--merge moves its agents into the mesh, --discard deletes all it had",
        )
    node = name or settings.node.name
    user_seed, signing_seed = jwt.create_seed("user"), jwt.create_seed("account")
    request = RedeemRequest(
        invite=token.invite,
        secret=token.secret,
        name=node,
        user=jwt.public_key(user_seed),
        signing_key=jwt.public_key(signing_seed),
        version=__version__,
    )
    tell(f"asking {token.mesh} to let {node} in")
    url, reply = await redeem(token, request)
    was_up = await local.down(paths)
    with held(paths):
        _write(paths, node, settings, token, url, reply, user_seed, signing_seed)
        if discard:
            await asyncio.to_thread(_forget_own, paths)
    done = Joined(mesh=reply.mesh, node=node, url=url)
    joined = load_settings()
    if merge and own.agents:
        tell(f"moving {len(own.agents)} agents")
        await _merge(paths, settings, joined, own, done)
    if start or was_up:
        tell("starting the node")
        await local.up(paths)
        done.up = True
    return done


async def leave(paths: Paths, settings: Settings, tell: Tell = lambda _: None) -> tuple[str, bool]:
    """Go back to a mesh of this host's own: the name of the mesh left, and whether it knows.

    A mesh that cannot be reached is left all the same; what it gave is still good there until
    somebody expels this node. Raises RefusedError when no mesh was joined.
    """
    if not paths.joined.exists():
        raise RefusedError("this host joined no mesh", hint="`sparkplug status` tells where it is")
    left = settings.mesh.name
    node = local.read_node(paths)
    was_up = node is not None
    tell("stopping the node")
    await local.down(paths)
    told = False
    with contextlib.suppress(SparkplugError, TimeoutError):
        async with await Client.connect(url=None, paths=paths, settings=settings) as client:
            await mesh.expel(client, settings.node.name, leaving=True)
            told = True
    with held(paths):
        write_mesh_settings(paths.home, {})
        await asyncio.to_thread(shutil.rmtree, paths.joined)
    if was_up:
        tell("starting the node")
        await local.up(paths)
    return left, told


async def add_face(settings: Settings, name: str, token: JoinToken, description: str = "") -> str:
    """Redeem a face's token and add its mesh as a context; the URL it is reached at."""
    _refuse(token, MemberKind.FACE)
    # What would be refused is refused before the token is used.
    refuse_name(name, settings)
    seed = jwt.create_seed("user")
    request = RedeemRequest(
        invite=token.invite,
        secret=token.secret,
        kind=MemberKind.FACE,
        name=f"{user_name()}@{settings.node.name}",
        user=jwt.public_key(seed),
        version=__version__,
    )
    url, reply = await redeem(token, request)
    folder = contexts_file().with_name("contexts")
    creds, ca = folder / f"{name}.creds", folder / f"{name}.pem"
    write_private(creds, Credentials(reply.jwt, seed).as_creds_file())
    write_private(ca, token.ca_pem)
    entry = ContextEntry(
        url=",".join(dict.fromkeys([url, *reply.advertise])),
        creds=str(creds),
        ca=str(ca),
        description=description,
    )
    add_context(name, entry, settings)
    return url


async def local_state(paths: Paths, settings: Settings) -> LocalState:
    """What this host's own mesh holds, whether its node is up or down."""
    if settings.nats.url or not (paths.nats / "jetstream").exists():
        return LocalState()
    async with _own_mesh(paths, settings) as client:
        found = LocalState(agents=await agents.desired(client))
        kept = await runs.list_runs(client, 0)
        found.runs = len(kept.runs) + kept.older
        found.unfinished = len(kept.runs)
    return found


@contextlib.asynccontextmanager
async def _own_mesh(paths: Paths, settings: Settings) -> AsyncGenerator[Client, None]:
    """A client of this host's own mesh; its server is started for the time when it is down."""
    if local.read_node(paths) is not None:
        async with await Client.connect(url=None, paths=paths, settings=settings) as client:
            yield client
        return
    with held(paths):
        async with own_server(paths, settings) as bus:
            yield Client(bus, paths, settings, private=True)


async def redeem(token: JoinToken, request: RedeemRequest) -> tuple[str, RedeemReply]:
    """Use a token: the URL the mesh answered at, and what it gave.

    Raises InvalidError for a token it does not know, RefusedError for one that was used,
    NoMeshError when no address in it answers.
    """
    bus = await _reach(token)
    try:
        return bus.url, await call(
            bus, subjects.MESH_REDEEM, request, RedeemReply, deadline=_REDEEM_S
        )
    except NoMeshError as error:
        raise NoMeshError(
            f"{token.mesh} is there, and its node is not",
            hint="`sparkplug up` on the host that runs its server",
        ) from error
    finally:
        await bus.close()


async def _reach(token: JoinToken) -> Bus:
    """The first of the token's addresses that answers as the mesh it names."""
    credentials = Credentials(token.jwt, token.seed)
    inbox = subjects.inbox("join", token.invite)

    async def attempt(url: str) -> Bus:
        return await connect(
            url,
            name=f"join {token.invite}",
            inbox_prefix=inbox,
            credentials=credentials,
            ca=token.ca_pem,
            deadline=_REACH_S,
        )

    tasks = [asyncio.create_task(attempt(url)) for url in token.urls]
    reached: Bus | None = None
    problems: list[SparkplugError] = []
    try:
        for ended in asyncio.as_completed(tasks):
            try:
                reached = await ended
                break
            except SparkplugError as error:
                problems.append(error)
    finally:
        for task in tasks:
            task.cancel()
        for other in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(other, Bus) and other is not reached:
                await other.close()
    if reached is not None:
        return reached
    refused = next((error for error in problems if isinstance(error, RefusedError)), None)
    if refused is not None and "trust" not in refused.message:
        raise InvalidError(
            "the mesh does not take the token: it has expired, or was made by another mesh",
            hint="`sparkplug mesh invite` on a host of the mesh makes a new one",
        ) from refused
    told = "; ".join(error.message for error in problems[:4])
    raise NoMeshError(
        f"the mesh {token.mesh} cannot be reached from here: {told}",
        hint="is that host up, and its port open? `mesh init --advertise` names other addresses",
    )


def _refuse(token: JoinToken, kind: MemberKind) -> None:
    if token.kind is kind:
        return
    if token.kind is MemberKind.FACE:
        raise InvalidError(
            "that token is for a face: it lets somebody in, not a host",
            hint="`sparkplug contexts add NAME TOKEN` uses it",
        )
    raise InvalidError(
        "that token is for a host: it makes it a node", hint="`sparkplug join TOKEN` uses it"
    )


def _refuse_joined(settings: Settings) -> None:
    origin = settings.origin("nats.url")
    if settings.nats.url and origin.startswith(str(mesh_file(settings.paths.home))):
        raise ConflictError(
            f"this host is in the mesh {settings.mesh.name} already",
            hint="`sparkplug mesh leave` first",
        )
    if settings.nats.url:
        raise ConflictError(
            "this host uses a NATS server that settings name", where=origin, hint="unset nats.url"
        )
    if settings.nats.listen:
        raise ConflictError(
            "other hosts may be in the mesh that this host runs",
            where=settings.origin("nats.listen"),
            hint="`sparkplug mesh close` makes it this host's alone",
        )


def _write(
    paths: Paths,
    node: str,
    settings: Settings,
    token: JoinToken,
    url: str,
    reply: RedeemReply,
    user_seed: str,
    signing_seed: str,
) -> None:
    """Keep what the mesh gave, and the settings that make the node use it."""
    folder = paths.joined
    signer = Signer(reply.account, signing_seed)
    face = signer.user(f"face {node}", _EVERYTHING)
    write_private(folder / _CA, token.ca_pem)
    write_private(folder / _SIGNING_KEY, signing_seed)
    write_private(folder / _NODE_CREDS, Credentials(reply.jwt, user_seed).as_creds_file())
    write_private(folder / FACE_CREDS, face.as_creds_file())
    values = read_mesh_settings(paths.home)
    values |= {
        "nats.url": ",".join(dict.fromkeys([url, *reply.advertise])),
        "nats.creds": str(folder / _NODE_CREDS),
        "nats.ca": str(folder / _CA),
        "nats.signing_key": str(folder / _SIGNING_KEY),
        "mesh.name": reply.mesh,
        "node.name": node if node != settings.node.name else values.get("node.name", ""),
    }
    write_mesh_settings(paths.home, values)


def _forget_own(paths: Paths) -> None:
    """Delete the mesh this host had of its own: its store, its keys and its authority."""
    shutil.rmtree(paths.nats, ignore_errors=True)
    paths.nats.mkdir(mode=0o700)
    for path in paths.keys.iterdir():
        if path.is_file():
            path.unlink()


async def _merge(
    paths: Paths, before: Settings, joined: Settings, own: LocalState, done: Joined
) -> None:
    """Move this host's agents into the mesh; those whose names are taken otherwise stay."""
    async with await Client.connect(url=None, paths=paths, settings=joined) as client:
        for name, wanted in own.agents.items():
            try:
                await agents.deploy(client, wanted.spec, Path(wanted.folder))
                if not wanted.run:
                    await agents.stop(client, name)
                done.merged.append(name)
            except ConflictError:
                done.conflicts.append(name)
    # What moved is not to run twice when this host goes back to its own.
    async with _own_mesh(paths, before) as client:
        observed = Bucket(client.bus, subjects.BUCKET_OBSERVED)
        for name in done.merged:
            await agents.remove(client, name)
            # No node is up here that would do it.
            for entry in await observed.entries(f"agents.{name}.>"):
                await observed.delete(entry.key)
