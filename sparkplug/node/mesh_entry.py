"""How a node comes to its mesh: by a private server that it runs, or by one it is told of."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sparkplug.bus import subjects
from sparkplug.bus.certificates import read_ca
from sparkplug.bus.claims import Account
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.events import EventLog
from sparkplug.bus.jwt import Credentials, Permissions
from sparkplug.bus.keys import MeshKeys, ensure_keys, read_creds
from sparkplug.bus.server import PrivateServer
from sparkplug.bus.server_record import ServerProcess
from sparkplug.bus.service import Services
from sparkplug.bus.signing import Signer, own_signer, read_signer, tried
from sparkplug.config import Settings
from sparkplug.node.mesh_rooms import CONNECT_S
from sparkplug.node.mesh_services import MeshServices
from sparkplug.node.revocation import Revoke, by_account, by_mesh, serve_revocation
from sparkplug.node.server_keeper import ServerKeeper, server_settings
from sparkplug.paths import Paths

#: The node's own user may do all that its account allows.
_EVERYTHING = Permissions()


class MeshEntry:
    """The server of the mesh, as this node has it, and what it may sign there.

    `keys` are the mesh's own, and `keeper` keeps its server, where it is private to this host.
    """

    def __init__(self, paths: Paths, settings: Settings) -> None:
        self._paths = paths
        self._settings = settings
        self.keys: MeshKeys | None = None
        self.keeper: ServerKeeper | None = None
        self.credentials: Credentials | None = None

    async def enter(self) -> Bus:
        """Connect, having started the private server where there is one.

        Raises SparkplugError when that cannot be done.
        """
        paths, settings, name = self._paths, self._settings, self._settings.node.name
        ca, record = "", None
        if settings.nats.url:
            url = settings.nats.url
            self.credentials = await asyncio.to_thread(_configured_creds, settings)
            if settings.nats.ca:
                ca = await asyncio.to_thread(read_ca, _file(settings.nats.ca))
        else:
            self.keys = await asyncio.to_thread(ensure_keys, paths.keys)
            process = await self._start_server(self.keys)
            url, record = process.url, paths.run
            if process.ca:
                ca = await asyncio.to_thread(read_ca, Path(process.ca))
            self.credentials = self.keys.user(f"node {name}", _EVERYTHING)
        return await connect(
            url,
            name=f"node {name}",
            inbox_prefix=subjects.inbox("node", name),
            credentials=self.credentials,
            ca=ca,
            record=record,
            deadline=CONNECT_S,
        )

    async def _start_server(self, keys: MeshKeys) -> ServerProcess:
        server = PrivateServer(self._paths.nats, self._paths.run, self._paths.logs, keys)
        self.keeper = ServerKeeper(server, server_settings(self._settings))
        await self.keeper.start()
        assert server.process is not None
        return server.process

    @property
    def server_process(self) -> ServerProcess | None:
        """The private server that runs here."""
        return self.keeper.server.process if self.keeper is not None else None

    def server_down(self) -> bool:
        """Whether no private server runs here now."""
        process = self.server_process
        return process is None or not process.alive()

    def memory_user(self) -> Credentials | None:
        """Who the memory's process is to the server."""
        if self.keys is None:
            return self.credentials
        return self.keys.user(f"memory {self._settings.node.name}", _EVERYTHING)

    async def signer(self, bus: Bus) -> Signer | None:
        """Who signs the users of this node's agents. None: they get the node's own."""
        if self.keys is not None:
            return own_signer(self.keys)
        if not self._settings.nats.signing_key:
            return None
        path = _file(self._settings.nats.signing_key)
        signer = await asyncio.to_thread(read_signer, path, self.credentials)
        return await tried(signer, bus, str(path))

    async def serve(self, bus: Bus, services: Services, events: EventLog) -> Revoke:
        """Answer for the mesh whose server this node runs; how users are revoked, here or there."""
        if self.keys is None:
            return by_mesh(bus)
        assert self.keeper is not None
        account = Account(self.keys, self._paths.nats, bus)
        # One that was taken over may not have heard of the last change.
        await account.push()
        mesh = MeshServices(
            bus=bus,
            settings=self._settings,
            paths=self._paths,
            keys=self.keys,
            account=account,
            keeper=self.keeper,
            events=events,
        )
        await mesh.serve(services)
        await serve_revocation(services, account)
        return by_account(account)


def _configured_creds(settings: Settings) -> Credentials | None:
    creds = settings.nats.creds
    return read_creds(Path(creds).expanduser()) if creds else None


def _file(name: str) -> Path:
    return Path(name).expanduser()
