"""What a request gives a crew: the inputs that its texts name, and where a prompt's words go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from crewai import Crew

from sparkplug.agents.context import Request
from sparkplug.schema.errors import InvalidError

#: The input a plain prompt fills, where a crew names several.
_PROMPT = ("prompt", "text", "input", "question", "query", "request", "topic")


class Inputs:
    """The inputs of a crew; `defaults` for those that are not given."""

    def __init__(self, names: Iterable[str], defaults: Mapping[str, Any] | None = None) -> None:
        self._names = list(names)
        self._defaults = dict(defaults or {})

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema: any JSON may be filled into a text."""
        described: dict[str, Any] = {name: {"title": name} for name in self._names}
        for name, value in self._defaults.items():
            described.setdefault(name, {"title": name})["default"] = value
        needed = [name for name in self._names if name not in self._defaults]
        return {"type": "object", "properties": described, "required": needed}

    def of(self, request: Request) -> dict[str, Any]:
        """The inputs of one request. Raises InvalidError that names those that are missing."""
        inputs = {**self._defaults, **request.input}
        if request.text and (name := self._for_words(inputs)):
            inputs[name] = request.text
        missing = [name for name in self._names if name not in inputs]
        if missing:
            if not request.structured and len(missing) > 1:
                raise InvalidError(
                    "this crew takes no plain prompt",
                    hint=f"call it with an input: its texts name {', '.join(self._names)}",
                )
            raise InvalidError(
                f"{', '.join(missing)} missing in the input",
                where="kickoff",
                hint=f"its texts name {', '.join(self._names)}",
            )
        return inputs

    def fit(self, crew: Crew, request: Request) -> None:
        """Tell a crew whose texts name no inputs what was asked, with its first task."""
        if self._names or not request.text or not crew.tasks:
            return
        # Braces in a person's words are no placeholders.
        words = request.text.replace("{", "(").replace("}", ")")
        crew.tasks[0].description += f"\n\nThis was asked:\n{words}"

    def _for_words(self, given: Mapping[str, Any]) -> str:
        """The input that a prompt's words are, empty for none."""
        free = [name for name in self._names if name not in given or name in self._defaults]
        open_ = [name for name in free if name not in self._defaults] or free
        if len(open_) == 1:
            return open_[0]
        return next((name for name in _PROMPT if name in open_), "")
