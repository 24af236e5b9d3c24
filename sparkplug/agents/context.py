"""`ctx`: what an agent's author can do beside computing an answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from synadia_ai.agents import ResponseChunk

from sparkplug.agents.memory import AgentMemory
from sparkplug.bus import subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import call as call_service
from sparkplug.llm.provider import Model
from sparkplug.schema.agent import ResolveReply, ResolveRequest, Target
from sparkplug.schema.agent_state import AgentState
from sparkplug.schema.errors import NotFoundError
from sparkplug.schema.node import Nothing
from sparkplug.schema.node_services import (
    KernelLogReply,
    ProcessesReply,
    WindowReply,
    WindowRequest,
)

_current: ContextVar[Context] = ContextVar("sparkplug_context")
_ROUTE_AGE_S = 2.0
_DEFAULT_DEADLINE_S = 60.0


def current() -> Context:
    """The context of the request being served: for graph nodes and tools, which get no `ctx`.

    Raises LookupError outside a request.
    """
    return _current.get()


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: a plain prompt is the action `prompt` with its text."""

    text: str
    action: str = "prompt"
    input: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[tuple[str, bytes], ...] = ()
    structured: bool = False


class RequestActivity:
    """What one request in hand is doing: which of its waits are open now."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.asking = 0
        self.thinking = 0

    @contextlib.contextmanager
    def doing(self, what: Literal["asking", "thinking"]) -> Iterator[None]:
        """Count one more open question to an agent, or model call, while the block runs."""
        setattr(self, what, getattr(self, what) + 1)
        self._changed()
        try:
            yield
        finally:
            setattr(self, what, getattr(self, what) - 1)
            self._changed()


class Activity:
    """What an agent process is doing, counted, so that its state is known and not guessed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._requests: set[RequestActivity] = set()
        self.served = 0
        self.failed = 0

    @property
    def inflight(self) -> int:
        """Requests in hand."""
        return len(self._requests)

    @contextlib.contextmanager
    def request(self) -> Iterator[RequestActivity]:
        """Count one more request while the block runs; what it gives counts what that one does."""
        one = RequestActivity(self._changed)
        self._requests.add(one)
        self._changed()
        try:
            yield one
        finally:
            self._requests.discard(one)
            self._changed()

    @property
    def state(self) -> AgentState:
        """The one state of all requests in hand.

        `thinking` while any of them has a model call open; else `running` while any works by
        itself; else, as each of them waits for another agent, `waiting-agent`.
        """
        if not self._requests:
            return AgentState.IDLE
        if any(one.thinking for one in self._requests):
            return AgentState.THINKING
        if any(not one.asking for one in self._requests):
            return AgentState.RUNNING
        return AgentState.WAITING_AGENT


