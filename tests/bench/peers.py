"""The programs ours is held against, where they are installed. None is needed for anything else.

nvitop and harlequin come from PyPI into an environment of the benches' own, under the user's
cache folder; btop, htop and k9s are taken where they are found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.pty_meter import Keys

_INSTALL_S = 300.0
#: Moving a cursor is what all of them do at once and draw little for.
_DOWN_UP = Keys([(b"\x1b[B", b""), (b"\x1b[A", b"")])


@dataclass(frozen=True)
class Peer:
    """Another program on a terminal."""

    name: str
    words: Sequence[str]
    keys: Keys
    package: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    def command(self) -> list[str] | None:
        """How it is started; None where it is not installed and cannot be."""
        program, *rest = self.words
        if self.package is None:
            found = shutil.which(program)
            return [found, *rest] if found else None
        folder = _environment(self.package)
        return [str(folder / "bin" / program), *rest] if folder is not None else None


PEERS = (
    # Its help, for it has a cursor only where GPUs have processes.
    Peer(
        "nvitop",
        ("nvitop", "--monitor", "full", "--interval", "1"),
        Keys([(b"h", b""), (b"\x1b", b"")]),
        "nvitop",
    ),
    Peer("btop", ("btop", "--utf-force"), _DOWN_UP),
    Peer("htop", ("htop",), _DOWN_UP),
    # What is typed into its editor.
    Peer(
        "harlequin",
        ("harlequin", "--no-download-tzdata"),
        Keys([(b"a", b""), (b"\x7f", b"")]),
        "harlequin",
    ),
    Peer("k9s", ("k9s",), _DOWN_UP),
)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "sparkplug-bench" / "peers"


def _environment(package: str) -> Path | None:
    """The virtual environment with a package in it; made where it is not there yet."""
    folder = _cache() / package
    if (folder / "installed").exists():
        return folder
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", str(folder)],
            check=True,
            capture_output=True,
            timeout=_INSTALL_S,
        )
        subprocess.run(
            [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", package],
            check=True,
            capture_output=True,
            timeout=_INSTALL_S,
        )
    except (subprocess.SubprocessError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        return None
    (folder / "installed").touch()
    return folder
