"""Questions to people: which there are, answering them, and what comes of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from sparkplug.bus import questions as room
from sparkplug.bus import subjects
from sparkplug.bus.buckets import decode
from sparkplug.client.deadline import READ_S, within
from sparkplug.client.session import Client
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError, WaitingError
from sparkplug.schema.question import (
    ENDED,
    LONGEST_QUESTION,
    Answer,
    Draft,
    Question,
    QuestionKind,
    fits,
)


async def list_questions(client: Client, *, every: bool = False) -> list[Question]:
    """The questions that wait for a person, the oldest first; with `every` those that are over."""
    async with within(READ_S, "the questions"):
        found = await room.questions(client.bus).read_all(Question, "q.>")
    shown = [one for one in found.values() if every or one.state not in ENDED]
    return sorted(shown, key=lambda one: one.asked)


async def describe(client: Client, id: str) -> Question:  # noqa: A002  the question's own
    """A question by its id or the beginning of it. Raises NotFoundError, ConflictError."""
    with contextlib.suppress(NotFoundError):
        found, _ = await room.read_question(client.bus, id)
        return found
    near = [one for one in await list_questions(client, every=True) if id and one.id.startswith(id)]
    if len(near) > 1:
        ids = ", ".join(one.id for one in near[:5])
        raise ConflictError(f"{id} begins the id of {len(near)} questions: {ids}")
    if not near:
        raise room.no_question(id)
    return near[0]


def parse_answer(question: Question, text: str) -> Any:
    """What a person wrote, as the answer to that question. Raises InvalidError."""
    value: Any = text.strip()
    if question.kind is QuestionKind.APPROVE:
        words = {"approve": True, "yes": True, "y": True, "reject": False, "no": False, "n": False}
        value = words.get(text.strip().lower(), text)
    elif question.kind is QuestionKind.CHOICE and value not in question.options:
        near = [one for one in question.options if one.lower() == value.lower()]
        # By its number too, as it is shown.
        if value.isdecimal() and 1 <= int(value) <= len(question.options):
            near = [question.options[int(value) - 1]]
        value = near[0] if len(near) == 1 else value
    try:
        fits(question.kind, question.options, value)
    except ValueError as error:
        raise InvalidError(str(error), where=f"question {question.id}") from error
    return value


async def answer(client: Client, id: str, text: str, note: str = "") -> Question:  # noqa: A002
    """Answer a question. Raises InvalidError for what is no answer to it, NotFoundError, and
    ConflictError when somebody was quicker."""
    question = await describe(client, id)
    _require_open(question)
    given = Answer(value=parse_answer(question, text), by=client.actor, note=note)
    return await room.answer_question(client.bus, question.id, given)


async def decide(client: Client, id: str, approved: bool, note: str = "") -> Question:  # noqa: A002
    """Approve or reject. Raises as `answer` does."""
    question = await describe(client, id)
    if question.kind is not QuestionKind.APPROVE:
        raise InvalidError(
            f"question {question.id} is not answered with yes or no",
            hint=f"`sparkplug questions answer {question.id} TEXT`",
        )
    return await answer(client, question.id, "approve" if approved else "reject", note)


async def withdraw(client: Client, id: str, note: str = "") -> Question:  # noqa: A002
    """End a question without an answer: what waits for it fails. Raises as `answer` does."""
    question = await describe(client, id)
    given = Answer(by=client.actor, how="withdrawn", note=note)
    return await room.answer_question(client.bus, question.id, given)


def _require_open(question: Question) -> None:
    if not question.waits:
        raise ConflictError(room.over(question))


async def hold(client: Client, text: str, agent: str) -> str:
    """A person's answer to what an agent asks back on the line; waits as long as it takes.

    Raises SparkplugError when the question is withdrawn.
    """
    draft = Draft(text=text[:LONGEST_QUESTION] or "?")
    subject = subjects.QUESTIONS_HOLD
    given = await room.hold(client.bus, subject, draft, foreign=agent, by=client.actor)
    return str(given.value)


async def step(client: Client, id: str) -> tuple[str, str]:  # noqa: A002
    """What came of one question: what was answered to the request, or the question after it."""
    return await room.step(client.bus, id)


async def answered(client: Client, id: str) -> str:  # noqa: A002
    """What comes of an answer: what the request answers, for as long as that takes.

    Raises WaitingError when it asks a person something more, and as `outcome` does.
    """
    from sparkplug.bus.synadia import waiting_words

    text, following = await step(client, id)
    if following:
        more = await describe(client, following)
        raise WaitingError(waiting_words([more.id], more.text), where=more.asked_by)
    return text


async def outcome(client: Client, id: str) -> str:  # noqa: A002
    """What the request that asked answers at last; waits for as long as it takes.

    Raises NotFoundError, and SparkplugError with the reason when it failed.
    """
    return await room.outcome(client.bus, id)


async def follow(client: Client) -> AsyncGenerator[dict[str, Question], None]:
    """All questions by id whenever one changed, for ever; the same dict each time."""
    found: dict[str, Question] = {}
    async with contextlib.aclosing(room.questions(client.bus).watch("q.>")) as changes:
        whole = False
        async for change in changes:
            if change.reset:
                found.clear()
                whole = False
            elif change.entry is None:
                whole = True
            else:
                id_ = "-".join(change.entry.key.split(".")[1:])
                question = decode(Question, change.entry)
                if question is None:
                    found.pop(id_, None)
                else:
                    found[id_] = question
            if whole:
                yield found
