"""What becomes of questions: answered ones are gone on with, those whose time is up end.

One node of a mesh at a time does it, the holder of a lease. Should it die, the next goes on from
the records; and what an agent has begun to go on with is not begun twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from datetime import timedelta

import nats.errors
import nats.js.errors
from synadia_ai.agents import ResponseChunk

from sparkplug.bus import subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.leases import Lease
from sparkplug.bus.questions import change_question, question_key, questions
from sparkplug.bus.service import call
from sparkplug.clock import until_next
from sparkplug.questions.board import Board
from sparkplug.schema.agent import ResolveReply, ResolveRequest, Target
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import (
    CancelledRequestError,
    NoMeshError,
    NotFoundError,
    SparkplugError,
    WaitingError,
)
from sparkplug.schema.question import (
    ENDED,
    LONGEST_OUTCOME,
    Answer,
    Question,
    QuestionState,
)
from sparkplug.schema.text import one_line

log = logging.getLogger(__name__)

LEASE = "questions"
_LEASE_S = 3
_LOOK_S = 1.0
_AGAIN_S = 1.0
#: The most that going on with a request may take.
_GO_ON_S = 86400.0
#: An agent that ended so often while it went on is not asked again.
_MOST_ATTEMPTS = 5
_KEEP = timedelta(days=7)
_SWEEP_S = 600.0
_LONGEST_ERROR = 500


class Keeper:
    """Acts on the questions of a mesh while this node holds their lease."""

    def __init__(self, bus: Bus, holder: str, board: Board, events: EventLog) -> None:
        self._bus = bus
        self._board = board
        self._events = events
        self._lease = Lease(bus, LEASE, holder, _LEASE_S, own=True)
        self._going: dict[str, asyncio.Task[None]] = {}
        self._swept = 0.0

    async def run(self) -> None:
        """Act for ever, whenever the lease is this node's."""
        while True:
            if await self._lease.acquire():
                keeping = asyncio.create_task(self._lease.keep(), name="questions: lease")
                try:
                    await self._act(keeping)
                finally:
                    await end(keeping, *self._going.values())
                    self._going.clear()
                    await self._lease.release()
            await asyncio.sleep(_AGAIN_S)

    async def _act(self, keeping: asyncio.Task[None]) -> None:
        with self._board.changes() as changed:
            while not keeping.done():
                try:
                    await self._look()
                except (
                    SparkplugError,
                    TimeoutError,
                    nats.errors.Error,
                    nats.js.errors.Error,
                ) as error:
                    log.warning("questions: %s", error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(until_next(_LOOK_S)):
                        await changed.wait()
                changed.clear()

    async def _look(self) -> None:
        now = utc_now()
        for question in self._board.all():
            held = question.subject.held_until
            if question.waits and question.deadline is not None and question.deadline <= now:
                await self._expire(question)
            elif question.waits and held is not None and held <= now:
                await self._end(question, QuestionState.WITHDRAWN, error="nobody waits any more")
            elif question.subject.kind == "query" and question.state is QuestionState.ANSWERED:
                if held is not None and held <= now:
                    await self._end(question, QuestionState.DONE)
            elif question.subject.kind == "request" and question.state in (
                QuestionState.ANSWERED,
                QuestionState.RESUMING,
            ):
                self._go_on(question)
        loop = asyncio.get_running_loop()
        if loop.time() - self._swept > _SWEEP_S:
            self._swept = loop.time()
            await self._sweep()

    async def _expire(self, question: Question) -> None:
        """Its time is up: the default is the answer, or there is none."""
        default = question.default
        given = Answer(value=default, how="expired" if default is None else "default")

        def make(one: Question) -> Question | None:
            if not one.waits:
                return None
            return one.model_copy(update={"state": QuestionState.ANSWERED, "answer": given})

        await change_question(self._bus, question.id, make)
        if default is None:
            self._tell("question:expired", question)

    def _go_on(self, question: Question) -> None:
        if question.id in self._going:
            return
        if question.state is QuestionState.ANSWERED and question.answer is not None:
            given = question.answer
            if given.how == "withdrawn":
                self._tell("question:withdrawn", question, by=given.by)
            elif given.how != "expired":
                self._tell("question:answered", question, by=given.by, how=given.how)
        task = asyncio.create_task(self._resume(question), name=f"question {question.id}")
        self._going[question.id] = task
        task.add_done_callback(lambda _: self._going.pop(question.id, None))

    async def _resume(self, question: Question) -> None:
        """Have the agent go on, for as long as it takes until one can."""
        lost = ""
        while True:
            target = await self._find(question)
            if target is None:
                await asyncio.sleep(_AGAIN_S)
                continue
            try:
                attempt = await self._attempt(question, counts=bool(lost))
                if attempt is None:
                    return
                question = attempt
                if attempt.attempts > _MOST_ATTEMPTS:
                    await self._fail(question, f"it ended {_MOST_ATTEMPTS} times: {lost}")
                    return
                outcome = await self._ask(target, attempt)
            except WaitingError as error:
                following = next((id_ for id_ in error.questions if id_ != question.id), "")
                await self._end(question, QuestionState.DONE, next=following)
                return
            except wire.LostAnswererError as error:
                lost = error.message
            except NoMeshError as error:
                log.debug("question %s waits: %s", question.id, error)
            except CancelledRequestError as error:
                await self._fail(question, error.message)
                return
            except SparkplugError as error:
                if not self._bus.connected:
                    continue
                await self._fail(question, error.message)
                return
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                log.debug("question %s waits: %s", question.id, error)
            else:
                await self._end(question, QuestionState.DONE, outcome=outcome[:LONGEST_OUTCOME])
                self._tell("question:done", question)
                return
            await asyncio.sleep(_AGAIN_S)

    async def _find(self, question: Question) -> Target | None:
        """A replica that takes prompts: the one that asked, if it can be."""
        try:
            request = ResolveRequest(name=question.subject.agent)
            reply = await call(self._bus, subjects.AGENTS_RESOLVE, request, ResolveReply)
        except SparkplugError as error:
            log.debug("question %s waits: %s", question.id, error)
            return None
        ours = [one for one in reply.targets if not one.foreign]
        same = [one for one in ours if one.replica == question.subject.replica]
        return next(iter(same or ours), None)

    async def _attempt(self, question: Question, *, counts: bool) -> Question | None:
        """Write down that the agent goes on, with a token that only this attempt has."""
        token = secrets.token_urlsafe(16)

        def make(one: Question) -> Question | None:
            if one.state not in (QuestionState.ANSWERED, QuestionState.RESUMING):
                return None
            attempts = one.attempts + 1 if counts or not one.attempts else one.attempts
            changes = {"state": QuestionState.RESUMING, "token": token, "attempts": attempts}
            return one.model_copy(update=changes)

        made = await change_question(self._bus, question.id, make)
        if made.token != token:
            return None
        self._tell("question:resumed", question, attempt=made.attempts)
        return made

    async def _ask(self, target: Target, question: Question) -> str:
        context = {"resume": {"question": question.id, "token": question.token}}
        parts = []
        stream = wire.prompt(self._bus, target, "resume", context=context, deadline=_GO_ON_S)
        async with contextlib.aclosing(stream) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, ResponseChunk):
                    parts.append(chunk.text)  # noqa: PERF401  reads as what it does
        return "".join(parts)

    async def _fail(self, question: Question, why: str) -> None:
        await self._end(question, QuestionState.FAILED, error=why[:_LONGEST_ERROR])
        self._tell("question:failed", question, error=why[:_LONGEST_ERROR])

    async def _end(self, question: Question, state: QuestionState, **changes: str) -> None:
        def make(one: Question) -> Question | None:
            # Another keeper may have had it gone on with anew: then that is what counts.
            if one.state in ENDED or (question.token and one.token != question.token):
                return None
            return one.model_copy(update={"state": state, "ended": utc_now(), **changes})

        with contextlib.suppress(NotFoundError):
            await change_question(self._bus, question.id, make)

    def _tell(self, name: str, question: Question, **data: object) -> None:
        told = {"question": question.id, "text": one_line(question.text)[:200], **data}
        actor = str(data.get("by") or "")
        about = question.subject.agent or question.asked_by
        self._events.emit(name, about, actor=actor, data=told)

    async def _sweep(self) -> None:
        """Forget what has long ended, and the requests that nothing is asked for any more."""
        bucket = questions(self._bus)
        oldest = utc_now() - _KEEP
        wanted: set[str] = set()
        for question in self._board.all():
            if question.state in ENDED and (question.ended or question.asked) < oldest:
                await bucket.delete(question_key(question.id))
            else:
                wanted.add(question.subject.request)
        for entry in await bucket.entries("r.*"):
            request = entry.key.partition(".")[2]
            fresh = entry.time is None or entry.time > utc_now() - timedelta(seconds=_SWEEP_S)
            if request not in wanted and not fresh:
                await bucket.delete(entry.key, revision=entry.revision)
