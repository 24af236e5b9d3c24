"""The private nats-server: its configuration, its start, and taking over one that still runs."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from sparkplug.bus.binary import find_server
from sparkplug.bus.claims import account_jwts
from sparkplug.bus.keys import MeshKeys
from sparkplug.paths import write_private
from sparkplug.processes import same_process, start_time, wait_process
from sparkplug.schema.errors import SparkplugError

_LOOPBACK = "127.0.0.1"
_START_DEADLINE_S = 15.0
_STOP_DEADLINE_S = 5.0
_RECORD = "nats.json"


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running private server: enough to know it again after the daemon was replaced."""

    pid: int
    started: float
    port: int
    version: str
    binary: str

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://{_LOOPBACK}:{self.port}"

    def alive(self) -> bool:
        """True while this very process runs (same pid and same start time)."""
        return same_process(self.pid, self.started)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What of the settings concerns the private server. Sizes in bytes; port 0 = choose one."""

    name: str
    port: int
    max_memory: int
    max_store: int
    max_payload: int
    binary: str = ""


class PrivateServer:
    """The nats-server of one state directory."""

    def __init__(self, folder: Path, run: Path, logs: Path, keys: MeshKeys) -> None:
        self._folder = folder
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
        port = settings.port or self._kept_port() or _free_port()
        _require_free(port)
        (self._folder / "jwt").mkdir(mode=0o700, exist_ok=True)
        (self._folder / "jetstream").mkdir(mode=0o700, exist_ok=True)
        config = self._folder / "nats.conf"
        write_private(config, self._config(settings, port))
        self._child = self._spawn(binary.path, config)
        await self._wait_ready(port)
        pid = self._child.pid
        self.process = ServerProcess(
            pid, start_time(pid) or 0.0, port, binary.version_text, str(binary.path)
        )
        write_private(self._folder / "port", str(port))
        write_private(self._run / _RECORD, json.dumps(asdict(self.process)))
        return self.process

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

    def _config(self, settings: ServerSettings, port: int) -> str:
        """The server's configuration. Every write is synced: the default may lose two minutes."""
        preload = "\n".join(
            f"  {key}: {text}" for key, text in account_jwts(self._keys, self._folder).items()
        )
        quoted = json.dumps
        return f"""\
server_name: {quoted(settings.name)}
listen: "{_LOOPBACK}:{port}"
max_payload: {settings.max_payload}
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

    async def _wait_ready(self, port: int) -> None:
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
                        _, writer = await asyncio.open_connection(_LOOPBACK, port)
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
        (self._run / _RECORD).unlink(missing_ok=True)
        self.process = None


def read_server(run: Path) -> ServerProcess | None:
    """The private server recorded in a run directory, when that very process still runs."""
    try:
        process = ServerProcess(**json.loads((run / _RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return process if process.alive() else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError as error:
            why = (
                f"port {port} is in use"
                if error.errno == errno.EADDRINUSE
                else f"port {port} cannot be used: {error.strerror}"
            )
            raise SparkplugError(
                why,
                where=f"{_LOOPBACK}:{port}",
                hint=(
                    f"`ss -ltnp sport = :{port}` names its owner; free it, or choose another: "
                    "sparkplug config set nats.port PORT"
                ),
            ) from error
