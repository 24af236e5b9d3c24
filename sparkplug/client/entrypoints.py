"""Entrypoints looked for in a folder, without running any of its code."""

from __future__ import annotations

import ast
from importlib.machinery import PathFinder
from itertools import islice
from pathlib import Path

from sparkplug.schema.textfile import expanded

#: Entries read of a folder, bytes read of a module, and names told of it.
_READ = 2000
_LARGEST = 1 << 20
_TOLD = 6


def doubt_entrypoint(entrypoint: str, folder: str, python: str | None = None) -> str:
    """Why `module:name` would not be found, as far as can be seen from here; empty when it would.

    Its own folder is looked in first, then SparkPlug's own packages; what another interpreter
    (`python`) has is not known here, nor what is on another host. Reads the disk: for a thread.
    """
    module, _, name = entrypoint.partition(":")
    place = expanded(folder)
    try:
        if entrypoint.endswith((".yaml", ".yml")):
            found = (place / entrypoint).is_file()
            return "" if found else f"no {entrypoint} in {place} on this host"
        if not module or not name:
            return ""
        return _doubt(place, module, name, python)
    except (OSError, ValueError):
        return f"{place} cannot be read on this host"


def _doubt(place: Path, module: str, name: str, python: str | None) -> str:
    if not place.is_dir():
        return f"no folder {place} on this host"
    file = _module_file(place, module)
    if file is None:
        top = module.partition(".")[0]
        if (place / top).is_dir() and "." not in module:
            return ""
        if python or PathFinder.find_spec(top) is not None:
            return ""
        return f"no {module.replace('.', '/')}.py in {place} on this host"
    names = _names(file)
    first = name.partition(".")[0]
    if names is None or first in names:
        return ""
    shown = [one for one in _defined(file) if not one.startswith("_")]
    return f"{file.name} has no {first}" + (f"; it has {_few(shown)}" if shown else "")


def entrypoint_names(folder: str, typed: str) -> list[str]:
    """What an entrypoint being typed could become, from the modules of a folder."""
    place = expanded(folder)
    module, colon, _ = typed.partition(":")
    try:
        if colon:
            file = _module_file(place, module)
            names = _defined(file) if file is not None else ()
            return [f"{module}:{name}" for name in names if not name.startswith("_")]
        entries = sorted(islice(place.iterdir(), _READ))
        files = [entry.stem for entry in entries if entry.suffix == ".py"]
        files += [entry.name for entry in entries if (entry / "__init__.py").is_file()]
        crews = [entry.name for entry in entries if _is_crew(entry)]
    except (OSError, ValueError):
        return []
    return [*(f"{stem}:" for stem in sorted(files) if stem.isidentifier()), *crews]


def _is_crew(file: Path) -> bool:
    """Whether a file looks like a crew file."""
    if file.suffix not in (".yaml", ".yml") or file.stat().st_size > _LARGEST:
        return False
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.startswith("tasks:") for line in lines)


def _module_file(folder: Path, module: str) -> Path | None:
    base = folder.joinpath(*module.split("."))
    for file in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        if file.is_file():
            return file
    return None


def _tree(file: Path) -> ast.Module | None:
    try:
        if file.stat().st_size > _LARGEST:
            return None
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _defined(file: Path) -> list[str]:
    """The functions, classes and values a module makes itself, in their order."""
    tree = _tree(file)
    found: dict[str, None] = {}
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = None
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update((t.id, None) for t in targets if isinstance(t, ast.Name))
    return list(found)


def _names(file: Path) -> set[str] | None:
    """All names a module binds anywhere; None where that cannot be told without running it."""
    tree = _tree(file)
    if tree is None:
        return None
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            if any(alias.name == "*" for alias in node.names):
                return None
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return None if "__getattr__" in found else found


def _few(names: list[str]) -> str:
    return ", ".join(names[:_TOLD]) + (", …" if len(names) > _TOLD else "")
