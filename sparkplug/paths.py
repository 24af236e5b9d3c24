"""The folders of state, secrets and logs: where they are, and that nobody else can read them."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sparkplug.schema.errors import RefusedError
from sparkplug.schema.textfile import storage_error

#: What is written to a folder to learn that its disk takes data: one block of usual size.
_PROBE = bytes(4096)


def base_folder(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """An XDG base folder: `variable` when it is absolute, else `default` under the home.

    Source: XDG Base Directory Specification 0.8, which has relative values ignored.
    """
    named = environ.get(variable, "")
    if named.startswith("/"):
        return Path(named)
    return Path(environ.get("HOME") or Path.home()) / default


def state_home(environ: Mapping[str, str] | None = None, state: str = "") -> Path:
    """The folder of state: SPARKPLUG_HOME, or `state`, or $XDG_STATE_HOME/sparkplug."""
    environ = os.environ if environ is None else environ
    named = environ.get("SPARKPLUG_HOME") or state
    if named:
        return Path(named).expanduser().absolute()
    return base_folder(environ, "XDG_STATE_HOME", ".local/state") / "sparkplug"


@dataclass(frozen=True)
class Paths:
    """The folders under one state folder `home`."""

    home: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None, state: str = "") -> Paths:
        """The folders that the environment, or the setting `node.state`, names."""
        return cls(state_home(environ, state))

    @property
    def keys(self) -> Path:
        """Seeds and credentials."""
        return self.home / "keys"

    @property
    def joined(self) -> Path:
        """What a mesh of another host gave this one to come in with."""
        return self.keys / "joined"

    @property
    def nats(self) -> Path:
        """The private server: its configuration, ports file and store."""
        return self.home / "nats"

    @property
    def run(self) -> Path:
        """Sockets, pid files and locks."""
        return self.home / "run"

    @property
    def exits(self) -> Path:
        """One file for each agent process that ended: why."""
        return self.run / "exits"

    @property
    def stalls(self) -> Path:
        """One file for each agent process that is blocked now: where."""
        return self.run / "stalls"

    @property
    def lease(self) -> Path:
        """How long the node's lease stands, for the processes of its agents."""
        return self.run / "lease.json"

    @property
    def memory(self) -> Path:
        """What agents remember, where this node keeps it."""
        return self.home / "memory"

    @property
    def logs(self) -> Path:
        """Logs of the node and its services."""
        return self.home / "logs"

    @property
    def agent_logs(self) -> Path:
        """Output of the agents."""
        return self.logs / "agents"

    @property
    def agents(self) -> Path:
        """What agents keep on this host, a folder each."""
        return self.home / "agents"

    @property
    def history(self) -> Path:
        """What this host measured before."""
        return self.home / "history"

    @property
    def cache(self) -> Path:
        """What can be made again."""
        return self.home / "cache"

    def ensure(self) -> None:
        """Make all folders, each 0700 and ours, and see that their disk takes data.

        Wider permissions of a folder of ours are narrowed. Raises RefusedError for a folder of
        another user or one we may not make, SparkplugError for a full or read-only disk,
        InvalidError when something else stands in the way.
        """
        for folder in (
            self.home,
            self.keys,
            self.nats,
            self.run,
            self.exits,
            self.stalls,
            self.logs,
            self.agent_logs,
            self.agents,
            self.cache,
        ):
            try:
                _ensure_private(folder)
            except OSError as error:
                raise storage_error(error, "cannot make the folder", folder) from error
        write_private(self.run / "probe", _PROBE)
        (self.run / "probe").unlink(missing_ok=True)


def _ensure_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise RefusedError(
            f"the folder belongs to another user (uid {status.st_uid}, we are {os.geteuid()})",
            where=str(folder),
            hint="run as that user, or name a folder of your own in SPARKPLUG_HOME",
        )
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)


def write_private(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` in one step: readers see the old file or the new, whole, 0600.

    A link is followed, its folder is made (0700) when missing. Raises RefusedError,
    InvalidError or SparkplugError by what the system says, and leaves no partial file.
    """
    data = content.encode() if isinstance(content, str) else content
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)  # the umask may have taken our own rights
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise storage_error(error, "cannot write", path) from error
