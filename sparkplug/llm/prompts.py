"""Prompts as files: `prompts/NAME.md` beside an agent, or `NAME.v2.md` for each version.

A template is Jinja2 in its sandbox; a name that is not given is an error, not a blank. A file
may begin with lines `--- … ---` that say what it is for; they are not part of the prompt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.problems import did_you_mean
from sparkplug.schema.textfile import read_text

_FILE = re.compile(r"^(?P<name>[\w-]+?)(?:\.v(?P<version>\d+))?\.(?:md|txt)$")
_HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that was made: its text, and which file of which version made it."""

    text: str
    name: str
    version: int
    path: Path

    def __str__(self) -> str:
        return self.text


class Prompts:
    """The templates of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def versions(self) -> dict[str, dict[int, Path]]:
        """The files there are, by name and version; one without a number is version 1."""
        found: dict[str, dict[int, Path]] = {}
        for path in sorted(self._folder.glob("*")):
            match = _FILE.match(path.name)
            if match is not None:
                version = int(match["version"] or 1)
                other = found.setdefault(match["name"], {}).setdefault(version, path)
                if other != path:
                    raise InvalidError(f"{other.name} is version {version} too", where=str(path))
        return found

    def render(self, name: str, version: int | None = None, **values: Any) -> Prompt:
        """A prompt; the newest version unless one is named.

        Raises NotFoundError, and InvalidError for a template that does not hold or lacks a value.
        """
        from jinja2 import StrictUndefined, TemplateError
        from jinja2.exceptions import TemplateSyntaxError
        from jinja2.sandbox import SandboxedEnvironment

        known = self.versions()
        if name not in known:
            near = did_you_mean(name, known)
            raise NotFoundError(f"no prompt {name}{near}", where=str(self._folder))
        chosen = max(known[name]) if version is None else version
        path = known[name].get(chosen)
        if path is None:
            there = ", ".join(str(one) for one in sorted(known[name]))
            raise NotFoundError(
                f"{name} has no version {chosen}, it has {there}", where=str(self._folder)
            )
        text = read_text(path) or ""
        head = _HEAD.match(text)
        body = text[head.end() :] if head else text
        before = text[: head.end()].count("\n") if head else 0
        environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        try:
            made = environment.from_string(body).render(**values)
        except TemplateSyntaxError as error:
            place = f"{path}:{before + error.lineno}:1"
            raise InvalidError(f"not a template: {error.message}", where=place) from error
        except TemplateError as error:
            raise InvalidError(f"the template fails: {error.message}", where=str(path)) from error
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            # What its values do not take: `{{ host + 1 }}`.
            raise InvalidError(f"the template fails: {error}", where=str(path)) from error
        return Prompt(made.strip(), name, chosen, path)
