"""The nodes of a tree, and which of them are in sight: what is open, what a filter shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sparkplug.tui.cells import Line, plain
from sparkplug.tui.filter import EVERYTHING

#: Nodes a single key, or a filter, loads that were not looked at yet.
LOADED_AT_ONCE = 20_000

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its key among those beside it, its label, its value, and what is below it.

    `children` are nodes, or what makes them when they are first looked at.
    """

    key: str
    line: Line
    value: Any = None
    children: Sequence[Node] | Callable[[], Sequence[Node]] = ()

    @property
    def is_branch(self) -> bool:
        """Whether there can be anything below it."""
        return callable(self.children) or bool(self.children)


class Place:
    """A node in sight: where it hangs."""

    __slots__ = ("depth", "last", "node", "parent")

    def __init__(self, node: Node, parent: Place | None, depth: int, last: bool) -> None:
        self.node = node
        self.parent = parent
        self.depth = depth
        self.last = last

    @property
    def path(self) -> Path:
        """The keys that lead here."""
        keys = [self.node.key]
        above = self.parent
        while above is not None:
            keys.append(above.node.key)
            above = above.parent
        return tuple(reversed(keys))


class Branches:
    """What hangs below what, as far as it was looked at."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._roots: Sequence[Node] = ()
        self._open: set[Path] = set()
        self._loaded: dict[Path, Sequence[Node]] = {}
        self._filter = EVERYTHING
        self._kept: set[Path] | None = None
        #: Branches that a filter holds open: something below them matches.
        self._held: set[Path] = set()
        super().__init__(*args, **kwargs)

    def _walk(self, depth: int) -> Iterator[tuple[Path, Node]]:
        """The branches above a depth."""
        level: list[tuple[Path, Node]] = [((node.key,), node) for node in self._roots]
        for _ in range(depth):
            yield from ((path, node) for path, node in level if node.is_branch)
            level = [
                ((*path, child.key), child)
                for path, node in level
                for child in self._children(path, node)
            ]

    def _children(self, path: Path, node: Node) -> Sequence[Node]:
        if not callable(node.children):
            return node.children
        if path not in self._loaded:
            self._loaded[path] = node.children()
        return self._loaded[path]

    def _below(self, nodes: Sequence[Node], parent: Place | None, path: Path) -> list[Place]:
        """The places of these nodes and of all that is open below them, in their order."""
        found: list[Place] = []
        stack = [(self._passing(nodes, path), parent, path, 0)]
        while stack:
            level, above, before, start = stack.pop()
            depth, last = len(before), len(level) - 1
            for index in range(start, len(level)):
                node = level[index]
                place = Place(node, above, depth, index == last)
                found.append(place)
                if not node.children:
                    continue
                here = (*before, node.key)
                if here in self._open or here in self._held:
                    inner = self._passing(self._children(here, node), here)
                    stack += [(level, above, before, index + 1), (inner, place, here, 0)]
                    break
        return found

    def _passing(self, nodes: Sequence[Node], path: Path) -> Sequence[Node]:
        """Those that a filter shows."""
        kept = self._kept
        return nodes if kept is None else [node for node in nodes if (*path, node.key) in kept]

    def _find_kept(self) -> None:
        """What a filter shows: what matches, what is above it, and what is below it."""
        self._held = set()
        self._kept = None
        if not self._filter.text:
            return
        kept: set[Path] = set()
        budget = LOADED_AT_ONCE
        stack: list[tuple[Path, Node, bool]] = [
            ((node.key,), node, False) for node in reversed(self._roots)
        ]
        while stack:
            path, node, above = stack.pop()
            hit = self._filter.takes(plain(node.line))
            if hit or above:
                kept.add(path)
            if hit:
                for size in range(len(path) - 1, 0, -1):
                    if path[:size] in self._held:
                        break
                    self._held.add(path[:size])
                    kept.add(path[:size])
            if callable(node.children) and path not in self._loaded:
                if budget <= 0:
                    continue
                budget -= 1
            children = self._children(path, node)
            stack += [((*path, child.key), child, hit or above) for child in reversed(children)]
        self._kept = kept


def path_text(path: Path) -> str:
    """A path as people write it: `spec.env[0]`."""
    return "".join(k if k.startswith("[") else f".{k}" for k in path).removeprefix(".")
