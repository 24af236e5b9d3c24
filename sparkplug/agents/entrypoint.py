"""Finding what an entrypoint names: `module:name`, with an error that says where it looked."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import Any

from sparkplug.agents.manifest import is_manifest, load_manifest
from sparkplug.schema.errors import InvalidError


def load_entrypoint(entrypoint: str, folders: list[str]) -> Any:
    """The object behind `module:name`; `folders` are searched before the rest of sys.path.

    Of a crew file it is the path, taken from the first folder. Raises InvalidError when the
    module or the name does not exist or fails on import.
    """
    if is_manifest(entrypoint):
        return load_manifest(entrypoint, folders[0] if folders else "")
    module_name, _, attribute = entrypoint.partition(":")
    for folder in reversed(folders):
        if folder and folder not in sys.path:
            sys.path.insert(0, folder)
    if entrypoint.endswith((".yaml", ".yml")):
        return Path(*folders[:1], entrypoint)
    importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            looked = ", ".join(folder for folder in folders if folder) or "PYTHONPATH"
            raise InvalidError(
                f"there is no module {error.name}",
                where=f"entrypoint {entrypoint}",
                hint=f"looked in {looked} and in {sys.executable}'s packages",
            ) from error
        raise InvalidError(
            f"importing {module_name} fails: {error}",
            where=f"entrypoint {entrypoint}",
            hint=f"install {error.name} for {sys.executable}, or name another `python:`",
        ) from error
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        raise InvalidError(
            f"importing {module_name} fails: {type(error).__name__}: {error}",
            where=_place(error),
            hint="the whole traceback is in the agent's log",
        ) from error
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise InvalidError(
                f"{module_name} has no {attribute}",
                where=f"entrypoint {entrypoint}",
                hint=f"it has: {', '.join(_public(found)[:12]) or 'no public names'}",
            ) from error
    return found


def _place(error: BaseException) -> str:
    """Where code failed, as file:line; of what Python cannot even read, there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"


def load_module_file(path: Path, attribute: str, where: str) -> Any:
    """What a module of that file names so. Raises InvalidError."""
    if not path.is_file():
        raise InvalidError(f"there is no {path}", where=where)
    # A module in a package finds its neighbours by the package's name.
    top = path.parent
    parts = [path.stem]
    while (top / "__init__.py").is_file():
        parts.insert(0, top.name)
        top = top.parent
    return load_entrypoint(f"{'.'.join(parts)}:{attribute}", [str(top)])


def _public(owner: object) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_")]
