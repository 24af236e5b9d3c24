"""Fuzzy matching: the letters typed must occur in order; words and runs count for more."""

from __future__ import annotations


def score(typed: str, text: str) -> int | None:
    """How well `typed` fits `text` (higher is better), or None when it does not."""
    needle, hay = typed.casefold().replace(" ", ""), text.casefold()
    if not needle:
        return 0
    if (at := hay.find(typed.casefold())) >= 0:
        return 1000 - at + (200 if at == 0 or not hay[at - 1].isalnum() else 0)
    points, position, run = 0, 0, 0
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
    return points
