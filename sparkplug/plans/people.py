"""A step that waits for a person: asked once, reminded of, answered once."""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import nats.errors
import nats.js.errors

from sparkplug.bus.cancellation import end
from sparkplug.bus.questions import outcome
from sparkplug.bus.synadia import WAITS
from sparkplug.plans import showing
from sparkplug.plans.templates import render, render_text
from sparkplug.schema.errors import ConflictError, NotFoundError, SparkplugError, WaitingError
from sparkplug.schema.run import AnswerRequest, RunAnswer, RunQuestion, StepState

if TYPE_CHECKING:
    from sparkplug.plans.unit import Unit

log = logging.getLogger(__name__)

#: Characters of a question.
_LONGEST = 4000


class RejectedError(SparkplugError):
    """A person said no."""

    code = "rejected"


class Asking:
    """The question of one unit: before it is done (approval), or all that it is."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def answered(self) -> RunAnswer:
        """Ask, unless it was asked, and wait for the answer for as long as it takes.

        Raises RejectedError when it is no, InvalidError when the question cannot be made.
        """
        unit = self._unit
        asked = unit.view.question
        if asked is not None and asked.kind == "agent":
            # It was approved before its agent asked.
            return unit.view.answer or RunAnswer(question=asked.id, verdict="approve")
        if asked is None:
            await unit.run.unpaused()
            await unit.record("step-waiting", question=self._question())
        question = unit.view.question
        assert question is not None
        if unit.view.state is StepState.WAITING:
            bus, run = unit.run.desk.bus, unit.run.run_id
            await showing.show(bus, run, unit.path, question)
            bringing = asyncio.ensure_future(
                showing.bring(bus, run, unit.path, question, unit.run.answer_as_person)
            )
            try:
                while unit.view.state is StepState.WAITING:
                    await self._wait()
            finally:
                await end(bringing)
        answer = unit.view.answer
        assert answer is not None
        await showing.over(unit.run.desk.bus, question, answer)
        if answer.verdict == "reject":
            by = f"rejected by {answer.by}" if answer.how == "person" else "nobody answered in time"
            raise RejectedError(f"{by}: {answer.reason}" if answer.reason else by)
        return answer

    def _question(self) -> RunQuestion:
        unit = self._unit
        step, names = unit.step, unit.names
        now = unit.run.now()
        if step.human is not None:
            text = render_text(step.human.ask, names, f"{unit.where}.human.ask")
            asked = step.human
            return RunQuestion(
                id=secrets.token_hex(6),
                kind="answer",
                text=text[:_LONGEST],
                options=asked.options,
                asked=now,
                deadline=_at(now, asked.deadline),
                default=asked.default,
                remind_seconds=asked.remind,
            )
        approve = step.approve
        assert approve is not None
        given = render(step.input, names, f"{unit.where}.input")
        if step.prompt is not None:
            given = {"prompt": render_text(step.prompt, names, f"{unit.where}.prompt")}
        if approve.ask is not None:
            text = render_text(approve.ask, names, f"{unit.where}.approve.ask")
        else:
            whom = step.agent or step.capability or step.plan or step.id
            text = f"{step.id}: may {whom} {step.action or 'go on'}?"
        return RunQuestion(
            id=secrets.token_hex(6),
            kind="approve",
            text=text[:_LONGEST],
            input=given,
            asked=now,
            deadline=_at(now, approve.deadline),
            default=approve.default,
            remind_seconds=approve.remind,
        )

    async def _wait(self) -> None:
        """Until something is said, or it is time to remind, or to take the default."""
        unit = self._unit
        question = unit.view.question
        assert question is not None
        now = unit.run.now()
        remind = question.asked + timedelta(
            seconds=question.remind_seconds * (question.reminders + 1)
        )
        if question.deadline is not None and now >= question.deadline:
            await self._take_default(question)
            # The answer that counts is the one in the journal, which comes back from there.
            await unit.run.moved(1.0)
            return
        if now >= remind:
            again = question.model_copy(update={"reminders": question.reminders + 1})
            await unit.record("step-waiting", question=again)
            return
        until = remind if question.deadline is None else min(remind, question.deadline)
        await unit.run.moved(max(0.0, (until - now).total_seconds()))

    async def _take_default(self, question: RunQuestion) -> None:
        unit = self._unit
        verdict = "reject"
        value = None
        if question.kind == "approve":
            verdict = "approve" if question.default == "approve" else "reject"
        elif question.default is not None:
            verdict, value = "answer", question.default
        request = AnswerRequest.model_validate(
            {"run": unit.run.run_id, "step": unit.path, "verdict": verdict, "value": value}
        )
        try:
            await unit.run.answer(request)
        except (ConflictError, NotFoundError):
            return  # a person was quicker


async def agents_answer(unit: Unit, waiting: WaitingError) -> str:
    """Wait for what comes of a request whose agent asked a person; it goes on by itself then.

    That the step waits is in the journal: another planner does not ask the agent again.
    Raises SparkplugError when the request failed.
    """
    now = unit.run.now()
    question = RunQuestion(
        id=secrets.token_hex(6),
        kind="agent",
        text=waiting.message.removeprefix(WAITS)[:_LONGEST],
        asked=now,
        questions=waiting.questions,
    )
    await unit.record(
        "step-waiting", question=question, attempt=unit.view.attempts, agent=waiting.agent or None
    )
    return await agents_outcome(unit)


async def agents_outcome(unit: Unit) -> str:
    """Go on waiting for it."""
    question = unit.view.question
    assert question is not None
    while True:
        try:
            return await outcome(unit.run.desk.bus, question.questions[0])
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            log.debug("question %s: %s", question.questions[0], error)
            await asyncio.sleep(1.0)


def _at(now: datetime, seconds: float | None) -> datetime | None:
    return now + timedelta(seconds=seconds) if seconds is not None else None
