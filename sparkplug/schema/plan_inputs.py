"""The inputs of a run: those given, checked against what the plan declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparkplug.schema.errors import InvalidError
from sparkplug.schema.plan import Plan, PlanInput
from sparkplug.schema.problems import did_you_mean

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "text": ((str,), "text"),
    "number": ((int, float), "a number"),
    "integer": ((int,), "a whole number"),
    "boolean": ((bool,), "true or false"),
    "list": ((list,), "a list"),
    "object": ((dict,), "keys with values"),
}


def type_problem(wanted: PlanInput, value: Any) -> str | None:
    """What is wrong with the type of a value; None when nothing is."""
    if wanted.type == "any":
        return None
    kinds, words = _TYPES[wanted.type]
    fits = isinstance(value, kinds) and (wanted.type == "boolean" or not isinstance(value, bool))
    return None if fits else f"expected {words}, got {_shown(value)}"


def checked_inputs(plan: Plan, given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a run: those given, and the defaults of the others.

    Raises InvalidError for an input the plan does not have, one of the wrong type, or one that is
    required and absent.
    """
    for name, value in given.items():
        if name not in plan.inputs:
            known = ", ".join(plan.inputs) or "none"
            raise InvalidError(
                f"plan {plan.name} has no input {name}{did_you_mean(name, plan.inputs)}",
                where=f"inputs.{name}",
                hint=f"its inputs: {known}",
            )
        problem = type_problem(plan.inputs[name], value)
        if problem:
            raise InvalidError(f"plan {plan.name}, input {name}: {problem}", where=f"inputs.{name}")
    missing = [name for name, one in plan.inputs.items() if one.required and name not in given]
    if missing:
        raise InvalidError(
            f"plan {plan.name} wants the input {missing[0]}",
            where=f"inputs.{missing[0]}",
            hint=f"give it: --input {missing[0]}=VALUE",
        )
    return {name: given.get(name, one.default) for name, one in plan.inputs.items()}


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "keys with values"
