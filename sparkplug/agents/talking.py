"""Asking others: one, several at once, everybody; and taking a question back.

What one asks of others is prompts of the Synadia Agent Protocol, so foreign agents can be asked
too. The protocol has no word for taking a prompt back: an asker that goes on without the answer
tells the replica so under `sparkplug.withdraw.`, by an id that only the two of them know.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import nats.errors
from synadia_ai.agents import Query, ResponseChunk

from sparkplug.agents.activity import RequestActivity
from sparkplug.agents.balancing import Balance
from sparkplug.agents.routes import Routes, Whom
from sparkplug.agents.trail import Trail
from sparkplug.bus import hubs, subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.schema.agent import Target
from sparkplug.schema.agent_control import Withdrawal
from sparkplug.schema.errors import DeadlineError, InvalidError, NoMeshError, SparkplugError

log = logging.getLogger("sparkplug.agent")

#: Another replica is tried so often when the one that was chosen took nothing.
_OTHERS = 2

#: Beside the ids of run and step: the id a question was asked under, so that who waits for whom
#: is known request by request.
QUESTION_FIELD = "question"

Want = Literal["all", "first"] | int


@dataclass(frozen=True, slots=True)
class Job:
    """What one sub-agent is asked: a text, or an action with its input."""

    agent: str | None = None
    text: str = ""
    capability: str | None = None
    action: str | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    thread: str = ""
    #: The mark of what is said to several at once (`bus.hubs`), of which this is one part.
    hub: str = ""

    @property
    def whom(self) -> Whom:
        """Who is asked."""
        return Whom(self.agent, self.capability)


@dataclass(frozen=True, slots=True)
class Reply:
    """What one of several said, or why it said nothing."""

    agent: str
    answer: Any = None
    error: SparkplugError | None = None

    @property
    def ok(self) -> bool:
        """Whether it answered."""
        return self.error is None


class _Tries:
    """What one question was tried with, and the time that is left for it."""

    def __init__(self, timeout: float) -> None:
        self._ends = time.monotonic() + timeout
        self.tried: frozenset[str] = frozenset()

    @property
    def left(self) -> float:
        """Seconds until it is over, and never none at all."""
        return max(0.001, self._ends - time.monotonic())


class Talk:
    """What one request asks of others.

    `left` gives the seconds its own caller still waits, `have_answered` a person's answer to
    what an agent (its name, the second argument) asks back.
    """

    def __init__(
        self,
        bus: Bus,
        routes: Routes,
        activity: RequestActivity,
        ids: Mapping[str, Any],
        left: Callable[[], float | None],
        have_answered: Callable[[str, str], Awaitable[str]],
    ) -> None:
        self._bus = bus
        self._routes = routes
        self._activity = activity
        self.trail = Trail.read(ids)
        self._ids = dict(ids)
        self._left = left
        self._have_answered = have_answered

    def _within(self, timeout: float) -> float:
        """So many seconds, or those that its own caller still waits if they are fewer."""
        left = self._left()
        return timeout if left is None else max(0.001, min(timeout, left))

    async def ask(self, job: Job, whom: Whom, timeout: float, balance: Balance) -> Any:
        """The answer: text to a prompt, JSON to an action."""
        tries = _Tries(self._within(timeout))
        self._routes.budget.asked()
        with self._activity.doing("asking"):
            while True:
                target = await self._routes.find(whom, balance, tries.tried)
                try:
                    text = await self._answer(target, job, tries.left)
                    break
                except NoMeshError as error:
                    if not await self._another(whom, target, tries, error):
                        raise
        return text if job.action is None else wire.parsed(text)

    async def stream(
        self, job: Job, whom: Whom, timeout: float, balance: Balance
    ) -> AsyncGenerator[str, None]:
        """The answer as it comes. A replica that takes nothing is followed by another."""
        tries = _Tries(self._within(timeout))
        self._routes.budget.asked()
        with self._activity.doing("asking"):
            while True:
                target = await self._routes.find(whom, balance, tries.tried)
                begun = False
                try:
                    async with self._question(target, job, tries.left) as chunks:
                        async for chunk in chunks:
                            if isinstance(chunk, ResponseChunk):
                                begun = True
                                yield chunk.text
                            elif isinstance(chunk, Query):
                                answer = await self._have_answered(chunk.prompt, target.name)
                                await chunk.reply(answer)
                    return
                except NoMeshError as error:
                    if begun or not await self._another(whom, target, tries, error):
                        raise

    async def _another(self, whom: Whom, target: Target, tries: _Tries, error: NoMeshError) -> bool:
        """Nothing was begun there: whether another may have it, as far as the budget goes."""
        tries.tried |= {target.subject}
        if len(tries.tried) > _OTHERS or not self._routes.budget.take():
            return False
        log.debug("%s is asked elsewhere: %s", whom, error)
        return any(one.subject not in tries.tried for one in await self._routes.all(whom))

    async def _answer(self, target: Target, job: Job, timeout: float) -> str:
        """All of one replica's answer."""
        async with self._question(target, job, timeout) as chunks:
            return await wire.whole(
                chunks, lambda question: self._have_answered(question, target.name)
            )

    @contextlib.asynccontextmanager
    async def _question(
        self, target: Target, job: Job, timeout: float
    ) -> AsyncGenerator[AsyncGenerator[wire.Chunk, None], None]:
        """A question to one replica; it is told when its answer is no longer wanted."""
        call = secrets.token_hex(16)
        content = job.input if job.action is not None else job.text
        onward = self.trail.onward(target.name, job.action or "prompt", content)
        over = False
        try:
            with (
                self._routes.asking(target),
                self._activity.waiting_for(target, job.action) as asked,
            ):
                stream = wire.prompt(
                    self._bus,
                    target,
                    job.text,
                    action=job.action,
                    input=job.input,
                    context={**self._ids, **onward, "call": call, QUESTION_FIELD: asked},
                    thread=job.thread,
                    hub=job.hub,
                    deadline=timeout,
                )
                async with contextlib.aclosing(stream):
                    yield stream
            over = True
        except DeadlineError:
            raise
        except SparkplugError:
            over = True
            raise
        finally:
            if not over and not target.foreign:
                await self._withdraw(target, call)

    async def _withdraw(self, target: Target, call: str) -> None:
        subject = subjects.withdraw(target.name, target.replica)
        told = Withdrawal(call=call)
        with contextlib.suppress(nats.errors.Error):
            await self._bus.nc.publish(subject, told.model_dump_json().encode())

    async def tell(self, job: Job, whom: Whom, timeout: float, balance: Balance) -> str:
        """Have an agent begin with something, and wait for no answer; its name."""
        self._routes.budget.asked()
        target = await self._routes.find(whom, balance)
        await self._told(target, job, timeout)
        return target.name

    async def _told(self, target: Target, job: Job, timeout: float) -> None:
        content = dict(job.input) if job.action is not None else job.text
        onward = self.trail.onward(target.name, job.action or "prompt", content)
        stream = wire.prompt(
            self._bus,
            target,
            job.text,
            action=job.action,
            input=job.input,
            context={**self._ids, **onward},
            thread=job.thread,
            hub=job.hub,
            deadline=timeout,
        )
        # The first chunk says that it has taken it (protocol section 6.2).
        async with contextlib.aclosing(stream) as chunks:
            async for _ in chunks:
                return

    async def several(
        self, jobs: Sequence[tuple[Job, Whom]], want: Want, timeout: float, balance: Balance
    ) -> list[Reply]:
        """Ask several at once.

        Once as many have answered as are wanted the others are withdrawn. Raises the last error
        when fewer can answer still, and InvalidError when more are wanted than are asked.
        """
        enough = {"all": len(jobs), "first": 1}.get(want) if isinstance(want, str) else want
        if enough is None or not 0 < enough <= len(jobs):
            raise InvalidError(f"{want} answers are wanted of {len(jobs)} agents")
        tasks = [
            asyncio.create_task(self._reply(job, whom, timeout, balance)) for job, whom in jobs
        ]
        replies: list[Reply] = []
        good = 0
        try:
            for done in asyncio.as_completed(tasks):
                replies.append(await done)
                good += replies[-1].ok
                if want == "all":
                    continue
                if good >= enough:
                    break
                if good + len(jobs) - len(replies) < enough:
                    error = next(r.error for r in reversed(replies) if r.error is not None)
                    raise SparkplugError(
                        f"{good} of {len(jobs)} answered, {enough} were wanted: {error.message}",
                        where=error.where,
                    ) from error
        finally:
            await end(*tasks)
        return replies

    async def _reply(self, job: Job, whom: Whom, timeout: float, balance: Balance) -> Reply:
        name = whom.name or str(whom)
        try:
            return Reply(name, await self.ask(job, whom, timeout, balance))
        except SparkplugError as error:
            return Reply(name, error=error)

    async def everybody(
        self, job: Job, whom: Whom, besides: str, timeout: float, *, wait: bool
    ) -> list[Reply]:
        """Ask, or only tell, every agent that is meant, but `besides`: one replica of each."""
        there = await self._routes.all(whom)
        names = list(dict.fromkeys(target.name for target in there if target.name != besides))
        if not names:
            return []
        job = replace(job, hub=hubs.mark(whom.hub))
        jobs = [(job, Whom(name, whom.capability, whom.type, whom.labels)) for name in names]
        self._spread(there, jobs)
        if wait:
            return await self.several(jobs, "all", timeout, "weighted")

        async def tell(one: Whom) -> Reply:
            try:
                return Reply(await self.tell(job, one, timeout, "weighted"))
            except SparkplugError as error:
                return Reply(one.name or "", error=error)

        return list(await asyncio.gather(*(tell(one) for _, one in jobs)))

    def _spread(self, there: Sequence[Target], jobs: Sequence[tuple[Job, Whom]]) -> None:
        """The routes to each are known from those to all: nobody is asked for them again."""
        of: defaultdict[str, list[Target]] = defaultdict(list)
        for target in there:
            of[target.name].append(target)
        for _, whom in jobs:
            self._routes.learn(whom, of[whom.name or ""])
