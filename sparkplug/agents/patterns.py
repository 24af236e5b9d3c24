"""What an agent's author can ask of other agents: the part of `ctx` that speaks to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from sparkplug.agents import publishing
from sparkplug.agents.balancing import Balance
from sparkplug.agents.handing_in import Tasks
from sparkplug.agents.routes import Whom
from sparkplug.agents.talking import Job, Reply, Talk, Want
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.published import Published

_ASK_S = 60.0
_TELL_S = 600.0
_BROADCAST_S = 10.0


class Patterns:
    """Asking one, several or all; telling; publishing and listening; handing in tasks."""

    agent: str
    replica: str
    _bus: Bus
    _talk: Talk
    _tasks: Tasks

    async def ask(
        self,
        agent: str | None = None,
        text: str = "",
        *,
        capability: str | None = None,
        type: str | None = None,  # noqa: A002
        labels: Sequence[str] = (),
        action: str | None = None,
        thread: str = "",
        timeout: float = _ASK_S,
        balance: Balance = "weighted",
        **input: Any,  # noqa: A002
    ) -> Any:
        """Ask another agent and return its answer: text for a prompt, JSON for an action.

        Who is asked is named, or has the capability, type and labels (`key=value`) given. `thread`
        names a conversation with it. `timeout` in seconds, and never longer than its own caller
        waits; who is asked stops when it is over, or when this is cancelled. What a foreign agent
        asks back, a person is asked. Raises NotFoundError, DeadlineError, RefusedError for a loop,
        WaitingError when the agent itself waits for a person, or the agent's own error.
        """
        job = Job(agent, text, capability, action, input, thread)
        whom = Whom(agent, capability, type, tuple(labels))
        return await self._talk.ask(job, whom, timeout, balance)

    async def stream(
        self,
        agent: str | None = None,
        text: str = "",
        *,
        capability: str | None = None,
        action: str | None = None,
        timeout: float = _ASK_S,
        **input: Any,  # noqa: A002
    ) -> AsyncGenerator[str, None]:
        """As `ask`, giving the text of the answer as it comes. Who stops reading takes it back."""
        job = Job(agent, text, capability, action, input)
        stream = self._talk.stream(job, job.whom, timeout, "weighted")
        async with contextlib.aclosing(stream) as pieces:
            async for piece in pieces:
                yield piece

    async def tell(
        self,
        agent: str | None = None,
        text: str = "",
        *,
        capability: str | None = None,
        action: str | None = None,
        timeout: float = _TELL_S,
        **input: Any,  # noqa: A002
    ) -> str:
        """Have another agent begin with something, and wait for no answer; its name.

        `timeout` is how long it may take at most (seconds). For what must not be lost when that
        agent dies there is `ctx.tasks`.
        """
        job = Job(agent, text, capability, action, input)
        return await self._talk.tell(job, job.whom, timeout, "weighted")

    async def delegate(
        self,
        to: Sequence[str | Job],
        text: str = "",
        *,
        want: Want = "all",
        action: str | None = None,
        timeout: float = _ASK_S,
        **input: Any,  # noqa: A002
    ) -> list[Reply]:
        """Have several agents work at once: names that get the same, or a `Job` for each.

        `want="all"` waits for everybody, and an error is in its reply. `"first"` returns once one
        has answered, a number once so many have: the others are taken back. Raises SparkplugError
        when too few can answer still.
        """
        jobs = [one if isinstance(one, Job) else Job(one, text, None, action, input) for one in to]
        if not jobs:
            raise InvalidError("nobody is there to delegate to", where="ctx.delegate")
        pairs = [(job, job.whom) for job in jobs]
        return await self._talk.several(pairs, want, timeout, "weighted")

    async def broadcast(
        self,
        text: str = "",
        *,
        capability: str | None = None,
        group: str | None = None,
        type: str | None = None,  # noqa: A002
        action: str | None = None,
        wait: bool = True,
        timeout: float = _BROADCAST_S,
        **input: Any,  # noqa: A002
    ) -> list[Reply]:
        """Ask every other agent: all, those with a capability or type, or of a group.

        A group is the agents with the label `group=NAME`. One replica of each agent is asked, and
        the reply of each has its answer or its error; without `wait` they are only told.
        """
        labels = (f"group={group}",) if group else ()
        whom = Whom(None, capability, type, labels)
        job = Job(None, text, capability, action, input)
        return await self._talk.everybody(job, whom, self.agent, timeout, wait=wait)

    async def publish(self, topic: str, data: Any = None) -> None:
        """Say something to whoever listens to a topic, like `builds.done`. Nothing keeps it."""
        await publishing.publish(self._bus, self.agent, self.replica, self._talk.trail, topic, data)

    async def on(
        self, topic: str, *, timeout: float | None = None
    ) -> AsyncGenerator[Published, None]:
        """What other agents publish on a topic (`builds.*`, `builds.>`) from now on.

        Ends after `timeout` seconds. What is to be heard all the time is a method marked `@on`.
        """
        with contextlib.suppress(TimeoutError):
            async with contextlib.aclosing(publishing.listen(self._bus, topic)) as heard:
                loop = asyncio.get_running_loop()
                ends = None if timeout is None else loop.time() + timeout
                while True:
                    left = None if ends is None else max(0.0, ends - loop.time())
                    async with asyncio.timeout(left):
                        found = await anext(heard)
                    yield found

    @property
    def tasks(self) -> Tasks:
        """The queues: work that is kept until some agent has done it."""
        return self._tasks

    @property
    def correlation(self) -> str:
        """Names all that one thing asked of the mesh has set off."""
        return self._talk.trail.correlation

    @property
    def causation(self) -> str:
        """The id of the request that asked this one; empty: nobody's of ours."""
        return self._talk.trail.causation

    @property
    def traceparent(self) -> str:
        """This request in W3C Trace Context, for what is called outside the mesh."""
        return self._talk.trail.traceparent