class Routes:
    """Which replicas answer to a name, remembered for a moment."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[ResolveKey, tuple[float, list[Target]]] = {}

    async def find(self, name: str | None, capability: str | None) -> Target:
        """The least busy replica. Raises NotFoundError when there is none."""
        key = (name, capability)
        age, targets = self._known.get(key, (0.0, []))
        if time.monotonic() - age > _ROUTE_AGE_S:
            reply = await call_service(
                self._bus,
                subjects.AGENTS_RESOLVE,
                ResolveRequest(name=name, capability=capability),
                ResolveReply,
            )
            targets = reply.targets
            self._known[key] = (time.monotonic(), targets)
        if not targets:
            self._known.pop(key, None)
            what = f"agent {name}" if name else f"agent with the capability {capability}"
            raise NotFoundError(f"no {what} is ready", hint="`sparkplug agents list` shows them")
        # Rotating spreads a burst over the replicas between two looks at their load.
        targets.append(targets.pop(0))
        return targets[-1]


ResolveKey = tuple[str | None, str | None]


class Context:
    """The context of one request.

    `run`, `step` and `attempt` name the run it belongs to (empty outside one), `key` is
    the step's idempotency key: the same for every attempt.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        agent: str,
        replica: str,
        host: str,
        activity: RequestActivity,
        routes: Routes,
        model: Model,
        progress: Callable[[str], Awaitable[None]],
        ids: Mapping[str, Any],
        owner: str = "",
    ) -> None:
        self._bus = bus
        self._activity = activity
        self._routes = routes
        self._progress = progress
        self._ids = dict(ids)
        # Every call of it counts, however the agent's code gets at it.
        self._model = model.counted(lambda: activity.doing("thinking"))
        self.agent = agent
        self.replica = replica
        self.host = host
        #: What it knows and remembers: see `AgentMemory`.
        self.memory = AgentMemory(bus, agent, owner, replica, self._ids)
        self.log = logging.getLogger(f"agent.{agent}")

    @property
    def run(self) -> str:
        """The run this request belongs to."""
        return str(self._ids.get("run", ""))

    @property
    def step(self) -> str:
        """The step of the run."""
        return str(self._ids.get("step", ""))

    @property
    def attempt(self) -> int:
        """Which attempt at the step this is, from 1; 0 outside a run."""
        return int(self._ids.get("attempt", 0))

    @property
    def key(self) -> str:
        """The idempotency key: equal for every attempt at the same step of the same run."""
        return str(self._ids.get("key", ""))

    async def ask(
        self,
        agent: str | None = None,
        text: str = "",
        *,
        capability: str | None = None,
        action: str | None = None,
        timeout: float = _DEFAULT_DEADLINE_S,
        **input: Any,  # noqa: A002
    ) -> Any:
        """Ask another agent and return its answer: text for a prompt, JSON for an action.

        `timeout` in seconds. Raises NotFoundError, DeadlineError, or the agent's own error.
        """
        with self._activity.doing("asking"):
            async with asyncio.timeout(timeout):
                target = await self._routes.find(agent, capability)
                if action is not None:
                    return await wire.call(
                        self._bus, target, action, input, context=self._ids, deadline=timeout
                    )
                parts = []
                stream = wire.prompt(self._bus, target, text, context=self._ids, deadline=timeout)
                async with contextlib.aclosing(stream) as chunks:
                    async for chunk in chunks:
                        if isinstance(chunk, ResponseChunk):
                            parts.append(chunk.text)  # noqa: PERF401
                return "".join(parts)

    async def progress(self, text: str) -> None:
        """Tell the caller what is being done now; it comes as a status chunk."""
        await self._progress(text)

    async def complete(self, prompt: str, *, system: str = "") -> AsyncGenerator[str, None]:
        """Stream a model's answer. Raises NoModelError when none is configured or answers."""
        async with contextlib.aclosing(self._model.stream(prompt, system=system)) as pieces:
            async for piece in pieces:
                yield piece

    @property
    def model(self) -> Model:
        """The model this agent was given; `model.configured` says whether there is one."""
        return self._model

    async def host_window(self, host: str = "", seconds: float = 10.0) -> WindowReply:
        """The samples of a host over the last `seconds`, oldest first."""
        return await call_service(
            self._bus,
            subjects.node_service(host or self.host, "window"),
            WindowRequest(seconds=seconds),
            WindowReply,
            deadline=seconds + 10.0,
        )

    async def host_processes(self, host: str = "") -> ProcessesReply:
        """The process table of a host."""
        return await call_service(
            self._bus,
            subjects.node_service(host or self.host, "processes"),
            Nothing(),
            ProcessesReply,
        )

    async def host_kernel_log(self, host: str = "") -> KernelLogReply:
        """The kernel's OOM and Xid lines of a host, where they can be read."""
        return await call_service(
            self._bus,
            subjects.node_service(host or self.host, "kernel-log"),
            Nothing(),
            KernelLogReply,
        )

    @contextlib.contextmanager
    def bound(self) -> Iterator[None]:
        """Make this the `current()` context while the block runs."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
