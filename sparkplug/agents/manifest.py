"""A `langgraph.json` as an entrypoint: the file that LangGraph's own tools deploy from.

Source: the configuration file of the LangGraph CLI. Of it are read `graphs` (name to
`./path.py:variable` or `module:variable`), `dependencies` that are folders, which modules are
then found in, and `env`, an object or the path of a `.env` file. What has to be installed is
the interpreter's affair, see `python:` of the agent file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.problems import did_you_mean

NAME = "langgraph.json"
_MOST_BYTES = 1 << 20


def is_manifest(entrypoint: str) -> bool:
    """Whether an entrypoint names such a file."""
    return entrypoint.partition(":")[0].endswith(NAME)


def load_manifest(entrypoint: str, folder: str) -> Any:
    """The graph that a file names: the one called so after `:`, else its only one.

    Raises InvalidError for a file that does not hold, NotFoundError when it or the graph is not
    there.
    """
    named, _, graph = entrypoint.partition(":")
    path = Path(folder, named)
    manifest = _read(path)
    graphs = manifest.get("graphs")
    if not isinstance(graphs, dict) or not graphs:
        raise InvalidError(
            "it names no graphs", where=str(path), hint='"graphs": {"name": "./x.py:graph"}'
        )
    if not graph and len(graphs) > 1:
        raise InvalidError(
            f"it names {len(graphs)} graphs",
            where=str(path),
            hint=f"say which: {named}:{next(iter(graphs))}",
        )
    chosen = graph or next(iter(graphs))
    if chosen not in graphs:
        raise NotFoundError(
            f"it names no graph {chosen}{did_you_mean(chosen, list(graphs))}", where=str(path)
        )
    _take_dependencies(manifest, path.parent)
    _take_environment(manifest, path.parent)
    return _load(graphs[chosen], path, chosen)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidError("it is too large", where=str(path))
        found = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise NotFoundError("there is no such file", where=str(path)) from error
    except (OSError, ValueError) as error:
        raise InvalidError(f"it cannot be read: {error}", where=str(path)) from error
    if not isinstance(found, dict):
        raise InvalidError("it holds no object", where=str(path))
    return found


def _take_dependencies(manifest: Mapping[str, Any], folder: Path) -> None:
    """Have modules found in the folders it depends on, and beside it."""
    for dependency in [*(manifest.get("dependencies") or ()), "."]:
        place = (folder / str(dependency)).resolve()
        if str(dependency).startswith(".") and place.is_dir():
            for one in (place, place / "src"):
                if one.is_dir() and str(one) not in sys.path:
                    sys.path.insert(0, str(one))


def _take_environment(manifest: Mapping[str, Any], folder: Path) -> None:
    """Its variables, where the agent file does not give them."""
    env = manifest.get("env") or {}
    if isinstance(env, str):
        path = folder / env
        env = {}
        if path.is_file():
            for line in path.read_text().splitlines():
                name, equals, value = line.strip().removeprefix("export ").partition("=")
                if equals and not name.startswith("#"):
                    env[name.strip()] = value.strip().strip("\"'")
    for name, value in env.items():
        os.environ.setdefault(str(name), str(value))


def _load(target: Any, path: Path, graph: str) -> Any:
    # The CLI's newer form is an object with the path in it.
    target = target.get("path") if isinstance(target, dict) else target
    place, colon, name = str(target or "").rpartition(":")
    if not colon or not name.isidentifier():
        raise InvalidError(
            f"graph {graph} is {target!r}",
            where=str(path),
            hint="./path.py:variable, or module:variable",
        )
    from sparkplug.agents.entrypoint import load_entrypoint, load_module_file

    if not place.endswith(".py"):
        return load_entrypoint(f"{place}:{name}", [str(path.parent)])
    return load_module_file((path.parent / place).resolve(), name, str(path))
