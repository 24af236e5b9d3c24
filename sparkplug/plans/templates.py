"""Rendering the templates of plans: in Jinja2's sandbox, with the types of the values kept.

A template that is exactly one `{{ expression }}` gives the value itself; any other gives text,
in which objects, lists and truth values stand as JSON and nothing stands for null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from types import GeneratorType
from typing import Any

from jinja2 import TemplateError, Undefined, nodes
from jinja2.environment import Template, TemplateExpression

from sparkplug.plans.sandbox import Sandbox, begin_rendering
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.run import RunView, StepState, StepView

#: The longest text a template may give, in characters; and the most values in what it gives.
MAX_TEXT = 1 << 20
MAX_VALUES = 200_000
_MAX_DEPTH = 64
_CACHED = 2048

#: Texts that a `when` takes as false, as the values of inputs given on a command line.
_FALSE = frozenset({"", "false", "no", "off", "0", "none", "null"})


def _in_text(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, dict | list | bool):
        return json.dumps(value, ensure_ascii=False)
    return value


_environment = Sandbox(finalize=_in_text)


def variables(view: RunView) -> dict[str, Any]:
    """What the templates of a run can name: `inputs`, and `steps.<id>.output` and `.state`.

    Those of steps that were skipped, failed, or have not ended have no output: it is null.
    """
    return {"inputs": view.inputs, "steps": {step.id: shown(step) for step in view.steps}}


def shown(step: StepView) -> dict[str, Any]:
    """What templates see of a step."""
    return {
        "output": step.output if step.state is StepState.DONE else None,
        "state": step.state.value,
        "error": step.error,
        "agent": step.agent,
        "attempts": step.attempts,
        "tokens": step.tokens,
        "seconds": round(step.worked_seconds, 3),
    }


def render(value: Any, names: Mapping[str, Any], where: str) -> Any:
    """`value` with every text in it rendered; lists and objects are gone through.

    The result is of JSON types. `where` says for errors which template it is. Raises
    InvalidError when a template does not hold or gives too much.
    """
    if isinstance(value, str):
        return _render(value, names, where, keep_value=True)
    if isinstance(value, dict):
        return {key: render(item, names, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, names, f"{where}[{number}]") for number, item in enumerate(value)]
    return value


def render_text(template: str, names: Mapping[str, Any], where: str) -> str:
    """A template as text, also when it is one expression. Raises InvalidError as `render` does."""
    text = _render(template, names, where, keep_value=False)
    assert isinstance(text, str)
    return text


def holds(template: str, names: Mapping[str, Any], where: str) -> bool:
    """Whether a `when` is true. Empty values are false, and the texts false, no, off, 0, none.

    Raises InvalidError as `render` does.
    """
    value = render(template, names, where)
    if isinstance(value, str):
        return value.strip().lower() not in _FALSE
    return bool(value)


def _render(text: str, names: Mapping[str, Any], where: str, *, keep_value: bool) -> Any:
    if "{" not in text:
        return text
    begin_rendering()
    try:
        expression = _only_expression(text) if keep_value else None
        if expression is not None:
            compiled = _compiled_expression(expression)
            return _Plain(where).value(compiled(**names))
        return _joined(_compiled(text).generate(**names), where)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise InvalidError(f"template: {error}", where=where) from error
    except RecursionError as error:
        raise InvalidError("template: nested too deeply", where=where) from error


@lru_cache(_CACHED)
def _compiled(text: str) -> Template:
    return _environment.from_string(text)


@lru_cache(_CACHED)
def _compiled_expression(expression: str) -> TemplateExpression:
    return _environment.compile_expression(expression, undefined_to_none=False)


@lru_cache(_CACHED)
def _only_expression(text: str) -> str | None:
    """The expression of a template that is nothing else, or None."""
    stripped = text.strip()
    if not (stripped.startswith("{{") and stripped.endswith("}}")):
        return None
    body = _environment.parse(stripped).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    if isinstance(body[0].nodes[0], nodes.TemplateData):
        return None
    inner = stripped[2:-2]
    return inner.removeprefix("-").removeprefix("+").removesuffix("-").strip()


def _joined(pieces: Any, where: str) -> str:
    found: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > MAX_TEXT:
            raise InvalidError(f"template: gives more than {MAX_TEXT} characters", where=where)
        found.append(piece)
    return "".join(found)


class _Plain:
    """Brings what an expression gave to JSON types, counting."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._count = 0

    def value(self, value: Any, depth: int = 0) -> Any:
        """The value in JSON types. Raises InvalidError for what has none, or is too much."""
        self._count += 1
        if self._count > MAX_VALUES or depth > _MAX_DEPTH:
            raise InvalidError("template: gives too many values", where=self._where)
        if isinstance(value, Undefined):
            str(value)  # a strict one says here what is undefined
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                raise InvalidError(
                    f"template: gives more than {MAX_TEXT} characters", where=self._where
                )
            return str(value)
        if isinstance(value, dict):
            return {str(key): self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset | range | GeneratorType):
            return [self.value(item, depth + 1) for item in value]
        raise InvalidError(
            f"template: gives a {type(value).__name__}, which is no value", where=self._where
        )
