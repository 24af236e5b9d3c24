"""Where questions are asked: agents have them kept here, and take what was answered.

An agent asks under its own name, which the server sees to; what it says of who it is counts
for nothing. Each node of a mesh may be asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from datetime import timedelta

from sparkplug.bus import subjects
from sparkplug.bus.buckets import decode
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.questions import change_question, over, question_key, questions, read_question
from sparkplug.bus.service import Services
from sparkplug.questions.board import Board
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError, RefusedError
from sparkplug.schema.node import Nothing
from sparkplug.schema.question import (
    ENDED,
    AskReply,
    AskRequest,
    Draft,
    HoldReply,
    HoldRequest,
    MineReply,
    Question,
    QuestionState,
    QuestionSubject,
    SavedRequest,
    TakeReply,
    TakeRequest,
    ThreadQuestions,
)
from sparkplug.schema.text import one_line

log = logging.getLogger(__name__)

_QUEUE = "questions"
#: Bytes of what an agent tells of its question.
_MOST_DATA = 64 << 10
#: Open questions of one agent: past that it is told to wait.
_MOST_OPEN = 500
#: How long somebody on the line is let wait for one answer, and for how long he counts as there.
_HOLD_S = 15.0
_HELD_S = 45.0


class Desk:
    """The services of questions on one node."""

    def __init__(self, bus: Bus, board: Board, events: EventLog) -> None:
        self._bus = bus
        self._board = board
        self._events = events

    async def serve(self, services: Services) -> None:
        """Answer from now on."""

        def at(verb: str) -> str:
            return subjects.agent_service("*", "*", verb)

        await services.serve_named(at("ask"), AskRequest, self._ask, queue=_QUEUE)
        await services.serve_named(at("take"), TakeRequest, self._take, queue=_QUEUE)
        await services.serve_named(at("mine"), Nothing, self._mine, queue=_QUEUE)
        await services.serve_named(at("open"), ThreadQuestions, self._open, queue=_QUEUE)
        await services.serve_named(at("hold"), HoldRequest, self._hold, queue=_QUEUE)
        hold = subjects.QUESTIONS_HOLD
        await services.serve_named(hold, HoldRequest, self._hold, queue=_QUEUE)

    async def _ask(self, subject: str, request: AskRequest) -> AskReply:
        agent, replica = subjects.agent_of_service(subject)
        saved = request.saved.model_copy(update={"agent": agent, "replica": replica})
        bucket = questions(self._bus)
        there = await bucket.get(f"r.{saved.request}")
        before = decode(SavedRequest, there) if there is not None else None
        if before is not None and before.agent != agent:
            raise RefusedError(f"request {saved.request} is another agent's")
        mine = [one for one in self._board.all() if one.subject.agent == agent and one.waits]
        if len(mine) >= _MOST_OPEN:
            raise ConflictError(f"{agent} has {len(mine)} open questions; answer some first")
        await bucket.put(f"r.{saved.request}", saved)
        ids = []
        for draft in request.drafts:
            waiting = QuestionSubject(
                kind="request",
                agent=agent,
                replica=replica,
                request=saved.request,
                thread=saved.thread,
                run=str(saved.ids.get("run") or ""),
                step=str(saved.ids.get("step") or ""),
            )
            asked = _question(draft, waiting, f"{agent}/{replica}")
            ids.append(await self._keep(asked))
        return AskReply(ids=ids)

    async def _keep(self, asked: Question) -> str:
        """Write a question down, unless it is asked already."""
        bucket, key = questions(self._bus), question_key(asked.id)
        while True:
            entry = await bucket.get(key)
            before = decode(Question, entry) if entry is not None else None
            done = before is not None and before.state is QuestionState.DONE
            if before is not None and (done or before.state not in ENDED):
                # Asked again: by a step of a run that is made again, or a graph still there.
                return asked.id
            with contextlib.suppress(ConflictError):
                await bucket.put(key, asked, revision=entry.revision if entry is not None else 0)
                break
        self._tell("question:asked", asked)
        return asked.id

    def _tell(self, name: str, question: Question, **data: object) -> None:
        told = {"question": question.id, "text": one_line(question.text)[:200], **data}
        self._events.emit(name, question.subject.agent or question.asked_by, data=told)

    async def _take(self, subject: str, request: TakeRequest) -> TakeReply:
        agent, replica = subjects.agent_of_service(subject)

        def make(question: Question) -> Question:
            if question.subject.agent != agent or question.subject.kind != "request":
                raise RefusedError(f"question {question.id} is another's")
            told = question.token
            if question.state is not QuestionState.RESUMING or not told:
                raise ConflictError(over(question))
            if not secrets.compare_digest(told, request.token):
                raise RefusedError(
                    f"question {question.id} was given to somebody else to go on with"
                )
            return question.model_copy(update={"taken_by": f"{agent}/{replica}"})

        question = await change_question(self._bus, request.question, make)
        entry = await questions(self._bus).get(f"r.{question.subject.request}")
        saved = decode(SavedRequest, entry) if entry is not None else None
        if saved is None:
            raise NotFoundError(f"what was asked of {agent} is not kept any more")
        answers = {}
        # Read anew: of two answered at once each has to know of the other.
        for found in await questions(self._bus).entries(f"q.{question.subject.request}.*"):
            one = decode(Question, found)
            if one is not None and one.answer is not None:
                answers[one.id.partition("-")[2]] = one.answer
        return TakeReply(saved=saved, answers=answers)

    async def _mine(self, subject: str, _: Nothing) -> MineReply:
        agent, replica = subjects.agent_of_service(subject)
        return MineReply(
            ids=[
                one.id
                for one in self._board.all()
                if one.waits
                and one.subject.kind == "request"
                and (one.subject.agent, one.subject.replica) == (agent, replica)
            ]
        )

    async def _open(self, subject: str, request: ThreadQuestions) -> MineReply:
        agent, _ = subjects.agent_of_service(subject)
        return MineReply(
            ids=[
                one.id
                for one in self._board.all()
                if one.subject.agent == agent
                and one.subject.thread == request.thread
                and one.state not in ENDED
            ]
        )

    async def _hold(self, subject: str, request: HoldRequest) -> HoldReply:
        """Keep a question of somebody who waits on the line, until it is answered or a while."""
        asker = request.by[:200]
        agent = ""
        if subject != subjects.QUESTIONS_HOLD:
            agent, replica = subjects.agent_of_service(subject)
            asker = f"{agent}/{replica}"
        until = utc_now() + timedelta(seconds=_HELD_S)
        id_ = request.id
        try:
            question, _ = await read_question(self._bus, id_)
        except NotFoundError:
            if request.gone:
                return HoldReply(id=id_)
            waiting = QuestionSubject(
                kind="query",
                agent=request.foreign or agent,
                request=id_.partition("-")[0],
                held_until=until,
            )
            question = _question(request.draft.model_copy(update={"slot": "0"}), waiting, asker)
            await questions(self._bus).put(question_key(id_), question, revision=0)
            self._tell("question:asked", question, by=asker)
        if question.asked_by != asker or question.subject.kind != "query":
            raise RefusedError(f"question {id_} is another's")
        if request.gone:
            await change_question(self._bus, id_, _withdraw)
            return HoldReply(id=id_)
        if question.waits:
            await change_question(self._bus, id_, lambda one: _held(one, until))
        with self._board.changes() as changed, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HOLD_S):
                while question.waits:
                    await changed.wait()
                    changed.clear()
                    question, _ = await read_question(self._bus, id_)
        if question.waits:
            return HoldReply(id=id_)
        if question.answer is None:
            raise NotFoundError(f"question {id_} is {question.state}")
        await change_question(self._bus, id_, _taken)
        return HoldReply(id=id_, answer=question.answer)


def _question(draft: Draft, subject: QuestionSubject, asked_by: str) -> Question:
    """A question, as it is kept. Raises InvalidError for one that is too large."""
    size = len(draft.model_dump_json())
    if size > _MOST_DATA:
        raise InvalidError(f"a question of {size} bytes is too large, {_MOST_DATA} at most")
    now = utc_now()
    ends = draft.deadline_seconds
    return Question(
        id=f"{subject.request}-{draft.slot}",
        kind=draft.kind,
        text=draft.text,
        options=draft.options,
        data=draft.data,
        subject=subject,
        asked_by=asked_by,
        asked=now,
        deadline=now + timedelta(seconds=min(ends, 1e9)) if ends is not None else None,
        default=draft.default,
    )


def _held(question: Question, until: object) -> Question | None:
    if not question.waits:
        return None
    subject = question.subject.model_copy(update={"held_until": until})
    return question.model_copy(update={"subject": subject})


def _withdraw(question: Question) -> Question | None:
    if not question.waits:
        return None
    return question.model_copy(update={"state": QuestionState.WITHDRAWN, "ended": utc_now()})


def _taken(question: Question) -> Question | None:
    if question.state is not QuestionState.ANSWERED:
        return None
    return question.model_copy(update={"state": QuestionState.DONE, "ended": utc_now()})
