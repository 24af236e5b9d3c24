"""A pair of memories beside each other: what differs in their words, and where each is from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from sparkplug.schema.text import one_line, strip_controls
from sparkplug.tui.cells import Line, Span, clip, length, wrap
from sparkplug.tui.figures import since

if TYPE_CHECKING:
    from sparkplug.schema.memory import MemoryItem
    from sparkplug.schema.memory_pruning import Proposal

#: Characters of a text that are compared: what is longer is read on its page.
_COMPARED = 1000
_GAP = 3
_WORD = re.compile(r"\s+|\S+")


def pair_lines(one: Proposal, width: int) -> list[Line]:
    """Why it is proposed, or what was decided; and both sides."""
    lines = [*_why(one, width), ()]
    if one.keep is None:
        return [*lines, *_side("", one.drop, "", width)]
    half = max(10, (width - _GAP) // 2)
    left_title, right_title = sides(one)
    left = _side(left_title, one.keep, one.drop.text, half)
    right = _side(right_title, one.drop, one.keep.text, half)
    for row in range(max(len(left), len(right))):
        a = left[row] if row < len(left) else ()
        b = right[row] if row < len(right) else ()
        lines.append((*clip(a, half), ("line", " │ "), *b))
    return lines


def sides(one: Proposal) -> tuple[str, str]:
    """What each side is: which one is kept, or, where a person says so, which one is newer."""
    if one.decided == "both":
        return "kept", "kept"
    if one.decided == "merge":
        return "kept", "deleted"
    return ("newer", "older") if one.kind == "contradiction" else ("keep", "delete")


def _why(one: Proposal, width: int) -> list[Line]:
    if not one.decided:
        sign, pen = ("≠", "bad") if one.kind == "contradiction" else ("=", "warn")
        return [((pen, f"{sign} {one.kind}"), ("text", f"  {one_line(one.why)}"))]
    what = "both are kept" if one.decided == "both" else "one was kept, the other deleted"
    when = f", {since(one.decided_at, datetime.now(UTC))} ago" if one.decided_at else ""
    told = f"by {one.decided_by or 'unknown'}{when}"
    lines: list[Line] = [(("ok", f"✔ {what}"), ("dim", f"  {one_line(told)}"))]
    if one.decided_why:
        lines += [(("text", part),) for part in wrap(one_line(one.decided_why), width)]
    return lines


def _side(title: str, item: MemoryItem, other: str, width: int) -> list[Line]:
    now = datetime.now(UTC)
    run = f" in {item.run}" if item.run else ""
    place = f"{item.path}:{item.line_from}" if item.path else ""
    head: Line = (
        ("title", title),
        ("dim", f"  {item.id[:8]}  {since(item.created, now)} ago"),
    )
    told = (
        f"by {item.author or 'unknown'}{run}",
        f"{item.source}, {item.made}, confidence {item.confidence:g}",
        f"read {item.reads} times, said {item.said} times, version {item.version}",
        place,
        " ".join(item.flags),
    )
    return [
        clip(head, width),
        *_folded(differing(item.text, other), width),
        *((("dim", one_line(part)),) for part in told if part),
    ]


def differing(text: str, other: str) -> list[Span]:
    """A text, of which the words that the other has not are marked."""
    mine = _WORD.findall(strip_controls(text[:_COMPARED]))
    its = _WORD.findall(strip_controls(other[:_COMPARED]))
    matcher = SequenceMatcher(None, mine, its, autojunk=False)
    spans: list[Span] = []
    for what, first, last, _, _ in matcher.get_opcodes():
        words = "".join(mine[first:last])
        if words:
            spans.append(("text" if what == "equal" else "warn", words))
    if len(text) > _COMPARED:
        spans.append(("dim", f"… {len(text) - _COMPARED} more characters"))
    return spans


def _folded(spans: Sequence[Span], width: int) -> list[Line]:
    """Spans as lines of a width, broken between words."""
    lines: list[list[Span]] = [[]]
    room = width
    for pen, text in spans:
        for word in _WORD.findall(text):
            if "\n" in word:
                lines.append([])
                room = width
                continue
            size = length(((pen, word),))
            if size > room and lines[-1]:
                lines.append([])
                room = width
                if word.isspace():
                    continue
            for part in wrap(word, width) if size > width else [word]:
                if lines[-1] and length(((pen, part),)) > room:
                    lines.append([])
                    room = width
                lines[-1].append((pen, part))
                room -= length(((pen, part),))
    return [tuple(line) for line in lines]
