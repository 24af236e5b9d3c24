"""Fuzzy matching: the letters typed must occur in order; words and runs count for more."""

from __future__ import annotations

from dataclasses import dataclass

from sparkplug.tui.cells import Line, Span


@dataclass(frozen=True, slots=True)
class Match:
    """How well a text fits what was typed (higher is better), and which of its letters do."""

    points: int
    at: tuple[int, ...] = ()


def match(typed: str, text: str) -> Match | None:
    """How `typed` fits `text`, or None when it does not. All fits where nothing is typed."""
    needle, hay = _folded(typed.replace(" ", "")), _folded(text)
    if not needle:
        return Match(0)
    whole = _folded(typed)
    if (at := hay.find(whole)) >= 0:
        begins = at == 0 or not hay[at - 1].isalnum()
        return Match(1000 - at + (200 if begins else 0), tuple(range(at, at + len(whole))))
    points, position, run = 0, 0, 0
    places: list[int] = []
    for letter in needle:
        found = hay.find(letter, position)
        if found < 0:
            return None
        run = run + 1 if found == position else 1
        points += run * 4
        if found == 0 or not hay[found - 1].isalnum():
            points += 12
        points -= min(8, found - position)
        position = found + 1
        places.append(found)
    return Match(points, tuple(places))


def score(typed: str, text: str) -> int | None:
    """How well `typed` fits `text` (higher is better), or None when it does not."""
    found = match(typed, text)
    return found.points if found is not None else None


def marked(text: str, at: tuple[int, ...], pen: str, hit: str = "title") -> Line:
    """`text` with the letters at these places in another pen."""
    wanted = set(at)
    spans: list[Span] = []
    start = 0
    for index in range(1, len(text) + 1):
        if index == len(text) or (index in wanted) is not (start in wanted):
            spans.append((hit if start in wanted else pen, text[start:index]))
            start = index
    return tuple(spans)


def _folded(text: str) -> str:
    """`text` in small letters, each where it was."""
    low = text.casefold()
    if len(low) == len(text):
        return low
    return "".join(small if len(small := one.casefold()) == 1 else one for one in text)
