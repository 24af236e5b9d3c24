"""Questions to people in lines: one in "needs you", and all of one where it is answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.figures import since
from sparkplug.tui.widgets.rows import Row

if TYPE_CHECKING:
    from sparkplug.schema.question import Question


def question_rows(questions: Sequence[Question], now: datetime) -> list[Row]:
    """A row for each, the one that waits longest first."""
    rows = []
    for question in questions:
        due = f" · {until(question.deadline, now)} left" if question.deadline else ""
        line: Line = (
            ("warn", "? "),
            ("text", f"{one_line(question.asked_by)} "),
            ("dim", f"{since(question.asked, now)} "),
            ("text", one_line(question.text)),
            ("dim", due),
        )
        rows.append(Row(f"question/{question.id}", line, question))
    return rows


def until(moment: datetime, now: datetime) -> str:
    """How long until a moment, as ages are written."""
    return since(now, moment) if moment > now else "0s"


def question_page(question: Question, width: int, now: datetime) -> list[Line]:
    """All that who answers has to know."""
    lines: list[Line] = [
        (
            ("warn" if question.waits else "dim", f"? {question.state}"),
            ("text", f"  {one_line(question.asked_by)}"),
            ("dim", f"  asked {since(question.asked, now)} ago"),
            ("dim", f"  thread {one_line(question.subject.thread)}" if _named(question) else ""),
        )
    ]
    if question.subject.run:
        where = f"run {question.subject.run}, step {question.subject.step}"
        lines.append((("dim", one_line(where)),))
    if question.deadline is not None and question.waits:
        then = "it fails" if question.default is None else f"it is {_value(question.default)}"
        lines.append((("warn", f"{until(question.deadline, now)} left, then {then}"),))
    lines.append(())
    lines += [(("text", line),) for line in wrap(question.text, width)]
    for number, option in enumerate(question.options, 1):
        lines.append((("focus", f"  {number} "), ("text", one_line(option))))
    if question.data is not None:
        shown = json.dumps(question.data, indent=2, ensure_ascii=False, default=str)
        lines += [(), *((("dim", line),) for line in wrap(shown, width))]
    if question.answer is not None:
        given = question.answer
        lines += [(), (("ok", "answer "), ("text", _value(given.value)), ("dim", f"  {given.by}"))]
    if question.error:
        lines += [(("bad", line),) for line in wrap(f"✖ {question.error}", width)]
    if question.outcome:
        lines += [(), *((("text", line),) for line in wrap(question.outcome, width))]
    return lines


def _named(question: Question) -> bool:
    return bool(question.subject.thread)


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
