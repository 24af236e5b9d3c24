"""The fields of a pydantic model as a form shows them: what each takes, its default, its place."""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, SecretBytes, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sparkplug.schema.units import (
    bytes_text,
    parse_bytes,
    parse_seconds,
    seconds_text,
)
from sparkplug.tui.widgets.form import words

Kind = Literal[
    "text",
    "secret",
    "integer",
    "number",
    "switch",
    "choice",
    "size",
    "duration",
    "list",
    "pairs",
    "either",
    "data",
    "section",
]
Path = tuple[str, ...]

#: What stands at the right of a field: what one types there.
_HINTS: dict[Kind, str] = {
    "text": "text",
    "secret": "secret",
    "integer": "number",
    "number": "number",
    "switch": "yes/no",
    "choice": "choice",
    "size": "size",
    "duration": "duration",
    "list": "a, b",
    "pairs": "k=v, k=v",
    "either": "a or a, b",
    "data": "JSON",
    "section": "",
}
_SCALARS: dict[Any, Kind] = {str: "text", int: "integer", float: "number", bool: "switch"}
_YES = ("no", "yes")
#: Models inside one another beyond this are typed as JSON.
_DEEPEST = 8


class Nothing:
    """Stands for a default there is not."""

    def __repr__(self) -> str:
        return "no default"


NOTHING = Nothing()


@dataclass(frozen=True, slots=True)
class Field:
    """One row of a form.

    `path` is the way to it in the data, `default` is NOTHING where one must be given. `carried`
    is true of a default that the model itself does not give: it comes from the section's.
    """

    path: Path
    kind: Kind
    hint: str
    description: str
    default: Any
    optional: bool = False
    carried: bool = False
    choices: tuple[Any, ...] = ()
    item: Kind = "text"
    model: type[BaseModel] | None = None
    annotation: Any = None

    @property
    def label(self) -> str:
        """Its name."""
        return self.path[-1]

    @property
    def depth(self) -> int:
        """How many sections it is in."""
        return len(self.path) - 1

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is NOTHING

    @property
    def names(self) -> tuple[str, ...]:
        """What can be chosen, as it is written."""
        return _YES if self.kind == "switch" else tuple(_choice_name(c) for c in self.choices)


def read_fields(model: type[BaseModel]) -> tuple[Field, ...]:
    """All fields of a model in their order, those of models inside it after their section."""
    return tuple(_fields(model, (), NOTHING, (model,)))


def _fields(
    model: type[BaseModel], before: Path, carried: Any, within: tuple[type[BaseModel], ...]
) -> Iterator[Field]:
    for name, info in model.model_fields.items():
        key = info.validation_alias if isinstance(info.validation_alias, str) else info.alias
        own = _default(info)
        default = own if isinstance(carried, Nothing) else getattr(carried, name, own)
        inherits = default is not own and not (own is not NOTHING and own == default)
        found = _field(info, (*before, key or name), default, inherits)
        inner = found.model
        if inner is not None and (inner in within or len(within) > _DEEPEST):
            yield _data(found)
            continue
        yield found
        if inner is not None:
            known = default if isinstance(default, BaseModel) else NOTHING
            yield from _fields(inner, found.path, known, (*within, inner))


def _default(info: FieldInfo) -> Any:
    if info.is_required():
        return NOTHING
    try:
        found = info.get_default(call_default_factory=True, validated_data={})
    except (TypeError, KeyError, ValueError):
        return None  # it is made from other fields: the model knows it, the form cannot show it
    return NOTHING if found is PydanticUndefined else found


def _field(info: FieldInfo, path: Path, default: Any, carried: bool) -> Field:
    annotation, metadata, optional = _bare(info.annotation, tuple(info.metadata))
    kind, choices, item, model = _kind(annotation, metadata)
    hint = _HINTS[kind]
    described = info.description or (inspect.getdoc(model) if model else "") or ""
    if kind == "list" and item != "text":
        hint = f"{_HINTS[item]}, …"
    return Field(
        path=path,
        kind=kind,
        hint=hint,
        description=" ".join(described.split()),
        default=default,
        optional=optional,
        carried=carried,
        choices=choices,
        item=item,
        model=model,
        annotation=info.annotation,
    )


def _data(field: Field) -> Field:
    return Field(
        path=field.path,
        kind="data",
        hint=_HINTS["data"],
        description=field.description,
        default=field.default,
        optional=field.optional,
        carried=field.carried,
        annotation=field.annotation,
    )


