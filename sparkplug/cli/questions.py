"""The verbs that show questions to people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing
from sparkplug.schema.plain import plain
from sparkplug.schema.text import one_line

if TYPE_CHECKING:
    from sparkplug.schema.question import Question


async def list_questions(cli: Cli) -> int:
    """What waits for a person, the oldest first."""
    from sparkplug.client import questions as room

    async with cli.connect() as client:

        async def fetch() -> Iterable[Question]:
            return await room.list_questions(client, every=cli.args.every)

        return await show(cli, fetch, QUESTIONS)


async def describe(cli: Cli) -> int:
    """All about one question."""
    from sparkplug.client import questions as room

    async with cli.connect() as client:
        found = await room.describe(client, cli.args.question)
    if cli.out.structured:
        cli.out.data(question_data(found))
        return 0
    given = found.answer
    for title, value in (
        ("question", found.id),
        ("asked by", found.asked_by),
        ("thread", found.subject.thread),
        ("run", f"{found.subject.run} {found.subject.step}".strip()),
        ("asked", found.asked.isoformat(timespec="seconds")),
        ("kind", found.kind),
        ("state", found.state),
        ("deadline", found.deadline.isoformat(timespec="seconds") if found.deadline else ""),
        ("default", json.dumps(found.default) if found.default is not None else ""),
        ("answer", json.dumps(given.value, ensure_ascii=False) if given else ""),
        ("by", f"{given.by} {given.how}".strip() if given else ""),
        ("note", given.note if given else ""),
        ("gone on", f"{found.attempts} times, by {found.taken_by}" if found.taken_by else ""),
        ("next", found.next),
        ("error", found.error),
    ):
        if value:
            cli.out.text(f"{title:<9} {value}")
    cli.out.text("")
    cli.out.text(found.text)
    for number, option in enumerate(found.options, 1):
        cli.out.text(f"  {number} {option}")
    if found.data is not None:
        cli.out.text("")
        cli.out.text(json.dumps(found.data, indent=2, ensure_ascii=False))
    if found.outcome:
        cli.out.text("")
        cli.out.text(found.outcome)
    return 0


def question_data(question: Question) -> dict[str, Any]:
    """A question as `--json` has it."""
    return plain(question, exclude={"token"})


def _age(question: Question) -> str:
    return figures.age(question.asked)


QUESTIONS: Listing[Question] = Listing(
    columns=(
        Column("id", lambda q: q.id),
        Column("asked by", lambda q: q.asked_by),
        Column("kind", lambda q: q.kind),
        Column("state", lambda q: q.state),
        Column("age", _age, right=True),
        Column("thread", lambda q: q.subject.thread, wide=True),
        Column("run", lambda q: q.subject.run, wide=True),
        Column("question", lambda q: one_line(q.text)),
    ),
    name=lambda q: q.id,
    data=question_data,
    empty="nothing is asked of you",
)
