"""The bucket of questions to people: reading, answering, and waiting for what comes of it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable

import nats.errors

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import call
from sparkplug.schema.errors import (
    CancelledRequestError,
    ConflictError,
    NotFoundError,
    SparkplugError,
)
from sparkplug.schema.question import (
    ENDED,
    Answer,
    Draft,
    HoldReply,
    HoldRequest,
    Question,
    QuestionState,
)

_MOST_TRIES = 20
#: Longer than a node lets whoever is on the line wait for one answer.
_HOLD_S = 30.0


def questions(bus: Bus) -> Bucket:
    """The bucket they are in."""
    return Bucket(bus, subjects.BUCKET_QUESTIONS)


def question_key(id: str) -> str:  # noqa: A002  the question's own
    """Where a question is kept. Raises NotFoundError for what is no id."""
    request, dash, slot = id.partition("-")
    if not dash or not request.isalnum() or not slot.isalnum():
        raise no_question(id)
    return f"q.{request}.{slot}"


def no_question(id: str) -> NotFoundError:  # noqa: A002
    """There is none of that id."""
    return NotFoundError(f"no question {id}", hint="`sparkplug questions list` shows what is asked")


async def read_question(bus: Bus, id: str) -> tuple[Question, int]:  # noqa: A002
    """A question and the revision it was read at. Raises NotFoundError."""
    entry = await questions(bus).get(question_key(id))
    found = decode(Question, entry) if entry is not None else None
    if entry is None or found is None:
        raise no_question(id)
    return found, entry.revision


async def change_question(
    bus: Bus,
    id: str,  # noqa: A002
    make: Callable[[Question], Question | None],
) -> Question:
    """Change a question as it is now; `make` gives what it becomes, None for no change.

    Raises NotFoundError, ConflictError when others change it again and again, and what `make`
    raises: that is decided by what the question is at that moment, and by nobody else meanwhile.
    """
    for _ in range(_MOST_TRIES):
        found, revision = await read_question(bus, id)
        made = make(found.model_copy(deep=True))
        if made is None:
            return found
        with contextlib.suppress(ConflictError):
            await questions(bus).put(question_key(id), made, revision=revision)
            return made
    raise ConflictError(f"question {id} is changed by others all the time", hint="try again")


async def answer_question(bus: Bus, id: str, answer: Answer) -> Question:  # noqa: A002
    """Answer an open question. Raises NotFoundError; ConflictError: it was answered already."""

    def make(question: Question) -> Question:
        if question.state is not QuestionState.OPEN:
            raise ConflictError(over(question))
        withdrawn = answer.how == "withdrawn" and question.subject.kind != "request"
        state = QuestionState.WITHDRAWN if withdrawn else QuestionState.ANSWERED
        return question.model_copy(update={"state": state, "answer": answer})

    return await change_question(bus, id, make)


def over(question: Question) -> str:
    """What became of a question that is not open any more, in words."""
    given = question.answer
    if given is None:
        return f"question {question.id} is {question.state}"
    how = {
        "person": f"was answered by {given.by or 'somebody'}",
        "default": "was answered by its default, at its deadline",
        "expired": "was not answered in time",
        "withdrawn": f"was withdrawn by {given.by or 'somebody'}",
    }[given.how]
    return f"question {question.id} {how}"


async def hold(bus: Bus, subject: str, draft: Draft, *, foreign: str = "", by: str = "") -> Answer:
    """Have a person asked, and wait for the answer; the question goes when this is cancelled.

    `foreign` is the agent whose question it is. Raises NotFoundError when it is withdrawn.
    """
    request = HoldRequest(draft=draft, id=f"{secrets.token_hex(4)}-0", foreign=foreign, by=by)
    try:
        while True:
            reply = await call(bus, subject, request, HoldReply, deadline=_HOLD_S)
            if reply.answer is not None:
                return reply.answer
    except BaseException:
        if not bus.nc.is_closed:
            gone = request.model_copy(update={"gone": True})
            with contextlib.suppress(nats.errors.Error):
                await bus.nc.publish(subject, gone.model_dump_json().encode())
        raise


async def outcome(bus: Bus, id: str) -> str:  # noqa: A002
    """What is answered at last to the request that asked, over all it asks meanwhile; for ever.

    Raises as `step` does.
    """
    text = ""
    while id:
        text, id = await step(bus, id)  # noqa: A001
    return text


async def step(bus: Bus, id: str) -> tuple[str, str]:  # noqa: A002
    """Wait until a question is over: what the request answered, or the question it asked then.

    Raises NotFoundError, and SparkplugError with the reason when the request failed.
    """
    question = await _ended(bus, id)
    if question.state is QuestionState.FAILED:
        raise SparkplugError(question.error or "the agent failed", where=question.asked_by)
    if question.state is QuestionState.WITHDRAWN:
        raise CancelledRequestError(over(question))
    return question.outcome, question.next


async def _ended(bus: Bus, id: str) -> Question:  # noqa: A002
    await read_question(bus, id)
    async with contextlib.aclosing(questions(bus).watch(question_key(id))) as changes:
        async for change in changes:
            found = decode(Question, change.entry) if change.entry is not None else None
            if found is not None and found.state in ENDED:
                return found
    raise asyncio.CancelledError  # the watch ends with its connection alone