def _bare(annotation: Any, metadata: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...], bool]:
    """The type itself, what is noted beside it, and whether it may be None."""
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *notes = get_args(annotation)
            metadata += tuple(notes)
        elif hasattr(annotation, "__value__"):  # the name of a type
            annotation = annotation.__value__
        elif origin in (Union, types.UnionType) and type(None) in get_args(annotation):
            rest = tuple(kind for kind in get_args(annotation) if kind is not type(None))
            annotation, optional = Union[rest], True  # noqa: UP007 - made of what is left
        else:
            return annotation, metadata, optional


def _kind(
    annotation: Any, metadata: tuple[Any, ...]
) -> tuple[Kind, tuple[Any, ...], Kind, type[BaseModel] | None]:
    """What a type is to a form, what can be chosen, what a list holds, the model inside."""
    parsers = [note.func for note in metadata if isinstance(note, BeforeValidator)]
    if parse_bytes in parsers:
        return "size", (), "text", None
    if parse_seconds in parsers:
        return "duration", (), "text", None
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in _SCALARS:
        return _SCALARS[annotation], (), "text", None
    if annotation in (SecretStr, SecretBytes):
        return "secret", (), "text", None
    if origin is Literal:
        return "choice", inner, "text", None
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "choice", tuple(annotation), "text", None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section", (), "text", annotation
    if origin in (list, set, frozenset, tuple) and _is_row(origin, inner):
        item, notes, optional = _bare(inner[0], ())
        kind, choices, _, _ = _kind(item, notes)
        if kind not in ("list", "pairs", "either", "data", "section", "secret") and not optional:
            return "list", choices, kind, None
    if origin in (dict, Mapping) and _is_text(inner[0]) and _is_text(inner[1]):
        return "pairs", (), "text", None
    if origin in (Union, types.UnionType) and _is_either(inner):
        return "either", (), "text", None
    return "data", (), "text", None


def _is_row(origin: Any, inner: tuple[Any, ...]) -> bool:
    return len(inner) == 1 if origin is not tuple else len(inner) == 2 and inner[1] is Ellipsis


def _is_text(annotation: Any) -> bool:
    return _bare(annotation, ())[0] is str


def _is_either(branches: tuple[Any, ...]) -> bool:
    kinds = sorted(_kind(*_bare(branch, ())[:2])[0] for branch in branches)
    return kinds == ["list", "text"] and all(
        _kind(*_bare(branch, ())[:2])[2] == "text" for branch in branches
    )


def _choice_name(choice: Any) -> str:
    return str(choice.value if isinstance(choice, enum.Enum) else choice)


def written(field: Field, value: Any) -> str:
    """A value of a field, as one types it there; nothing for None."""
    if value is None or value is NOTHING:
        return ""
    if field.kind == "section":
        return "on"
    if field.kind == "data":
        return words.from_data(TypeAdapter(field.annotation).dump_python(value, mode="json"))
    if field.kind == "list":
        return words.from_items([_scalar_text(field.item, one) for one in value])
    if field.kind == "pairs":
        return words.from_pairs(value)
    if field.kind == "either":
        return words.from_either(value)
    return _scalar_text(field.kind, value, quotes=True)


def _scalar_text(kind: Kind, value: Any, *, quotes: bool = False) -> str:
    if kind == "switch":
        return _YES[bool(value)]
    if kind == "choice":
        return _choice_name(value)
    if kind == "size":
        return bytes_text(value)
    if kind == "duration":
        return seconds_text(value)
    if kind == "secret":
        value = value.get_secret_value()
        value = value.decode(errors="replace") if isinstance(value, bytes) else value
    text = str(value)
    return words.from_text(text) if quotes and kind in ("text", "secret") else text


def read(field: Field, typed: str) -> Any:
    """What was typed, as the model takes it. Raises ValueError in plain words.

    A text that is no number is given on as it is: the model says what it wants.
    """
    if field.kind == "list":
        return [_scalar(field.item, one, field.choices) for one in words.to_items(typed)]
    reader = _READERS.get(field.kind)
    return reader(typed) if reader else _scalar(field.kind, typed, field.choices)


_READERS: dict[Kind, Callable[[str], Any]] = {
    "text": words.to_text,
    "secret": words.to_text,
    "pairs": words.to_pairs,
    "either": words.to_either,
    "data": words.to_data,
}


def _scalar(kind: Kind, typed: str, choices: tuple[Any, ...]) -> Any:
    text = typed.strip()
    if kind in ("integer", "size"):
        try:
            return int(text) if text.lstrip("+-").isdecimal() else text
        except ValueError as error:
            raise ValueError("a number is too large") from error
    if kind == "number":
        try:
            return float(text)
        except ValueError:
            return text
    if kind == "switch":
        return {"yes": True, "no": False}.get(text.lower(), text)
    if kind == "choice":
        return next((choice for choice in choices if _choice_name(choice) == text), text)
    return text if kind == "duration" else typed
