"""Plans by file or by name, and their inputs as people give them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.plan import Plan
from sparkplug.schema.plan_check import load_plan
from sparkplug.schema.problems import did_you_mean
from sparkplug.shipped import shipped


def plan_names() -> list[str]:
    """The names of the shipped plans."""
    return sorted(path.stem for path in (shipped("config") / "plans").glob("*.yaml"))


def find_plan(name: str, agents: set[str] | None = None) -> Plan:
    """The plan in the file `name`, or the shipped plan of that name, checked.

    `agents` are the names that exist (None: not known). Raises NotFoundError, InvalidError.
    """
    path = Path(name)
    if path.is_file() or path.suffix in (".yaml", ".yml") or "/" in name:
        return load_plan(path, agents)
    if name in plan_names():
        return load_plan(shipped("config") / "plans" / f"{name}.yaml", agents)
    known = plan_names()
    raise NotFoundError(
        f"no plan {name}{did_you_mean(name, known)}",
        hint=f"give a file, or one of: {', '.join(known) or 'none is shipped'}",
    )


def parse_inputs(pairs: Iterable[str]) -> dict[str, Any]:
    """Inputs from `key=value`; a value that is JSON (a number, a list) is read as such."""
    inputs: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise InvalidError(f"an input is key=value, not {pair!r}")
        try:
            inputs[key] = json.loads(text)
        except ValueError:
            inputs[key] = text
    return inputs


def check_inputs(plan: Plan, given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs a run gets: those given and the plan's defaults.

    Raises InvalidError for one the plan does not have, and for one it needs and did not get.
    """
    for name in given:
        if name not in plan.inputs:
            known = ", ".join(plan.inputs) or "it has none"
            raise InvalidError(
                f"{plan.name} has no input {name}{did_you_mean(name, plan.inputs)}",
                hint=f"its inputs: {known}",
            )
    missing = [n for n, i in plan.inputs.items() if i.required and n not in given]
    if missing:
        raise InvalidError(
            f"{plan.name} needs the input {', '.join(missing)}",
            hint=f"give it with --input {missing[0]}=VALUE",
        )
    defaults = {name: entry.default for name, entry in plan.inputs.items()}
    return {**defaults, **given}
