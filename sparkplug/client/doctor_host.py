"""The doctor's checks of this host. They need no mesh."""

from __future__ import annotations

import importlib.util
import locale
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from sparkplug.bus.binary import find_server
from sparkplug.bus.server import read_server
from sparkplug.client.check import Check, fail, ok, warn
from sparkplug.config import Settings
from sparkplug.paths import Paths
from sparkplug.schema.errors import SparkplugError

_PYTHON_FLOOR = (3, 11)
_MIB = 1 << 20
#: Below this the server cannot even write its journal.
_LEAST_FREE_BYTES = 64 * _MIB
_SMALLEST_SCREEN = (80, 24)


def python_version(paths: Paths, settings: Settings) -> Check:
    """The interpreter is new enough."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _PYTHON_FLOOR:
        return fail("python", f"{found} at {sys.executable}", "use Python 3.11 or newer")
    return ok("python", f"{found} at {sys.executable}")


def server_binary(paths: Paths, settings: Settings) -> Check:
    """A nats-server that will do is there, when we have to start one."""
    if settings.nats.url:
        return ok("nats-server", f"not needed: nats.url is set ({settings.origin('nats.url')})")
    try:
        binary = find_server(settings.nats.server)
    except SparkplugError as error:
        return fail("nats-server", error.message, error.hint)
    return ok("nats-server", f"{binary.version_text} at {binary.path}")


def state_folder(paths: Paths, settings: Settings) -> Check:
    """The state directory and what is in it belong to us, and to nobody else."""
    try:
        status = paths.home.stat()
    except FileNotFoundError:
        return ok("state", f"{paths.home} will be made by `sparkplug up`")
    except OSError as error:
        return fail("state", f"{paths.home}: {error.strerror}", "name another in SPARKPLUG_HOME")
    if status.st_uid != os.geteuid():
        text = f"{paths.home} belongs to uid {status.st_uid}, we are {os.geteuid()}"
        return fail("state", text, "name a folder of your own in SPARKPLUG_HOME")
    if not os.access(paths.home, os.W_OK | os.X_OK):
        return fail("state", f"{paths.home} cannot be written", f"chmod 700 {paths.home}")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        text = f"{paths.home} can be read by others (mode {mode:o})"
        return warn("state", text, f"chmod 700 {paths.home}")
    return ok("state", f"{paths.home}, mode {mode:o}")


def state_space(paths: Paths, settings: Settings) -> Check:
    """The disk of the state directory has room."""
    folder = next(p for p in (paths.home, *paths.home.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    room = f"{free // _MIB} MiB free on the disk of {folder}"
    if free < _LEAST_FREE_BYTES:
        return fail("disk", room, "make room, or move the state with SPARKPLUG_HOME")
    if free < settings.nats.max_store and not settings.nats.url:
        cap = settings.nats.max_store // _MIB
        return warn(
            "disk",
            f"{room}; the mesh may store up to {cap} MiB",
            f"make room, or lower it: sparkplug config set nats.max_store {free // _MIB // 2}MiB",
        )
    return ok("disk", room)


def server_port(paths: Paths, settings: Settings) -> Check:
    """The port of the private server is ours, or free."""
    server = read_server(paths.run)
    if settings.nats.url:
        return ok("port", "not needed: nats.url is set")
    if server is not None:
        return ok("port", f"{server.port}, held by our nats-server (pid {server.pid})")
    port = settings.nats.port or _kept_port(paths)
    if not port:
        return ok("port", "one will be chosen and kept")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            text = f"{port} cannot be used: {error.strerror}"
            fix = f"`ss -ltnp sport = :{port}` names its owner; or sparkplug config set nats.port"
            return fail("port", text, fix)
    return ok("port", f"{port} is free")


def key_files(paths: Paths, settings: Settings) -> Check:
    """Nobody else can read the secrets."""
    exposed = [path for path in _files(paths.keys) if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if exposed:
        names = " ".join(map(str, exposed))
        return fail("keys", f"can be read by others: {names}", f"chmod 600 {names}")
    return ok("keys", f"in {paths.keys}" if paths.keys.exists() else "none yet")


def node_process(paths: Paths, settings: Settings) -> Check:
    """The node of this host runs, under its parent."""
    from sparkplug.client.local import read_node

    node = read_node(paths)
    if node is None:
        return warn("node", "no node runs on this host", "sparkplug up")
    if node.parent_pid is not None and not psutil.pid_exists(node.parent_pid):
        text = f"pid {node.pid} runs, its parent {node.parent_pid} does not"
        return warn("node", text, "sparkplug up")
    return ok("node", f"{node.name}, pid {node.pid}, {node.state}")


def langgraph_extra(paths: Paths, settings: Settings) -> Check:
    """Agents of `runtime: langgraph` can run."""
    if importlib.util.find_spec("langgraph") is None:
        fix = f"{sys.executable} -m pip install 'sparkplug-control[graph]'"
        return warn("langgraph", "not installed: agents of that runtime cannot start", fix)
    return ok("langgraph", "installed")


def crewai_extra(paths: Paths, settings: Settings) -> Check:
    """Agents of `runtime: crewai` can run."""
    if importlib.util.find_spec("crewai") is None:
        fix = f"{sys.executable} -m pip install 'sparkplug-control[crew]'"
        return ok("crewai", f"not installed, needed for crews only: {fix}")
    return ok("crewai", "installed")


def memory_extra(paths: Paths, settings: Settings) -> Check:
    """The memory can start."""
    if not settings.memory.enabled:
        return ok("memory", "switched off: memory.enabled")
    if importlib.util.find_spec("mem0") is None:
        fix = f"{sys.executable} -m pip install 'sparkplug-control[memory]'"
        return ok("memory", f"not installed, agents remember nothing here: {fix}")
    return ok("memory", "installed")


def nvidia_driver(paths: Paths, settings: Settings) -> Check:
    """Whether this host has an NVIDIA driver; having none is no fault."""
    version = Path("/proc/driver/nvidia/version")
    try:
        first = version.read_text().splitlines()[0]
    except (OSError, IndexError):
        return ok("gpu driver", "no NVIDIA driver on this host; GPUs are not shown")
    return ok("gpu driver", " ".join(first.removeprefix("NVRM version:").split()))


def terminal(paths: Paths, settings: Settings) -> Check:
    """The terminal can show the control centre."""
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") != "utf8":
        text = f"the locale is {encoding}, lines and plots need UTF-8"
        return warn("terminal", text, "export LC_ALL=C.UTF-8")
    if not sys.stdout.isatty():
        return ok("terminal", "output is not a terminal")
    kind = os.environ.get("TERM", "")
    if kind in ("", "dumb"):
        return warn("terminal", f"TERM is {kind or 'not set'}", "export TERM=xterm-256color")
    size = shutil.get_terminal_size()
    if size.columns < _SMALLEST_SCREEN[0] or size.lines < _SMALLEST_SCREEN[1]:
        text = f"{size.columns}×{size.lines} is small"
        return warn("terminal", text, "the control centre wants 80×24 or more")
    colour = os.environ.get("COLORTERM", "")
    return ok("terminal", f"{kind}{f' ({colour})' if colour else ''}, {size.columns}×{size.lines}")


def _kept_port(paths: Paths) -> int:
    try:
        return int((paths.nats / "port").read_text())
    except (OSError, ValueError):
        return 0


def _files(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in folder.iterdir() if path.is_file())
    except OSError:
        return


HOST_CHECKS: tuple[Callable[[Paths, Settings], Check], ...] = (
    python_version,
    server_binary,
    state_folder,
    state_space,
    server_port,
    key_files,
    node_process,
    langgraph_extra,
    crewai_extra,
    memory_extra,
    nvidia_driver,
    terminal,
)
