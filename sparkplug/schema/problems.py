"""What is wrong with something a person wrote, in plain words and with its place."""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sparkplug.schema.errors import InvalidError

#: The way to a value inside a document: keys and list indices, outermost first.
KeyPath = tuple[str | int, ...]

Model = TypeVar("Model", bound=BaseModel)

#: What pydantic's error types say was expected, in plain words.
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `place` is file:line:column, as editors and compilers write it."""

    place: str
    message: str


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, by its path in the document; `at_key` points at the key itself."""

    path: KeyPath
    message: str
    at_key: bool = False


def invalid(problems: Sequence[Problem], hint: str | None = None) -> InvalidError:
    """One error of many problems, in the order given; shown, it is one line for each.

    `where` is the place of the first; `message` is its text, then a line
    `file:line:column: text` for every further one.
    """
    first, *others = problems
    lines = [first.message, *(f"{problem.place}: {problem.message}" for problem in others)]
    return InvalidError("\n".join(lines), where=first.place, hint=hint)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`, did you mean x?` for the choice nearest to `word`; nothing when none is near."""
    import difflib

    near = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f", did you mean {near[0]}?" if near else ""


def path_text(path: KeyPath) -> str:
    """A path as people write it: `steps[0].retry.max`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def validate(model: type[Model], data: Any) -> Model | list[Finding]:
    """`data` as `model`, or everything that is wrong with it."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        return explain(error, model, data)
    except OverflowError:
        return [Finding((), "a number is too large")]


def explain(error: ValidationError, model: type[BaseModel], data: Any) -> list[Finding]:
    """What pydantic found wrong with `data`, a finding for each place.

    A value that fits no branch of a union is one finding that names all the branches.
    """
    expected: dict[KeyPath, list[str]] = {}
    got: dict[KeyPath, str] = {}
    findings: dict[KeyPath, Finding] = {}
    deeper: set[KeyPath] = set()
    for detail in error.errors(include_url=False):
        path, branch_at = _data_path(detail, data)
        if branch_at is not None and len(path) > branch_at:
            deeper.add(path[:branch_at])
        words = _EXPECTED.get(detail["type"])
        if words is None:
            findings.setdefault(path, _finding(detail, path, model))
        elif words not in expected.setdefault(path, []):
            expected[path].append(words)
            got[path] = _kind(detail["input"])
    for path, words_of_path in expected.items():
        if path not in deeper:
            text = f"expected {' or '.join(words_of_path)}, got {got[path]}"
            findings.setdefault(path, Finding(path, _labelled(path, text)))
    return list(findings.values())


def _data_path(detail: ErrorDetails, data: Any) -> tuple[KeyPath, int | None]:
    """The path in the data of a pydantic location, and where in it a union branched.

    Pydantic's location also names union branches and `[key]`, which the data does not hold.
    """
    path: list[str | int] = []
    branch_at: int | None = None
    value = data
    location = detail["loc"]
    if detail["type"] == "missing":
        location = location[:-1]
    for part in location:
        inside = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if inside:
            path.append(part)
            value = value[part]
        elif part != "[key]":
            branch_at = len(path)
    path.extend(detail["loc"][len(location) :])
    return tuple(path), branch_at


def _finding(detail: ErrorDetails, path: KeyPath, model: type[BaseModel]) -> Finding:
    """One finding in plain words, for the errors that are not about a value's type."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return Finding(path, f"{path_text(path)} is missing")
    if kind == "extra_forbidden":
        inside = f" in {path_text(path[:-1])}" if len(path) > 1 else ""
        near = did_you_mean(str(path[-1]), keys_at(model, path[:-1]))
        return Finding(path, f"unknown key {path[-1]}{inside}{near}", at_key=True)
    if kind == "literal_error":
        choices = _literals_at(model, path)
        near = did_you_mean(str(detail["input"]), choices)
        text = f"expected {' or '.join(choices) or context.get('expected')}{near}"
    elif kind == "string_pattern_mismatch":
        text = f"does not have the form {context.get('pattern')}"
    elif kind == "greater_than_equal":
        text = f"must be at least {context.get('ge')}"
    elif kind == "greater_than":
        text = f"must be more than {context.get('gt')}"
    elif kind == "less_than_equal":
        text = f"must be at most {context.get('le')}"
    elif kind == "too_long":
        text = f"at most {context.get('max_length')}, not {context.get('actual_length')}"
    elif kind == "too_short":
        text = f"at least {context.get('min_length')}, not {context.get('actual_length')}"
    elif kind == "value_error":
        text = detail["msg"].removeprefix("Value error, ")
    else:
        text = detail["msg"][:1].lower() + detail["msg"][1:]
    return Finding(path, _labelled(path, text), at_key="[key]" in detail["loc"])


def _labelled(path: KeyPath, text: str) -> str:
    return f"{path_text(path)}: {text}" if path else text


def _kind(value: Any) -> str:
    """What a value is, as a person would say."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "keys with values"


def keys_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that `model` knows at `path`; empty where any key may stand."""
    for kind in _kinds_at(model, path):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return list(kind.model_fields)
    return []


def _literals_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    kinds = _kinds_at(model, path)
    return [
        str(value)
        for kind in kinds
        for value in get_args(kind)
        if str(get_origin(kind)) == "typing.Literal"
    ]


def _kinds_at(model: type[BaseModel], path: KeyPath) -> list[Any]:
    """The types that may stand at `path`: union branches each, annotations taken off."""
    kinds: list[Any] = [model]
    for part in path:
        below: list[Any] = []
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                field = kind.model_fields.get(str(part))
                below.extend(_branches(field.annotation) if field else [])
            elif get_origin(kind) in (list, dict):
                below.extend(_branches(get_args(kind)[-1]))
        kinds = below
    return kinds


def _branches(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _branches(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [kind for branch in get_args(annotation) for kind in _branches(branch)]
    return [annotation]
