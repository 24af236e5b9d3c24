"""Plans by file or by name, and their inputs as people give them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.plan import Plan
from sparkplug.schema.plan_check import load_plan
from sparkplug.schema.plan_inputs import checked_inputs as check_inputs
from sparkplug.schema.problems import did_you_mean
from sparkplug.schema.text import one_line
from sparkplug.shipped import shipped

#: Characters of what was given for a plan's name that are told.
_TOLD = 80

__all__ = ["check_inputs", "find_plan", "parse_inputs", "plan_files", "plan_names"]


def plan_files() -> dict[str, Path]:
    """The files of the plans that have a name, by it: those shipped, and those of plugins.

    A shipped one goes before a plugin's of the same name.
    """
    folders = [*sorted(shipped("plugins").glob("*/plans")), shipped("config") / "plans"]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def plan_names() -> list[str]:
    """The names of the shipped plans and those of plugins."""
    return sorted(plan_files())


def find_plan(name: str, agents: set[str] | None = None) -> Plan:
    """The plan in the file `name`, or the shipped plan of that name, checked.

    `agents` are the names that exist (None: not known). Raises NotFoundError, InvalidError.
    """
    path = Path(name)
    try:
        is_file = "\0" not in name and path.is_file()
    except OSError as error:
        told = f"{one_line(name[:_TOLD])} cannot be a plan: {error.strerror}"
        raise InvalidError(
            told, hint=f"give a file, or one of: {', '.join(plan_names())}"
        ) from error
    if is_file or ("\0" not in name and (path.suffix in (".yaml", ".yml") or "/" in name)):
        return load_plan(path, agents, _named)
    known = plan_files()
    if name in known:
        return load_plan(known[name], agents, _named)
    raise NotFoundError(
        f"no plan {one_line(name[:_TOLD])}{did_you_mean(name, known)}",
        hint=f"give a file, or one of: {', '.join(known) or 'none is shipped'}",
    )


def _named(name: str) -> Plan | None:
    """The plan of a name, for another that runs it; not checked."""
    file = plan_files().get(name)
    return load_plan(file, None, _named) if file is not None else None


def parse_inputs(pairs: Iterable[str], plan: Plan | None = None) -> dict[str, Any]:
    """Inputs from `key=value`; a value that is JSON (a number, a list) is read as such.

    What `plan` takes as a text stays one, also where it reads like a number. Raises InvalidError.
    """
    inputs: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise InvalidError(f"an input is key=value, not {pair!r}")
        try:
            inputs[key] = json.loads(text)
        except ValueError:
            inputs[key] = text
        wanted = plan.inputs.get(key) if plan is not None else None
        if wanted is not None and wanted.type == "text" and not isinstance(inputs[key], str):
            inputs[key] = text
    return inputs
