"""How boxes that stand above each other share the rows of a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """What a box needs, in rows with its border: `least` to say anything, `full` to say all.

    What is over when all boxes are full goes to them by `grows`.
    """

    least: int
    full: int
    grows: int = 0


def share(rows: int, needs: Sequence[Need]) -> list[int]:
    """The rows of each box; together `rows`, whatever they need.

    Each gets its least first, then all fill up evenly, then what is over goes to those that
    grow. Where there is not even the least for all, the last ones go without: less than that
    would say nothing.
    """
    found = [0] * len(needs)
    left = max(0, rows)
    for index, need in enumerate(needs):
        found[index] = need.least if need.least <= left else 0 if index else left
        left -= found[index]
    while left:
        short = [i for i, need in enumerate(needs) if need.least <= found[i] < need.full]
        if not short:
            break
        for index in sorted(short, key=lambda i: found[i])[:left]:
            found[index] += 1
        left -= min(left, len(short))
    if left and needs:
        growing = [need.grows for need in needs]
        if not any(growing):
            growing = [0] * (len(needs) - 1) + [1]
        parts = [left * part // sum(growing) for part in growing]
        parts[max(i for i, part in enumerate(growing) if part)] += left - sum(parts)
        found = [had + more for had, more in zip(found, parts, strict=True)]
    return found
