"""A face's connection to a mesh: where the mesh is, who is asking, and the bus."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sparkplug.bus import subjects
from sparkplug.bus.certificates import read_ca
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.jwt import Credentials
from sparkplug.bus.keys import FACE_CREDS, read_creds
from sparkplug.bus.server import read_server
from sparkplug.config import Settings
from sparkplug.contexts import Context, check_creds
from sparkplug.paths import Paths
from sparkplug.schema.errors import NoMeshError

_EVENT_DEADLINE_S = 2.0


@dataclass(frozen=True, slots=True)
class Location:
    """Where a mesh is, and the credentials file that opens it (None: it asks for none).

    `ca` is the certificate that its server is trusted by, None for whom the system trusts.
    """

    url: str
    creds: Path | None
    private: bool
    ca: Path | None = None


def locate(
    url: str | None,
    paths: Paths,
    settings: Settings,
    environ: Mapping[str, str] | None = None,
    *,
    context: Context | None = None,
) -> Location:
    """Where the mesh is: `url`, SPARKPLUG_URL, `nats.url`, else this state's private server.

    A `context` was chosen by name and goes before the environment; one elsewhere is opened with
    its own credentials alone.

    Raises NoMeshError when nothing names a mesh and no private server runs, RefusedError for
    credentials that others can read, NotFoundError for some that are not there.
    """
    if context is not None and context.url is not None:
        if context.creds is not None:
            check_creds(context.creds)
        return Location(context.url, context.creds, private=False, ca=context.ca)
    environ = os.environ if environ is None else environ
    of_environment = environ.get("SPARKPLUG_URL") if context is None else None
    named = url or of_environment or settings.nats.url
    own = paths.keys / FACE_CREDS
    joined = paths.joined / FACE_CREDS
    if joined.exists() and settings.nats.creds:
        creds: Path | None = joined
    elif settings.nats.creds:
        creds = Path(settings.nats.creds).expanduser()
    else:
        creds = own if own.exists() else None
    if named:
        # A server that only this call names is another than the settings', unless it has TLS too.
        pinned = settings.nats.ca and (not (url or of_environment) or named.startswith("tls://"))
        ca = Path(settings.nats.ca).expanduser() if pinned else None
        return Location(named, creds, private=False, ca=ca)
    server = read_server(paths.run)
    if server is None:
        raise NoMeshError(
            "no mesh runs here",
            where=str(paths.home),
            hint="`sparkplug up` starts one here; --url names one elsewhere",
        )
    return Location(server.url, own, private=True, ca=Path(server.ca) if server.ca else None)


def user_name() -> str:
    """Who is asking, as events name them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without an entry in the password database
        return f"uid-{os.geteuid()}"


def _told_to_nobody(_: str) -> None:
    return


class Client:
    """An open connection to a mesh. Use it as an async context manager, or call `close`."""

    def __init__(
        self,
        bus: Bus,
        paths: Paths,
        settings: Settings,
        *,
        private: bool,
        context: Context | None = None,
    ) -> None:
        self.bus = bus
        self.paths = paths
        self.settings = settings
        self.private = private
        #: The name of the mesh.
        self.mesh = context.name if context is not None else settings.mesh.name
        self.actor = user_name()
        #: Told how far something is that takes its time; empty: it is over.
        self.told: Callable[[str], None] = _told_to_nobody

    @classmethod
    async def connect(
        cls,
        *,
        url: str | None,
        paths: Paths,
        settings: Settings,
        name: str = "face",
        deadline: float = 3.0,
        context: Context | None = None,
        attentive: bool = False,
    ) -> Client:
        """Connect within `deadline` seconds.

        `name` is what the server calls the connection, `attentive` as of `bus.connect`. Raises
        NoMeshError when nothing answers, RefusedError when the server does not accept us.
        """
        place = locate(url, paths, settings, context=context)
        credentials: Credentials | None = read_creds(place.creds) if place.creds else None
        bus = await connect(
            place.url,
            name=name,
            inbox_prefix=subjects.inbox("face", f"{user_name()}-{os.getpid()}"),
            credentials=credentials,
            ca=read_ca(place.ca) if place.ca else "",
            record=paths.run if place.private else None,
            deadline=deadline,
            attentive=attentive,
        )
        return cls(bus, paths, settings, private=place.private, context=context)

    @property
    def url(self) -> str:
        """Where the mesh is."""
        return self.bus.url

    async def emit(self, name: str, subject: str, **data: object) -> None:
        """Record an event in this user's name; what it tells of has been done already."""
        from sparkplug.bus.events import EventLog

        events = EventLog(self.bus, self.settings.node.name, self.actor)
        events.emit(name, subject, data=data)
        await events.drain(_EVENT_DEADLINE_S)

    async def differs(self) -> str | None:
        """What keeps this face and the mesh's nodes from understanding each other, or None.

        One question to the server, for the record that a node wrote last.
        """
        from sparkplug.client.versions import differing

        return await differing(self.bus)

    async def close(self) -> None:
        """Let go of the connection."""
        await self.bus.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
