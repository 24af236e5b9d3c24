"""Typed actions: methods marked with `@action`, their JSON Schemas, and calling them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from sparkplug.schema.errors import InvalidError

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_MARK = "_sparkplug_action"
_HEARS = "_sparkplug_on"


def action(function: FunctionT) -> FunctionT:
    """Offer a method as an action of the agent: `async def survey(self, ctx, host: str)`.

    Its arguments after `ctx` are published as a JSON Schema and checked on every call.
    """
    setattr(function, _MARK, True)
    return function


def on(topic: str) -> Callable[[FunctionT], FunctionT]:
    """Have a method hear what other agents publish: `@on("builds.*")` over
    `async def built(self, ctx, said)`.

    Of the replicas of an agent one hears each.
    """

    def mark(function: FunctionT) -> FunctionT:
        setattr(function, _HEARS, topic)
        return function

    return mark


def listeners_of(instance: object) -> dict[str, Callable[..., Any]]:
    """Every method of an agent that is marked with `@on`, by topic. Raises InvalidError."""
    found: dict[str, Callable[..., Any]] = {}
    for name, method in inspect.getmembers(instance, callable):
        topic = getattr(method, _HEARS, None)
        if topic is None:
            continue
        if topic in found:
            raise InvalidError(f"{name}: another method listens to {topic} already")
        found[topic] = method
    return found


class Action:
    """One action: its name, the schema of its input, and how to call it."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function
        self.model = _input_model(name, function)

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of the input."""
        schema = self.model.model_json_schema()
        description = inspect.getdoc(self.function)
        if description:
            schema["description"] = description
        return schema

    def arguments(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        """The input as checked keyword arguments. Raises InvalidError naming the field."""
        try:
            checked = self.model.model_validate(dict(input))
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join(str(part) for part in problem["loc"]) or "input"
            raise InvalidError(f"{field}: {problem['msg']}", where=f"action {self.name}") from error
        return {name: getattr(checked, name) for name in self.model.model_fields}


def actions_of(instance: object) -> dict[str, Action]:
    """Every method of an agent that is marked with `@action`, by name."""
    found = {}
    for name, method in inspect.getmembers(instance, callable):
        if getattr(method, _MARK, False):
            found[name] = Action(name, method)
    return found


def _input_model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    for parameter in parameters[1:]:  # the first is ctx
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise InvalidError(
                f"action {name}: *{parameter.name} cannot be published as a schema",
                hint="name each argument and its type",
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    return create_model(f"{name}_input", __config__=ConfigDict(extra="forbid"), **fields)


_anything: TypeAdapter[Any] = TypeAdapter(Any)


def as_json(value: Any) -> str:
    """What a handler returned as JSON: models, dataclasses, dates and paths included."""
    return _anything.dump_json(value).decode()


def as_text(value: Any) -> str:
    """What a handler returned as the text of a plain answer."""
    if value is None:
        return ""
    return value if isinstance(value, str) else as_json(value)
