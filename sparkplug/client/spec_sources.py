"""What a new spec can begin from: a file, a folder of them, a shipped example, another agent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sparkplug.schema.agent import DesiredAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.agent_text import agent_text
from sparkplug.schema.documents import load_agents
from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.textfile import expanded, storage_error
from sparkplug.shipped import shipped

#: A spec that begins from nothing.
NEW = "new"
_EXAMPLE, _COPY = "example ", "copy of "
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Source:
    """What was found: one spec and where its modules are, or `many` of a folder, or nothing."""

    spec: AgentSpec | None = None
    folder: str = ""
    many: list[AgentSpec] = field(default_factory=list)


def examples() -> list[str]:
    """The names of the shipped agents. Reads the disk: for a thread."""
    return sorted(file.stem for file in (shipped("config") / "agents").glob("*.yaml"))


def example_words(name: str) -> str:
    """How one says that a spec begins from a shipped agent."""
    return f"{_EXAMPLE}{name}"


def copy_words(name: str) -> str:
    """How one says that a spec begins as a copy of another agent's."""
    return f"{_COPY}{name}"


def read_source(words: str, wanted: Mapping[str, DesiredAgent]) -> Source:
    """What `words` names: nothing, `new`, `example …`, `copy of …`, or a path.

    A copy gets a name of its own. Reads the disk: for a thread. Raises as `load_agents` does.
    """
    words = words.strip()
    if words in ("", NEW):
        return Source()
    if words.startswith(_COPY):
        name = words.removeprefix(_COPY).strip()
        if name not in wanted:
            raise NotFoundError(f"no agent {name} is wanted")
        before = wanted[name]
        spec = before.spec.model_copy(update={"name": _free_name(name, wanted)})
        return Source(spec, before.folder)
    if words.startswith(_EXAMPLE):
        path = shipped("config") / "agents" / f"{words.removeprefix(_EXAMPLE).strip()}.yaml"
    else:
        path = expanded(words)
    try:
        found = load_agents(path)
        if path.is_dir():
            return Source(folder=str(path), many=[spec for _, spec in found])
        return Source(found[0][1], str(path.resolve().parent))
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidError(f"this is no path: {error}") from error


def _free_name(name: str, taken: Mapping[str, object]) -> str:
    number = 2
    while (found := f"{name[: _LONGEST_NAME - 4]}-{number}") in taken:
        number += 1
    return found


def save_spec(spec: AgentSpec, path: Path, *, replace: bool) -> bool:
    """Write a spec to a file, whole or not at all; False when it is there and not to be replaced.

    Raises a SparkplugError that names the path when it cannot be written.
    """
    try:
        if path.exists() and not replace:
            return False
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        made = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(agent_text(spec))
            if replace:
                made.replace(path)
            else:
                os.link(made, path)  # fails where somebody made it meanwhile
        finally:
            made.unlink(missing_ok=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise storage_error(error, "cannot write the file", path) from error
    except ValueError as error:
        raise InvalidError(f"this is no path: {error}", where=str(path)) from error
    return True
