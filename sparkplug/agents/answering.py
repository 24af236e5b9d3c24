"""Answering one request: the runtime's outputs go where each belongs, and its end is told."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from synadia_ai.agent_service import PromptStream, RequestRejectedError
from synadia_ai.agents import Envelope, StatusChunk

from sparkplug.agents.activity import Activity, RequestActivity
from sparkplug.agents.asking import Asking
from sparkplug.agents.authoring import as_json, as_text
from sparkplug.agents.context import Context, Routes
from sparkplug.agents.conversation import Conversations
from sparkplug.agents.envelopes import Asked, read_envelope, restore, save
from sparkplug.agents.jobs import SpawnJob
from sparkplug.agents.parking import Parked, parked
from sparkplug.agents.runtimes.port import (
    Output,
    Result,
    Runtime,
    Stateful,
    Status,
    Step,
    Text,
    Tokens,
)
from sparkplug.agents.step_events import StepEvents
from sparkplug.bus import synadia as wire
from sparkplug.bus.connection import Bus
from sparkplug.llm.chat import ChatModel
from sparkplug.schema.errors import DeadlineError
from sparkplug.schema.question import LONGEST_OUTCOME, Answer
from sparkplug.schema.text import one_line

log = logging.getLogger("sparkplug.agent")

#: Outcomes of requests that were gone on with, should the node that asked for it not hear them.
_MOST_OUTCOMES = 64
#: After the caller's own deadline: it is told by whoever notices first, which is itself.
_GRACE_S = 0.5


class Answering:
    """Answers the requests of one replica."""

    def __init__(
        self,
        *,
        job: SpawnJob,
        bus: Bus,
        runtime: Runtime,
        model: ChatModel,
        activity: Activity,
        events: StepEvents,
    ) -> None:
        self._job = job
        self._bus = bus
        self._runtime = runtime
        self._model = model
        self._activity = activity
        self._events = events
        self._routes = Routes(bus)
        self.asking = Asking(bus, job.agent, job.replica)
        self._conversations = Conversations(bus, job.agent)
        #: One that keeps its threads itself has the conversation in them.
        self._keeps_turns = not isinstance(runtime, Stateful)
        self._going: dict[str, asyncio.Event] = {}
        self._outcomes: OrderedDict[str, str] = OrderedDict()

    async def answer(
        self, envelope: Envelope, stream: PromptStream, activity: RequestActivity
    ) -> None:
        """Answer a request, or go on with one that waited for a person."""
        asked = read_envelope(envelope)
        if asked.resume is None:
            await self._within(asked, stream, activity, _request_id(self._job.agent, asked), {})
            return
        question, token = asked.resume
        taken = await self.asking.take(question, token)
        self._activity.unpark(question)
        request = taken.saved.request
        if request in self._going:
            # Told of twice: the node that told of it first is gone, what it began goes on.
            await self._going[request].wait()
        if question in self._outcomes:
            await stream.send(self._outcomes[question])
            return
        self._going[request] = asyncio.Event()
        heard = _Heard(stream)
        try:
            await self._within(restore(taken.saved), heard, activity, request, taken.answers)
            self._outcomes[question] = "".join(heard.pieces)[:LONGEST_OUTCOME]
            if len(self._outcomes) > _MOST_OUTCOMES:
                self._outcomes.popitem(last=False)
        finally:
            self._going.pop(request).set()

    async def _within(
        self,
        asked: Asked,
        stream: PromptStream | _Heard,
        activity: RequestActivity,
        request: str,
        answers: Mapping[str, Answer],
    ) -> None:
        """Answer within the time the caller waits, and park what needs a person."""
        deadline = asyncio.timeout(None if asked.deadline is None else asked.deadline + _GRACE_S)
        try:
            async with deadline:
                await self._serve(asked, stream, activity, request, answers)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise DeadlineError(f"no complete answer within {asked.deadline:g} s") from error
        except BaseException as error:
            waiting = parked(error)
            if waiting is None:
                raise
            await self._park(asked, stream, request, waiting)

    async def _park(
        self, asked: Asked, stream: PromptStream | _Heard, request: str, waiting: Parked
    ) -> None:
        """Have people asked; the prompt ends with the ids of the questions."""
        job = self._job
        saved = save(asked, waiting.request or request, job.agent, job.replica)
        saved.thread = saved.thread or waiting.thread
        ids = await self.asking.ask(saved, waiting.drafts)
        self._activity.park(*ids)
        text = one_line(waiting.drafts[0].text)
        await stream.send(StatusChunk(status=f"waits for a person: {text}"))
        raise RequestRejectedError(wire.WAITING_CODE, wire.waiting_words(ids, text))

    async def _serve(
        self,
        asked: Asked,
        stream: PromptStream | _Heard,
        activity: RequestActivity,
        id_: str,
        answers: Mapping[str, Answer],
    ) -> None:
        async def progress(text: str) -> None:
            await stream.send(StatusChunk(status=text))

        request = asked.request
        activity.action = request.action
        ctx = Context(
            bus=self._bus,
            agent=self._job.agent,
            replica=self._job.replica,
            host=self._job.host,
            activity=activity,
            routes=self._routes,
            model=self._model,
            progress=progress,
            ids=asked.ids,
            owner=self._job.owner,
            thread=request.thread,
            request=id_,
            answers=answers,
            deadline=asked.deadline,
            tokens=self._count,
            asking=self.asking,
            conversations=self._conversations,
        )
        pieces: list[str] = []
        value: Any = None
        with ctx.bound():
            outputs = self._runtime.serve(ctx, request)
            try:
                async for output in outputs:
                    match output:
                        case Status(text):
                            await progress(text)
                        case Text(text) if request.structured:
                            pieces.append(text)
                        case Text(text):
                            pieces.append(text)
                            await stream.send(text)
                        case Result(result):
                            value = result
                        case Step():
                            self._note(output, activity, asked, id_)
                        case Tokens(input=given, output=made):
                            self._count(given, made)
            finally:
                await _close(outputs)
        if request.structured:
            await stream.send(as_json("".join(pieces) if pieces else value))
            return
        if value is not None:
            pieces.append(as_text(value))
            await stream.send(pieces[-1])
        if request.thread and self._keeps_turns:
            await self._conversations.add(request.thread, request.text, "".join(pieces))

    def _note(self, step: Step, activity: RequestActivity, asked: Asked, request: str) -> None:
        if step.state == "started":
            activity.begin(step.id, step.name)
            return
        activity.finish(step.id)
        ids = {name: asked.ids.get(name) for name in ("run", "step") if asked.ids.get(name)}
        self._events.note(step, {"request": request, "thread": asked.request.thread, **ids})

    def _count(self, given: int, made: int) -> None:
        self._activity.tokens_in += max(0, given)
        self._activity.tokens_out += max(0, made)


class _Heard:
    """A stream to the caller that remembers the text that went out on it."""

    def __init__(self, stream: PromptStream) -> None:
        self._stream = stream
        self.pieces: list[str] = []

    async def send(self, chunk: str | StatusChunk) -> None:
        """Send a piece of the answer, or a word of status."""
        if isinstance(chunk, str):
            self.pieces.append(chunk)
        await self._stream.send(chunk)


def _request_id(agent: str, asked: Asked) -> str:
    """A new one; but the same for every attempt at the same step of a run."""
    key = asked.ids.get("key")
    if not key:
        return secrets.token_hex(4)
    return hashlib.sha256(f"{agent} {key}".encode()).hexdigest()[:8]


async def _close(outputs: AsyncGenerator[Output, None]) -> None:
    close: Callable[[], Any] | None = getattr(outputs, "aclose", None)
    if close is not None:
        await close()
