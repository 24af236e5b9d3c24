"""What a request gives a crew: the inputs that its texts name, and where a prompt's words go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from crewai import Crew

from sparkplug.agents.context import Request
from sparkplug.schema.errors import InvalidError

#: The input a plain prompt fills, where a crew names several.
_ACTION = "action"
_PROMPT = ("prompt", "text", "input", "question", "query", "request", "topic")


class Inputs:
    """The inputs of a crew; `defaults` for those that are not given."""

    def __init__(
        self,
        names: Iterable[str],
        defaults: Mapping[str, Any] | None = None,
        *,
        prepared: bool = False,
    ) -> None:
        """`prepared`: functions of the crew make inputs of others, so none is missed here."""
        self._names = list(names)
        self._defaults = dict(defaults or {})
        self._prepared = prepared

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema: any JSON may be filled into a text."""
        described: dict[str, Any] = {name: {"title": name} for name in self._names}
        for name, value in self._defaults.items():
            described.setdefault(name, {"title": name})["default"] = value
        known = (*self._defaults, _ACTION)
        needed = [] if self._prepared else [name for name in self._names if name not in known]
        return {"type": "object", "properties": described, "required": needed}

    def of(self, request: Request) -> dict[str, Any]:
        """The inputs of one request. Raises InvalidError that names those that are missing."""
        inputs = {**self._defaults, _ACTION: request.action, **request.input}
        if request.text:
            inputs.setdefault("prompt", request.text)
            if name := self._for_words(request.input):
                inputs[name] = request.text
        missing = [name for name in self._names if name not in inputs and not self._prepared]
        if missing:
            if not request.structured and len(missing) > 1:
                raise InvalidError(
                    "this crew takes no plain prompt",
                    hint=f"call it with an input: it needs {', '.join(missing)}",
                )
            raise InvalidError(
                f"{', '.join(missing)} missing in the input",
                where="kickoff",
                hint=f"its texts name {', '.join(self.schema['required'])}",
            )
        return inputs

    def fit(self, crew: Crew, request: Request, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs, and words that fit none of them told with the crew's first task."""
        if request.text and not self._names and crew.tasks:
            crew.tasks[0].description += "\n\nThis was asked:\n{prompt}"
        return dict(inputs)

    def _for_words(self, given: Mapping[str, Any]) -> str:
        """The input that a prompt's words are, empty for none."""
        free = [name for name in self._names if name not in given and name != _ACTION]
        open_ = [name for name in free if name not in self._defaults] or free
        if len(open_) == 1:
            return open_[0]
        return next((name for name in _PROMPT if name in open_), "")
