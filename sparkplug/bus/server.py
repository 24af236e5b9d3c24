"""The private nats-server: its configuration, its start, and taking over one that still runs."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sparkplug.bus.binary import find_server
from sparkplug.bus.certificates import Certificates, ensure_certificates, host_addresses
from sparkplug.bus.claims import account_jwts
from sparkplug.bus.keys import MeshKeys
from sparkplug.bus.server_record import LOOPBACK, RECORD, ServerProcess, read_server, write_server
from sparkplug.paths import write_private
from sparkplug.processes import start_time, wait_process
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.mesh import WILDCARDS

__all__ = ["PrivateServer", "ServerProcess", "ServerSettings", "read_server"]

_START_DEADLINE_S = 15.0
_STOP_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What of the settings concerns the private server. Sizes in bytes; port 0 = choose one.

    `listen` is the address other hosts reach it at, empty for none; `names` are further names
    and addresses that its certificate is to hold.
    """

    name: str
    port: int
    max_memory: int
    max_store: int
    max_payload: int
    binary: str = ""
    listen: str = ""
    names: tuple[str, ...] = ()


class PrivateServer:
    """The nats-server of one state directory."""

    def __init__(self, folder: Path, run: Path, logs: Path, keys: MeshKeys) -> None:
        self._folder = folder
        self._keys_folder = folder.parent / "keys"
        self._run = run
        self._log = logs / "nats.log"
        self._keys = keys
        self.process: ServerProcess | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str | None:
        """Where clients connect, once it runs."""
        return self.process.url if self.process else None

    def adopt(self) -> bool:
        """Take over the server that an earlier daemon left running, if it still does."""
        self.process = read_server(self._run)
        return self.process is not None

    async def start(self, settings: ServerSettings) -> ServerProcess:
        """Start it and wait until it takes connections. Raises SparkplugError saying why not."""
        binary = await asyncio.to_thread(find_server, settings.binary)
        address = settings.listen or LOOPBACK
        port = settings.port or self._kept_port() or free_port(address)
        require_free(address, port)
        certificates = await asyncio.to_thread(self._certificates, settings)
        (self._folder / "jwt").mkdir(mode=0o700, exist_ok=True)
        (self._folder / "jetstream").mkdir(mode=0o700, exist_ok=True)
        config = self._folder / "nats.conf"
        write_private(config, self._config(settings, address, port, certificates))
        self._child = self._spawn(binary.path, config)
        near = LOOPBACK if address in WILDCARDS else address
        await self._wait_ready(near, port)
        pid = self._child.pid
        self.process = ServerProcess(
            pid,
            start_time(pid) or 0.0,
            port,
            binary.version_text,
            str(binary.path),
            near,
            str(certificates.ca) if certificates else "",
        )
        write_private(self._folder / "port", str(port))
        write_server(self._run, self.process)
        return self.process

    def _certificates(self, settings: ServerSettings) -> Certificates | None:
        """Those of a server that other hosts reach."""
        if not settings.listen:
            return None
        names = [*settings.names, settings.listen, *host_addresses()]
        return ensure_certificates(
            self._keys_folder, [name for name in names if name not in WILDCARDS]
        )

    def _spawn(self, binary: Path, config: Path) -> subprocess.Popen[bytes]:
        """Start it in a session of its own: it outlives the daemon, which takes it over again."""
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [str(binary), "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                start_new_session=True,
                umask=0o077,
            )

    def _kept_port(self) -> int:
        try:
            return int((self._folder / "port").read_text())
        except (OSError, ValueError):
            return 0

    def _config(
        self,
        settings: ServerSettings,
        address: str,
        port: int,
        certificates: Certificates | None,
    ) -> str:
        """The server's configuration. Every write is synced: the default may lose two minutes."""
        preload = "\n".join(
            f"  {key}: {text}" for key, text in account_jwts(self._keys, self._folder).items()
        )
        quoted = json.dumps
        host = f"[{address}]" if ":" in address else address
        tls = ""
        if certificates is not None:
            # A host that vanished holds its subscriptions until it is noticed.
            tls = f"""\
ping_interval: "5s"
ping_max: 3
tls {{
  cert_file: {quoted(str(certificates.server))}
  key_file: {quoted(str(certificates.server_key))}
  min_version: "1.2"
  timeout: 5
}}
"""
        return f"""\
server_name: {quoted(settings.name)}
listen: "{host}:{port}"
{tls}max_payload: {settings.max_payload}
max_pending: 64MB
write_deadline: "10s"
jetstream {{
  store_dir: {quoted(str(self._folder / "jetstream"))}
  domain: {quoted(settings.name)}
  max_memory_store: {settings.max_memory}
  max_file_store: {settings.max_store}
  sync_interval: always
}}
operator: {self._keys.operator_jwt}
system_account: {self._keys.system_account}
resolver: {{ type: full, dir: {quoted(str(self._folder / "jwt"))}, allow_delete: true }}
resolver_preload: {{
{preload}
}}
"""

    async def _wait_ready(self, address: str, port: int) -> None:
        assert self._child is not None
        try:
            async with asyncio.timeout(_START_DEADLINE_S):
                while True:
                    if self._child.poll() is not None:
                        raise SparkplugError(
                            f"nats-server ended at once: {self._last_words()}",
                            where=str(self._log),
                            hint="`sparkplug doctor` checks the disk, the port and the binary",
                        )
                    try:
                        _, writer = await asyncio.open_connection(address, port)
                    except OSError:
                        await asyncio.sleep(0.01)
                        continue
                    writer.close()
                    return
        except TimeoutError as error:
            self._child.kill()
            raise SparkplugError(
                f"nats-server took no connection within {_START_DEADLINE_S:g} s",
                where=str(self._log),
            ) from error

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return "no log"
        telling = [line for line in lines if "[FTL]" in line or "[ERR]" in line]
        return (telling or lines or ["it said nothing"])[-1]

    async def wait_ended(self) -> None:
        """Return when the server's process has ended, whoever started it."""
        assert self.process is not None
        await wait_process(self.process.pid, self.process.alive)
        if self._child is not None:
            self._child.poll()

    async def stop(self) -> None:
        """End it: politely, then not."""
        process = self.process
        if process is None or not process.alive():
            return
        os.kill(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_DEADLINE_S):
                await self.wait_ended()
        except TimeoutError:
            os.kill(process.pid, signal.SIGKILL)
            await self.wait_ended()
        (self._run / RECORD).unlink(missing_ok=True)
        self.process = None


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def free_port(address: str) -> int:
    """A port that is free now. Raises SparkplugError for an address this host does not have."""
    with socket.socket(_family(address)) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise _unusable(address, 0, error) from error
        return int(probe.getsockname()[1])


def require_free(address: str, port: int) -> None:
    """Raise SparkplugError saying why the server could not listen there."""
    with socket.socket(_family(address)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise _unusable(address, port, error) from error


def _unusable(address: str, port: int, error: OSError) -> SparkplugError:
    if error.errno in (errno.EADDRNOTAVAIL, None) or isinstance(error, socket.gaierror):
        return SparkplugError(
            f"{address} is not an address of this host",
            hint="`ip -brief address` lists those it has; 0.0.0.0 listens on all of them",
        )
    in_use = error.errno == errno.EADDRINUSE
    return SparkplugError(
        f"port {port} is in use" if in_use else f"port {port} cannot be used: {error.strerror}",
        where=f"{address}:{port}",
        hint=(
            f"`ss -ltnp sport = :{port}` names its owner; free it, or choose another: "
            "sparkplug config set nats.port PORT"
        ),
    )
