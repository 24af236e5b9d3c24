"""A spec as the YAML a person writes: what differs from the defaults, in the order of the fields.

The same spec always gives the same text, so that texts can be compared line by line.
"""

from __future__ import annotations

import difflib
import io
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sparkplug.schema.agent import DesiredAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.documents import examine
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.problems import invalid
from sparkplug.schema.units import bytes_text, parse_bytes, parse_seconds, seconds_text


def agent_text(spec: AgentSpec) -> str:
    """The YAML of a spec. Reading it gives the spec again."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 100
    stream = io.StringIO()
    yaml.dump(_plain(spec), stream)
    return stream.getvalue()


def read_agent_text(text: str, name: str = "<text>") -> AgentSpec:
    """The spec in a text. Raises InvalidError that lists every problem with line and column."""
    spec, source = examine(text, AgentSpec, name)
    if spec is None:
        raise invalid(source.problems)
    return spec


def wanted_text(wanted: DesiredAgent | None) -> str:
    """What is wanted of an agent as text: its spec, and beside it what no file says."""
    if wanted is None:
        return ""
    head = f"# folder: {wanted.folder}\n" + ("" if wanted.run else "# stopped\n")
    return head + agent_text(wanted.spec)


def unified(before: str, after: str, names: tuple[str, str]) -> str:
    """The unified diff of two texts, as `diff -u` prints it; empty when they are the same."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="", n=3)
    return "\n".join(lines)


def refuse_other_name(spec: AgentSpec, name: str) -> None:
    """Raise InvalidError when an edited spec has got another name: that would be another agent."""
    if spec.name != name:
        raise InvalidError(
            f"name: {spec.name} is not {name}: an agent keeps its name",
            hint="`sparkplug agents deploy` runs a new agent under another name",
        )


def _plain(model: BaseModel) -> dict[str, Any]:
    """The set values of a model that differ from their defaults."""
    found: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if not field.is_required() and value == field.get_default(call_default_factory=True):
            continue
        found[name] = _plain(value) if isinstance(value, BaseModel) else _quantity(value, field)
    return found


def _quantity(value: Any, field: FieldInfo) -> Any:
    """A size or duration in the unit a person would write; anything else as it is."""
    readers = [getattr(part, "func", None) for part in field.metadata]
    if isinstance(value, int | float) and not isinstance(value, bool):
        if parse_bytes in readers or "parse_bytes" in repr(field.annotation):
            return bytes_text(int(value))
        if parse_seconds in readers or "parse_seconds" in repr(field.annotation):
            return seconds_text(float(value))
    return value
