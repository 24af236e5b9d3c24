"""Answering one request: the runtime's outputs go where each belongs, and its end is told."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from synadia_ai.agent_service import PromptStream, RequestRejectedError
from synadia_ai.agents import Envelope, StatusChunk

from sparkplug.agents import publishing
from sparkplug.agents.activity import Activity, RequestActivity
from sparkplug.agents.asking import Asking
from sparkplug.agents.authoring import as_json, as_text
from sparkplug.agents.cancelling import Requests
from sparkplug.agents.context import Context, Request
from sparkplug.agents.conversation import Conversations
from sparkplug.agents.envelopes import Asked, read_envelope, restore, save
from sparkplug.agents.jobs import SpawnJob
from sparkplug.agents.parking import Parked, parked
from sparkplug.agents.routes import Routes
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
from sparkplug.llm.metering import spent_here
from sparkplug.schema.errors import DeadlineError, InvalidError
from sparkplug.schema.published import Published
from sparkplug.schema.question import LONGEST_OUTCOME, Answer
from sparkplug.schema.task_services import GivenTask
from sparkplug.schema.text import one_line

log = logging.getLogger("sparkplug.agent")

#: Outcomes of requests that were gone on with, should the node that asked for it not hear them.
_MOST_OUTCOMES = 64
#: After the caller's own deadline: it is told by whoever notices first, which is itself.
_GRACE_S = 0.5


#: A method marked `@on`.
Listener = Callable[[Context, Published], Awaitable[None]]


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
        self.routes = Routes(bus, job.host)
        self.asking = Asking(bus, job.agent, job.replica)
        self._conversations = Conversations(bus, job.agent)
        #: One that keeps its threads itself has the conversation in them.
        self._keeps_turns = not isinstance(runtime, Stateful)
        self._going: dict[str, asyncio.Event] = {}
        self._outcomes: OrderedDict[str, str] = OrderedDict()
        self._hearing: set[asyncio.Task[None]] = set()
        self._hands = asyncio.Semaphore(job.concurrency)

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

    async def do_task(self, given: GivenTask, activity: RequestActivity) -> Any:
        """Do a task: its answer, JSON to an action, else text.

        Raises InvalidError for one that needs a person: nobody waits for a task's question.
        """
        structured = given.action is not None
        request = Request(given.text, given.action or "prompt", given.input, (), structured)
        ids = {**given.context, "task": given.id, "attempt": given.attempt, "key": given.key}
        said = _Said(given.id)
        try:
            await self._serve(Asked(request, ids, given.timeout), said, activity, given.id, {})
        except BaseException as error:
            if parked(error) is None:
                raise
            raise InvalidError(
                "a task cannot wait for a person",
                hint="ask people in a prompt, or in a step of a plan",
            ) from error
        text = "".join(said.pieces)
        return json.loads(text) if structured and text else text

    async def listen(self, requests: Requests) -> list[Subscription]:
        """Have the methods marked `@on` hear what they listen to: one replica hears each."""
        found = []
        listeners: Mapping[str, Listener] = getattr(self._runtime, "listeners", {})
        for topic, listener in listeners.items():

            async def heard(message: Msg, listener: Listener = listener) -> None:
                said = publishing.read(message)
                if said is not None:
                    hearing = asyncio.create_task(self._hear(requests, listener, said))
                    self._hearing.add(hearing)
                    hearing.add_done_callback(self._hearing.discard)

            found.append(
                await self._bus.nc.subscribe(
                    publishing.listened(topic), queue=self._job.agent, cb=heard
                )
            )
        return found

    async def _hear(self, requests: Requests, listener: Listener, said: Published) -> None:
        """Have one method hear of something; what it raises is in the agent's log."""
        async with self._hands:
            with self._activity.request() as activity:
                ctx = self._context(activity, said.ids, _Said(f"on {said.topic}"))

                async def work() -> None:
                    with ctx.bound():
                        await listener(ctx, said)

                try:
                    await requests.run_named(work(), f"on {said.topic}", said.ids, activity)
                    self._activity.served += 1
                except Exception:
                    # The agent's own code: nobody waits for what it answers.
                    self._activity.failed += 1
                    log.exception("on %s", said.topic)

    def _context(
        self,
        activity: RequestActivity,
        ids: Mapping[str, Any],
        stream: PromptStream | _Heard | _Said,
        *,
        tokens: Callable[[int, int], None] | None = None,
        **more: Any,
    ) -> Context:
        async def progress(text: str) -> None:
            await stream.send(StatusChunk(status=text))

        return Context(
            bus=self._bus,
            agent=self._job.agent,
            replica=self._job.replica,
            host=self._job.host,
            activity=activity,
            routes=self.routes,
            model=self._model,
            progress=progress,
            ids=ids,
            owner=self._job.owner,
            tokens=tokens or self._count,
            asking=self.asking,
            conversations=self._conversations,
            **more,
        )

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
        stream: PromptStream | _Heard | _Said,
        activity: RequestActivity,
        id_: str,
        answers: Mapping[str, Answer],
    ) -> None:
        async def progress(text: str) -> None:
            await stream.send(StatusChunk(status=text))

        request = asked.request
        activity.action = request.action
        told: list[int] = []
        called: list[int] = []
        spent_here.set(called)

        def count(given: int, made: int) -> None:
            self._count(given, made)
            told.append(given + made)

        ctx = self._context(
            activity,
            asked.ids,
            stream,
            tokens=count,
            thread=request.thread,
            request=id_,
            answers=answers,
            deadline=asked.deadline,
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
                            count(given, made)
            finally:
                await _close(outputs)
        # A runtime may tell of calls that are in the ledger as well.
        used = max(sum(told), sum(called))
        if used and asked.ids.get("run"):
            await progress(f'usage {{"total_tokens": {used}}}')
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


class _Said:
    """Where the answer of a task goes; its words of status go to the agent's log."""

    def __init__(self, task: str) -> None:
        self._task = task
        self.pieces: list[str] = []

    async def send(self, chunk: str | StatusChunk) -> None:
        """Keep a piece of the answer."""
        if isinstance(chunk, str):
            self.pieces.append(chunk)
        else:
            log.info("task %s: %s", self._task, one_line(chunk.status))


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
