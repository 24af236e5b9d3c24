"""Edges between two layers: each source's trunk in a track of its own, where tracks must differ.

Channel routing with the constraints of Hashimoto and Stevens (1971, the left-edge algorithm): a
trunk that ends in a row where another begins lies after it. Trunks that would each have to lie
after the other are parted by a dogleg (Deutsch, 1976) in a row of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Name = tuple[int, bool]


@dataclass(slots=True, eq=False)
class Net:
    """A trunk: the rows it has before it and after it, and the tracks it lies in."""

    name: Name
    left: set[int] = field(default_factory=set)
    right: set[int] = field(default_factory=set)
    track: int = -1
    #: The row that joins it to its second track, when it has one.
    bend: int = 0
    second: int = -1

    @property
    def straight(self) -> bool:
        """Whether it needs no track."""
        return len(self.left | self.right) < 2

    def corners(self, start: int, end: int, *, turns: bool = False) -> list[tuple[int, int]]:
        """(track, row) of the corners from a row before it to one after it, or, when it `turns`,
        to another before it."""
        if turns:
            return [(self.track, start), (self.track, end)]
        if self.second >= 0:
            return [
                (self.track, start),
                (self.track, self.bend),
                (self.second, self.bend),
                (self.second, end),
            ]
        return [(self.track, start), (self.track, end)] if start != end else []


@dataclass(slots=True, eq=False)
class _Part:
    """A net, or one half of a net that has a dogleg."""

    net: Net
    left: set[int]
    right: set[int]
    second: bool = False

    @property
    def span(self) -> tuple[int, int]:
        rows = self.left | self.right
        return min(rows), max(rows)


def tracks(nets: Sequence[Net]) -> int:
    """Give every net its track; how many tracks there are."""
    parts = [_Part(net, net.left, net.right) for net in nets if not net.straight]
    used = {row for net in nets for row in net.left | net.right}
    while True:
        order, stuck = _order(parts)
        if stuck is None:
            break
        net = stuck.net
        net.bend = _free_row(used, stuck.span)
        used.add(net.bend)
        parts.remove(stuck)
        parts += [
            _Part(net, net.left, {net.bend}),
            _Part(net, {net.bend}, net.right, second=True),
        ]
    return _place(order, parts)


def _before(parts: Sequence[_Part]) -> list[set[int]]:
    """For each part, those that lie in an earlier track."""
    begins: dict[int, list[int]] = {}
    for at, part in enumerate(parts):
        for row in part.left:
            begins.setdefault(row, []).append(at)
    found: list[set[int]] = []
    for at, part in enumerate(parts):
        earlier = {
            b for row in part.right for b in begins.get(row, ()) if parts[b].net is not part.net
        }
        if part.second:
            earlier |= {
                b for b, other in enumerate(parts) if other.net is part.net and not other.second
            }
        found.append(earlier - {at})
    return found


def _order(parts: Sequence[_Part]) -> tuple[list[int], _Part | None]:
    """The parts so that each comes after those before it; or one that is in a circle."""
    earlier = _before(parts)
    left = {at: set(those) for at, those in enumerate(earlier)}
    found: list[int] = []
    while left:
        ready = sorted(
            (at for at, those in left.items() if not those), key=lambda a: _key(parts[a])
        )
        if not ready:
            return [], _in_circle(parts, left)
        for at in ready:
            del left[at]
        for those in left.values():
            those.difference_update(ready)
        found += ready
    return found, None


def _in_circle(parts: Sequence[_Part], left: dict[int, set[int]]) -> _Part:
    """Walk back from any part until one comes again: that one is in a circle."""
    at = min(left)
    seen: set[int] = set()
    while at not in seen:
        seen.add(at)
        at = min(left[at])
    return parts[at]


def _key(part: _Part) -> tuple[int, int]:
    """Those that go down begin with the lowest, those that go up with the highest: they do not
    cross each other then."""
    start = min(part.left)
    down = sum(row - start for row in part.left | part.right) > 0
    return (0, -start) if down else (1, start)


def _free_row(used: set[int], span: tuple[int, int]) -> int:
    middle = (span[0] + span[1]) // 2
    step = 0
    while True:
        for row in (middle + step, middle - step):
            if row not in used:
                return row
        step += 1


def _place(order: Sequence[int], parts: Sequence[_Part]) -> int:
    earlier = _before(parts)
    lies: dict[int, int] = {}
    taken: list[list[tuple[int, int]]] = []
    for at in order:
        low, high = parts[at].span
        track = max((lies[b] + 1 for b in earlier[at]), default=0)
        while track < len(taken) and any(a <= high and low <= b for a, b in taken[track]):
            track += 1
        while len(taken) <= track:
            taken.append([])
        taken[track].append((low, high))
        lies[at] = track
        if parts[at].second:
            parts[at].net.second = track
        else:
            parts[at].net.track = track
    return len(taken)
