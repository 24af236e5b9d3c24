"""A memory in full: what it says, where it is from, who read it, what it said before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sparkplug.schema.text import one_line, strip_controls
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.figures import since

if TYPE_CHECKING:
    from sparkplug.schema.memory import MemoryDescription, MemoryItem, Why

#: Characters of a text that are laid out: a line of a megabyte is read in its file.
_SHOWN = 20_000
_VERSIONS, _READS = 20, 20


def memory_lines(item: MemoryItem, told: MemoryDescription | None, width: int) -> list[Line]:
    """The item of a row; with `told` all that is known of it."""
    now = datetime.now(UTC)
    why = getattr(item, "why", None)
    if told is not None and told.item.id == item.id:
        item = told.item
    else:
        told = None
    lines: list[Line] = [_head(item, now), *_text(item.text, width), ()]
    lines += [
        _fact(label, value)
        for label, value in (
            ("scope", item.scope),
            ("written by", f"{item.author or 'unknown'}, {since(item.created, now)} ago"),
            ("run", _run(item, told)),
            ("request", item.message),
            ("document", _place(item)),
            ("source", f"{item.source}, {item.made}{f' ({item.note})' if item.note else ''}"),
            ("trust", f"confidence {item.confidence:g}"),
            ("weight", f"importance {item.importance:g}, strength now {item.strength:.2f}"),
            ("expires", f"{item.expires.astimezone():%Y-%m-%d %H:%M}" if item.expires else ""),
            ("said", f"{item.said} times" if item.said > 1 else ""),
            ("labels", ", ".join(f"{k}={v}" for k, v in item.labels.items())),
        )
        if value
    ]
    if why is not None:
        lines.append(_found_by(why))
    if item.deleted is not None:
        until = (
            f", to be had back until {told.undo_until.astimezone():%a %H:%M}"
            if (told and told.undo_until)
            else ""
        )
        text = f"by {item.deleted_by or 'the memory'} {item.deleted_why}{until}"
        lines.append((("bad", f"{'deleted':<12}"), ("text", one_line(text))))
    if told is not None:
        lines += _history(told, now, width)
    return lines


def _found_by(why: Why) -> Line:
    """The parts a score is made of, and the words of the question that it has."""
    parts = [
        f"{name} {'not compared' if value is None else f'{value:.2f}'}"
        for name, value in (("meaning", why.semantic), ("words", why.lexical))
    ]
    words = f" ({' '.join(why.words)})" if why.words else ""
    return _fact("found by", f"{', '.join(parts)}{words}, strength {why.strength:.2f}")


def _head(item: MemoryItem, now: datetime) -> Line:
    pens = {"kept": "ok", "quarantined": "warn", "deleted": "bad"}
    symbols = {"kept": "●", "quarantined": "▲", "deleted": "✖"}
    state = str(item.state)
    flags = f"  {', '.join(item.flags)}" if item.flags else ""
    return (
        ("title", item.id[:8]),
        ("dim", f"  version {item.version}  "),
        (pens.get(state, "text"), f"{symbols.get(state, '●')} {state}"),
        ("warn", flags),
    )


def _text(text: str, width: int) -> list[Line]:
    shown = strip_controls(text[:_SHOWN])
    lines: list[Line] = [(("text", line),) for line in wrap(shown, width)]
    if len(text) > _SHOWN:
        lines.append((("dim", f"… {len(text) - _SHOWN} more characters"),))
    return lines


def _run(item: MemoryItem, told: MemoryDescription | None) -> str:
    if not item.run:
        return ""
    ended = f", {told.run_ended}" if told is not None and told.run_ended else ""
    return f"{item.run}{f', step {item.step}' if item.step else ''}{ended}"


def _place(item: MemoryItem) -> str:
    return f"{item.path}:{item.line_from}-{item.line_to}" if item.path else ""


def _history(told: MemoryDescription, now: datetime, width: int) -> list[Line]:
    lines: list[Line] = []
    for read in told.reads[:_READS]:
        run = f" in run {read.run} ({read.ended or 'unknown'})" if read.run else ""
        text = f"{read.agent or 'a person'}{run}, {read.times} times, {since(read.last, now)} ago"
        lines.append(_fact("read by", text))
    for saying in told.sayings[:_READS]:
        run = f" in run {saying.run}" if saying.run else ""
        lines.append(_fact("said by", f"{saying.author}{run}, {since(saying.time, now)} ago"))
    for version in list(reversed(told.versions))[1 : _VERSIONS + 1]:
        why = f": {version.why}" if version.why else ""
        by = one_line(f"version {version.version} by {version.author}{why}")
        lines += [(), (("dim", f"{by}, {since(version.time, now)} ago"),)]
        lines += _text(version.text, width)
    return lines


def _fact(label: str, value: object) -> Line:
    return (("dim", f"{label:<12}"), ("text", one_line(str(value)[:1000])))
