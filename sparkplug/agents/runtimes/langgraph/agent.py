"""A graph as an agent: each request is a run of it on a thread, kept by its checkpointer.

A request that was not finished, because its process was killed or a person had to be asked, is
gone on with where it was when it is made again: finished nodes are not run twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

from langgraph.types import Command, StateSnapshot

from sparkplug.agents.context import Context, Request
from sparkplug.agents.runtimes.langgraph.conversation import Shape
from sparkplug.agents.runtimes.langgraph.drawing import drawn
from sparkplug.agents.runtimes.langgraph.interrupts import (
    ask_by_interrupt,
    draft_of,
    resume_value,
    slot_of,
)
from sparkplug.agents.runtimes.langgraph.saving import Saving
from sparkplug.agents.runtimes.langgraph.states import ThreadStates
from sparkplug.agents.runtimes.langgraph.streaming import Reading
from sparkplug.agents.runtimes.port import Output, Parked, Result, Seat, Text
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import ConflictError
from sparkplug.schema.thread import AgentGraph, ThreadState

_RECURSION_LIMIT = 100
#: In the metadata of the checkpoints: which request made them.
REQUEST_MARK = "sparkplug_request"
_MODES = ("tasks", "values", "messages", "custom")


class GraphAgent(ThreadStates):
    """A compiled graph."""

    def __init__(self, graph: Any, seat: Seat) -> None:
        self._seat = seat
        self._saving = Saving(graph, seat)
        super().__init__(graph, seat.agent)
        self._shape = Shape(graph)
        self._drawn: AgentGraph | None = None
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def actions(self) -> dict[str, Any]:
        """A graph takes any action name; the schema of its state is what it wants as input."""
        return {"invoke": self._shape.schema}

    @property
    def graph(self) -> AgentGraph:
        """Its nodes and edges, those of the graphs in it too."""
        if self._drawn is None:
            self._drawn = drawn(self._graph)
        return self._drawn

    async def start(self, bus: Bus) -> None:
        """Open what keeps its checkpoints."""
        self._graph = await self._saving.open(bus)
        self._keeps = self._saving.keeps

    async def close(self) -> None:
        """Close it."""
        await self._saving.close()

    async def serve(self, ctx: Context, request: Request) -> AsyncGenerator[Output, None]:
        """Run the graph on one request, or go on with the run it began."""
        # A prompt of no conversation has a thread to itself, which nobody can come back to.
        named = request.thread or ctx.key
        thread = named or secrets.token_hex(8)
        mark = _mark(request, ctx.key)
        config = {
            "configurable": {"thread_id": thread},
            "recursion_limit": _RECURSION_LIMIT,
            "metadata": {REQUEST_MARK: mark},
        }
        ctx.interrupting(ask_by_interrupt)
        async with self._lock(thread):
            run: Any = None
            before: StateSnapshot | None = None
            if self._keeps and (named or ctx.answers):
                before = await self._graph.aget_state(config)
            over = before is not None and self._goes_on(before, ctx, mark)
            if over and before is not None:
                run = _resumption(before, ctx)
            else:
                await self._refuse_waiting(before, ctx, thread)
                run = self._shape.state(request)
            reading = Reading(self._shape, structured=request.structured)
            if before is not None and over and not before.next:
                # It had finished, and only the answer was lost.
                reading.values = before.values
            else:
                stream = self._graph.astream(
                    run,
                    config=config,
                    stream_mode=list(_MODES),
                    subgraphs=True,
                    **({"durability": "sync"} if self._keeps else {}),
                )
                async for namespace, mode, data in stream:
                    for output in reading.take(namespace, mode, data):
                        yield output
        if reading.interrupts:
            drafts = [draft_of(one) for one in reading.interrupts.values()]
            request_id = _request_id(self._seat.agent, thread, mark)
            raise Parked(drafts, request=request_id, thread=thread)
        answer = self._shape.answer(reading.values, structured=request.structured)
        if request.structured or not isinstance(answer, str):
            yield Result(answer)
        else:
            rest = reading.rest(answer)
            if rest:
                yield Text(rest)

    async def update(
        self, thread: str, values: Mapping[str, Any], as_node: str, checkpoint: str
    ) -> ThreadState:
        """Change the state of a thread at rest. Raises ConflictError for one that is at work."""
        async with self._at_rest(thread):
            return await super().update(thread, values, as_node, checkpoint)

    async def forget(self, thread: str) -> None:
        """Delete all that is kept of a thread that is not at work. Raises ConflictError."""
        async with self._at_rest(thread):
            await super().forget(thread)

    @contextlib.asynccontextmanager
    async def _at_rest(self, thread: str) -> AsyncIterator[None]:
        lock = self._lock(thread)
        if lock.locked():
            raise ConflictError(
                f"thread {thread} is at work", hint="wait for its answer, or cancel that first"
            )
        async with lock:
            yield

    def _lock(self, thread: str) -> asyncio.Lock:
        """Two requests on one thread: the second begins with what the first left."""
        lock = self._locks.get(thread)
        if lock is None:
            lock = self._locks[thread] = asyncio.Lock()
        return lock

    def _goes_on(self, before: StateSnapshot, ctx: Context, mark: str) -> bool:
        """Whether the request is that which the thread was last at work for."""
        same = (before.metadata or {}).get(REQUEST_MARK) == mark
        # Of a step of a run the same request is the same attempt at it, finished or not.
        return bool(ctx.answers) or (same and (bool(before.next) or bool(ctx.key)))

    async def _refuse_waiting(
        self, before: StateSnapshot | None, ctx: Context, thread: str
    ) -> None:
        """Raise ConflictError while the thread waits for a person's answer to something else."""
        if before is None or not before.interrupts:
            return
        open_questions = await ctx.open_questions(thread)
        if open_questions:
            raise ConflictError(
                f"thread {thread} waits for a person: question {', '.join(open_questions)}",
                hint="answer it, or withdraw it, or prompt on another thread",
            )


def _mark(request: Request, key: str) -> str:
    """Tells a request from another on the same thread."""
    what = [request.text, request.action, dict(request.input), [n for n, _ in request.files], key]
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _request_id(agent: str, thread: str, mark: str) -> str:
    """The same whenever the request is made again on that thread."""
    return hashlib.sha256(f"{agent} {thread} {mark}".encode()).hexdigest()[:8]


def _resumption(before: StateSnapshot, ctx: Context) -> Any:
    """What to go on with: the answers to what it was interrupted by; None without."""
    values = {
        one.id: resume_value(one, ctx.answers[slot_of(one)])
        for one in before.interrupts
        if slot_of(one) in ctx.answers
    }
    return Command(resume=values) if values else None
