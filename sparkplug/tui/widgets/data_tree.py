"""Nested values, as JSON and YAML have them, as nodes of a tree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line
from sparkplug.tui.widgets.tree_nodes import Node

#: Characters of a value that are looked at for its row.
_LONGEST = 1000


def data_nodes(value: Any) -> Sequence[Node]:
    """A node for each key of a table or item of a list; what is inside comes when it is asked."""
    if isinstance(value, dict):
        return [data_node(str(key), inner, f"{key}") for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return [data_node(f"[{n}]", inner, "-") for n, inner in enumerate(value)]
    return []


def data_node(key: str, value: Any, label: str) -> Node:
    """One value with its label."""
    name = one_line(label[:_LONGEST])
    if isinstance(value, dict | list | tuple) and value:
        kind = f"  {len(value)}" if isinstance(value, list | tuple) else ""
        line: Line = (("focus", f"{name}:" if name != "-" else name), ("dim", kind))
        return Node(key, line, value, lambda: data_nodes(value))
    mark = "-" if name == "-" else f"{name}:"
    return Node(key, (("focus", f"{mark} "), ("text", scalar_text(value, _LONGEST))), value)


def scalar_text(value: Any, most: int) -> str:
    """A single value in a line, as YAML writes it."""
    if value is None:
        return "~"
    if isinstance(value, bool):
        return str(value).lower()
    return one_line(str(value)[:most])


def value_text(value: Any) -> str:
    """A value to copy or to read: nested ones as JSON, others as they are."""
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
