"""Where one stood and how it looked, kept for the next session, for each mesh by itself."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from sparkplug.paths import write_private
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.textfile import read_text
from sparkplug.tui.turns import taking_turns

VERSION = 1
#: Meshes remembered; of more, those used longest ago are forgotten.
MESHES = 50
#: A file larger than this is not ours.
_LARGEST = 1 << 20


def state_file(home: Path) -> Path:
    """Where it is kept, under the state directory."""
    return home / "tui" / "state.json"


def read_state(path: Path, mesh: str | None = None) -> dict[str, Any]:
    """What was kept of a mesh, of the one used last when it is None; empty for what does not hold.

    Whatever a file of another version, or one that was tampered with, holds: it is left out.
    """
    meshes, last = _read(path)
    return meshes.get(mesh or last, {})


class StateFile:
    """Writes what is to be kept; several control centres may share the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._written: tuple[str, dict[str, Any]] | None = None

    def save(self, mesh: str, state: dict[str, Any]) -> str | None:
        """Keep the state of a mesh, in one step, 0600. For a thread.

        Nothing is written when it is what was written last. The answer says why it could not be.
        """
        with self._lock:
            if self._written == (mesh, state):
                return None
            return self._write(mesh, state)

    def _write(self, mesh: str, state: dict[str, Any]) -> str | None:
        with taking_turns(self._path.parent):
            meshes, _ = _read(self._path)
            meshes.pop(mesh, None)
            meshes[mesh] = state
            kept = dict(list(meshes.items())[-MESHES:])
            data = {"version": VERSION, "last": mesh, "meshes": kept}
            try:
                write_private(self._path, json.dumps(data, ensure_ascii=False, indent=1))
            except (SparkplugError, OSError) as error:
                return f"where you stand is not kept: {error}"
            self._written = mesh, state
        return None


def _read(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """The states by mesh, and the mesh used last."""
    try:
        if path.stat().st_size > _LARGEST:
            return {}, ""
        data = json.loads(read_text(path) or "null")
    except (OSError, SparkplugError, ValueError, RecursionError):
        return {}, ""
    if not isinstance(data, dict) or data.get("version") != VERSION:
        return {}, ""
    meshes, last = data.get("meshes"), data.get("last")
    if not isinstance(meshes, dict):
        return {}, ""
    found = {name: state for name, state in meshes.items() if isinstance(state, dict)}
    return found, last if isinstance(last, str) else ""
