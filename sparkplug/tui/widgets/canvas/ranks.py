"""Which layer each box is in: cycles broken, then the longest path from where nothing leads to.

Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures"
(1981), as are the two steps after it in `order` and `places`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Pair = tuple[str, str]


def components(ids: Sequence[str], pairs: Iterable[Pair]) -> list[list[str]]:
    """The ids in groups that hang together, in the order given."""
    near = _neighbours(ids, [*pairs], both=True)
    seen: set[str] = set()
    group: dict[str, int] = {}
    for name in ids:
        if name in seen:
            continue
        found = [name]
        seen.add(name)
        for at in found:
            for other in near[at]:
                if other not in seen:
                    seen.add(other)
                    found.append(other)
        number = len(set(group.values()))
        group.update(dict.fromkeys(found, number))
    groups: dict[int, list[str]] = {}
    for name in ids:
        groups.setdefault(group[name], []).append(name)
    return list(groups.values())


def layers(ids: Sequence[str], pairs: Sequence[Pair]) -> dict[str, int]:
    """The layer of every id. An edge that closes a cycle leads back to an earlier layer."""
    back = _closing(ids, pairs)
    forward = [pair for pair in pairs if pair not in back]
    waits = dict.fromkeys(ids, 0)
    for _, target in forward:
        waits[target] += 1
    after = _neighbours(ids, forward)
    ready = [name for name in ids if not waits[name]]
    found = dict.fromkeys(ids, 0)
    for name in ready:
        for other in after[name]:
            found[other] = max(found[other], found[name] + 1)
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    return found


def joined(ids: Sequence[str], pairs: Sequence[Pair], before: Mapping[str, int]) -> dict[str, int]:
    """Layers that leave those of `before` as they are; others stand beside what they talk to."""
    if not any(name in before for name in ids):
        return layers(ids, pairs)
    found = {name: before[name] for name in ids if name in before}
    left = [name for name in ids if name not in found]
    while left:
        progress = False
        for name in list(left):
            callers = [found[s] for s, t in pairs if t == name and s in found]
            called = [found[t] for s, t in pairs if s == name and t in found]
            if callers:
                found[name] = max(callers) + 1
            elif called:
                found[name] = max(0, min(called) - 1)
            else:
                continue
            left.remove(name)
            progress = True
        if not progress:
            found[left.pop(0)] = 0
    return found


def _closing(ids: Sequence[str], pairs: Sequence[Pair]) -> set[Pair]:
    """The edges that close a cycle, as a walk in depth finds them in the order given."""
    after = _neighbours(ids, pairs)
    state = dict.fromkeys(ids, 0)
    heads = {target for _, target in pairs}
    found: set[Pair] = set()
    for root in (*(name for name in ids if name not in heads), *ids):
        if state[root]:
            continue
        state[root] = 1
        path = [(root, iter(after[root]))]
        while path:
            name, rest = path[-1]
            other = next(rest, None)
            if other is None:
                state[name] = 2
                path.pop()
            elif state[other] == 1:
                found.add((name, other))
            elif not state[other]:
                state[other] = 1
                path.append((other, iter(after[other])))
    return found


def _neighbours(
    ids: Sequence[str], pairs: Iterable[Pair], *, both: bool = False
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in ids}
    for source, target in dict.fromkeys(pairs):
        found[source].append(target)
        if both:
            found[target].append(source)
    return found
