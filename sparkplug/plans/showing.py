"""A step's question among all questions of the mesh, where it is seen and can be answered.

The run's journal is where its answer counts. What is here shows it, and brings an answer given
here there.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable

from sparkplug.bus.buckets import decode
from sparkplug.bus.connection import Bus
from sparkplug.bus.questions import change_question, question_key, questions
from sparkplug.plans.away import AWAY
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError
from sparkplug.schema.question import Answer, Question, QuestionKind, QuestionState, QuestionSubject
from sparkplug.schema.run import AnswerRequest, RunAnswer, RunQuestion

log = logging.getLogger(__name__)

_SLOT = "0"


async def show(bus: Bus, run: str, step: str, asked: RunQuestion) -> None:
    """Put it among the questions, unless it is there."""
    kind = QuestionKind.APPROVE if asked.kind == "approve" else QuestionKind.TEXT
    if asked.options:
        kind = QuestionKind.CHOICE
    question = Question(
        id=shown_id(asked),
        kind=kind,
        text=asked.text or "?",
        options=asked.options,
        data=asked.input,
        subject=QuestionSubject(kind="step", run=run, step=step, request=asked.id),
        asked_by=f"run {run}",
        asked=asked.asked,
    )
    try:
        await questions(bus).put(question_key(question.id), question, revision=0)
    except ConflictError:
        return
    except AWAY as error:
        # It is asked all the same, and answered through the run.
        log.warning("question %s is not shown: %s", question.id, error)


def shown_id(asked: RunQuestion) -> str:
    """Its id among the questions of the mesh."""
    return f"{asked.id}-{_SLOT}"


async def bring(
    bus: Bus,
    run: str,
    step: str,
    asked: RunQuestion,
    leave: Callable[[AnswerRequest], Awaitable[None]],
) -> None:
    """Wait for an answer that is given there, and bring it to the run; for ever."""
    key = question_key(shown_id(asked))
    async with contextlib.aclosing(questions(bus).watch(key)) as changes:
        async for change in changes:
            found = decode(Question, change.entry) if change.entry is not None else None
            if found is None or found.answer is None or found.state is not QuestionState.ANSWERED:
                continue
            given = found.answer
            verdict = "reject"
            if given.how in ("person", "default"):
                verdict = "answer" if asked.kind == "answer" else "reject"
                if asked.kind == "approve" and given.value is True:
                    verdict = "approve"
            request = AnswerRequest.model_validate(
                {
                    "run": run,
                    "step": step,
                    "verdict": verdict,
                    "value": given.value if verdict == "answer" else None,
                    "reason": given.note,
                    "actor": given.by,
                }
            )
            try:
                await leave(request)
            except (ConflictError, NotFoundError, InvalidError) as error:
                log.info("question %s: %s", found.id, error)
            return


async def over(bus: Bus, asked: RunQuestion, given: RunAnswer | None) -> None:
    """It was answered, or nobody waits for an answer any more."""

    def make(question: Question) -> Question | None:
        if question.state not in (QuestionState.OPEN, QuestionState.ANSWERED):
            return None
        changes: dict[str, object] = {"state": QuestionState.WITHDRAWN, "ended": utc_now()}
        if given is not None:
            value = given.value if given.verdict == "answer" else given.verdict == "approve"
            how = "person" if given.how == "person" else "default"
            answer = Answer(value=value, by=given.by, how=how, note=given.reason)
            changes |= {"state": QuestionState.DONE, "answer": answer}
        return question.model_copy(update=changes)

    try:
        await change_question(bus, shown_id(asked), make)
    except NotFoundError:
        return
    except AWAY as error:
        log.info("question %s: %s", shown_id(asked), error)
