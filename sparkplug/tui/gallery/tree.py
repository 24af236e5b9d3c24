"""A tree of nested values, and one of very many nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.widget import Widget

from sparkplug.tui.widgets.data_tree import data_node, value_text
from sparkplug.tui.widgets.tree import Tree
from sparkplug.tui.widgets.tree_nodes import Node

ABOUT = "Branches that fold; what is below one is made when it is first looked at."

_SPEC: dict[str, Any] = {
    "name": "critic",
    "resources": {"gpus": 2, "memory": {"least": "16GiB", "most": "64GiB"}},
    "capabilities": ["review", "summarise", {"name": "translate", "to": ["de", "fr"]}],
    "env": {"LANG": "C", "TOKENS": None, "VERBOSE": True},
}
_MANY = 100_000


def _many() -> Sequence[Node]:
    return [Node(str(n), (("text", f"node {n}"),), n) for n in range(_MANY)]


def make() -> Widget:
    """A spec, and a branch of a hundred thousand nodes."""
    found = Tree("tree", text_of=value_text)
    many: Node = Node("many", (("focus", "many:"), ("dim", f"  {_MANY}")), None, _many)
    found.set_nodes([data_node("spec", _SPEC, "spec")], open_to=2)
    found.set_nodes([data_node("spec", _SPEC, "spec"), many])
    return found
