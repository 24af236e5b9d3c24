"""What steps wait for, directly and through others. Pure.

In numbers with a bit for each step: a message has room for a graph of which sets would take
minutes, and the planner has other runs to see to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

Graph = Mapping[str, Sequence[str]]


def find_cycle(graph: Graph) -> list[str]:
    """The steps of one cycle, each waiting for the next; empty when there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # graphlib lists each before the one that waits for it, with the first again at the end.
        cycle: list[str] = error.args[1]
        return cycle[:0:-1]
    return []


class Before:
    """Which steps of a graph come before which. Of one with a cycle nothing can be said."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def waits(self, step: str, name: str) -> bool:
        """Whether a step waits for another, or may: for one that is unknown, or in a cycle."""
        if name in self._graph[step]:
            return True
        bits, before = self._numbers
        if not before:
            return True
        return bool(before[step] & (bits.get(name, 0) | _UNKNOWN))

    @cached_property
    def _numbers(self) -> tuple[dict[str, int], dict[str, int]]:
        """The bit of each step, and those of all that it waits for; none where there is a cycle."""
        bits = {name: 2 << number for number, name in enumerate(self._graph)}
        before: dict[str, int] = {}
        try:
            order = list(TopologicalSorter(self._graph).static_order())
        except CycleError:
            return bits, {}
        for name in order:
            found = 0
            for waited in self._graph.get(name, ()):
                found |= before[waited] | bits.get(waited, _UNKNOWN)
            before[name] = found
        return bits, before


_UNKNOWN = 1
