"""What a form holds: what was typed into each field, what is wrong with it, and what was before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from sparkplug.schema.problems import Finding, path_text, validate
from sparkplug.tui.widgets.form.fields import NOTHING, Field, Path, read, read_fields, written

#: What is wrong beyond what the model knows: by field, from the values of the top fields.
Check = Callable[[Mapping[str, Any]], Mapping[Path, str]]

#: Steps one can go back.
_STEPS = 500


@dataclass(frozen=True, slots=True)
class _Step:
    texts: dict[Path, str]
    path: Path


class FormState:
    """The fields of a model as texts, checked against the model with every change.

    A field that is not among the texts has its default. `closed` are sections folded away.
    `first` names the top fields that stand before the others. `check` finds what is wrong beyond
    what the model knows.
    """

    def __init__(
        self,
        model: type[BaseModel],
        instance: BaseModel | None = None,
        *,
        first: Sequence[str] = (),
        check: Check | None = None,
    ) -> None:
        self.model = model
        places = {name: place for place, name in enumerate(first)}
        fields = read_fields(model)
        # A stable sort: what is in a section stays behind it.
        self.fields = tuple(sorted(fields, key=lambda f: places.get(f.path[0], len(places))))
        self._check_more = check
        #: What is doubtful about a field, and keeps nothing from being handed in.
        self.doubts: dict[Path, str] = {}
        self._by_path = {field.path: field for field in self.fields}
        self.texts: dict[Path, str] = {}
        self.closed: set[Path] = set()
        #: Fields whose mistakes are told: those touched, and all once it was submitted.
        self._told: set[Path] = set()
        self._wrong: dict[Path, str] = {}
        self._value: BaseModel | None = None
        self._back: list[_Step] = []
        self._forth: list[_Step] = []
        self._merging: Path | None = None
        if instance is not None:
            self._take(instance)
        self._check()

    def _take(self, instance: BaseModel) -> None:
        for field in self.fields:
            value: Any = instance
            for part in field.path:
                value = _inside(value, part) if isinstance(value, BaseModel) else NOTHING
            if value is NOTHING or (field.kind == "section" and not field.optional):
                continue
            same = field.default is not NOTHING and _equal(field.default, value)
            if field.kind == "section":
                if (value is None) is not (field.default in (None, NOTHING)):
                    self.texts[field.path] = "off" if value is None else "on"
            elif not same:
                self.texts[field.path] = written(field, value)

    # What is shown

    def rows(self) -> list[Field]:
        """The fields in sight: those in sections that are open."""
        found: list[Field] = []
        hidden: Path | None = None
        for field in self.fields:
            if hidden is not None and field.path[: len(hidden)] == hidden:
                continue
            hidden = None
            found.append(field)
            if field.kind == "section" and (field.path in self.closed or not self.is_on(field)):
                hidden = field.path
        return found

    def field(self, path: Path) -> Field:
        """The field at a path."""
        return self._by_path[path]

    def is_on(self, field: Field) -> bool:
        """Whether a section is there; one that is not optional always is."""
        if not field.optional:
            return True
        said = self.texts.get(field.path)
        return said == "on" if said is not None else field.default not in (None, NOTHING)

    def is_set(self, field: Field) -> bool:
        """Whether something other than the default was given."""
        return field.path in self.texts

    def set_inside(self, section: Field) -> int:
        """How many fields of a section were given something."""
        size = len(section.path)
        return sum(path[:size] == section.path and len(path) > size for path in self.texts)

    def text(self, field: Field) -> str:
        """What stands in a field: what was typed, or else its default."""
        typed = self.texts.get(field.path)
        return typed if typed is not None else written(field, field.default)

    def wrong(self, field: Field) -> str:
        """What is to be told of a field: nothing before it was touched."""
        return self._wrong.get(field.path, "") if field.path in self._told else ""

    @property
    def problems(self) -> dict[Path, str]:
        """All that is wrong now, told or not."""
        return dict(self._wrong)

    def check(self) -> None:
        """Look again: what it is checked against may be another."""
        self._check()

    @property
    def problem(self) -> str:
        """What is wrong with the whole, once it was submitted."""
        return self._wrong.get((), "") if () in self._told else ""

    @property
    def value(self) -> BaseModel | None:
        """The model as it is now; None while something is wrong."""
        return self._value

    @property
    def given(self) -> dict[str, Any]:
        """The values of the top fields that were given something and hold, by name."""
        found = self._data()
        return {
            field.path[0]: found[field.path[0]]
            for field in self.fields
            if field.depth == 0 and field.path[0] in found and field.path not in self._wrong
        }

    # What is done to it

    def put(self, path: Path, text: str | None, *, merge: bool = False) -> None:
        """Type `text` into a field; None gives it its default again.

        Changes of one field that `merge` are one step back.
        """
        field = self._by_path[path]
        if text == "" and not (field.optional and field.default is not None):
            text = None
        if text == self.texts.get(path):
            self._told.add(path)
            return
        if not (merge and self._merging == path):
            self._back = [*self._back[-_STEPS:], _Step(dict(self.texts), path)]
        self._merging = path if merge else None
        self._forth.clear()
        if text is None:
            self.texts.pop(path, None)
        else:
            self.texts[path] = text
        self._told.add(path)
        self._check()

    def fill(self, instance: BaseModel) -> None:
        """Put the values of `instance` into all fields: one step back."""
        self._back = [*self._back[-_STEPS:], _Step(dict(self.texts), self.fields[0].path)]
        self._forth.clear()
        self._merging = None
        self.texts = {}
        self._take(instance)
        self._check()

    def load(self, texts: Mapping[Path, str]) -> None:
        """Put these texts into the fields, and nothing into the others."""
        self.texts = {path: text for path, text in texts.items() if path in self._by_path}
        self._check()

    def pause(self) -> None:
        """What is typed from here on is another step back."""
        self._merging = None

    def switch(self, section: Field) -> None:
        """An optional section comes, or goes with all that is in it."""
        self.put(section.path, "off" if self.is_on(section) else "on")

    def fold(self, section: Field) -> None:
        """A section is folded away, or opened."""
        self.closed ^= {section.path}

    def open_to(self, path: Path) -> None:
        """Open the sections that a field is in."""
        for size in range(1, len(path)):
            self.closed.discard(path[:size])

    def undo(self) -> Path | None:
        """Take the last change back; the field it was in."""
        return self._swap(self._back, self._forth)

    def redo(self) -> Path | None:
        """Do again what was taken back; the field it was in."""
        return self._swap(self._forth, self._back)

    def _swap(self, source: list[_Step], target: list[_Step]) -> Path | None:
        if not source:
            return None
        step = source.pop()
        target.append(_Step(dict(self.texts), step.path))
        self.texts = dict(step.texts)
        self._merging = None
        self._check()
        return step.path

    def submit(self) -> BaseModel | None:
        """The model; None when something is wrong, which is then told everywhere."""
        self._told = {(), *self._by_path}
        return self._value

    def first_wrong(self) -> Path | None:
        """The first field that something is wrong with."""
        return next((field.path for field in self.fields if field.path in self._wrong), None)

    # How it is checked

    def _data(self) -> dict[str, Any]:
        """What was given, as the model takes it; what cannot be read is noted as wrong."""
        self._unread: dict[Path, str] = {}
        data: dict[str, Any] = {}
        off: Path | None = None
        for field in self.fields:
            if off is not None and field.path[: len(off)] == off:
                continue
            off = None
            if field.kind == "section":
                if not self.is_on(field):
                    off = field.path
                    if field.default is not None:
                        _put(data, field.path, None)
                elif field.optional or field.required:
                    _put(data, field.path, {})
                continue
            text = self.texts.get(field.path)
            if text is None:
                if field.carried:
                    _put(data, field.path, field.default)
                continue
            if text == "":
                _put(data, field.path, None)
                continue
            try:
                _put(data, field.path, read(field, text))
            except ValueError as error:
                self._unread[field.path] = str(error)
                _put(data, field.path, text)
        return data

    def _check(self) -> None:
        data = self._data()
        self._wrong = dict(self._unread)
        if self._check_more is not None:
            self._wrong.update(self._check_more(data))
        found = validate(self.model, data)
        if isinstance(found, list):
            self._value = None
            for finding in found:
                place = self._place(finding.path)
                self._wrong.setdefault(place, _said(finding, place))
        else:
            self._value = None if self._wrong else found

    def _place(self, path: Iterable[str | int]) -> Path:
        """The field a finding is about: the nearest to its path."""
        parts = tuple(str(part) for part in path)
        while parts and parts not in self._by_path:
            parts = parts[:-1]
        return parts


def _said(finding: Finding, place: Path) -> str:
    """A finding beside its field: its message without the field's name."""
    text = finding.message.removeprefix(path_text(place)).lstrip(": ") if place else finding.message
    return "is needed" if text == "is missing" else text


def _put(data: dict[str, Any], path: Path, value: Any) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
    if not (value == {} and isinstance(data.get(path[-1]), dict)):
        data[path[-1]] = value


def _inside(value: BaseModel, key: str) -> Any:
    """The value of a field by its name or by its alias."""
    names = type(value).model_fields
    for name, info in names.items():
        if key in (name, info.alias, info.validation_alias):
            return getattr(value, name, NOTHING)
    return NOTHING


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
