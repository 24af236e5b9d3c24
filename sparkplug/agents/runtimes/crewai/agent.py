"""A crew on the bus: each request is a crew of its own, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from crewai import Crew, CrewOutput
from crewai.core.providers.human_input import HumanInputProvider, set_provider
from crewai.events.event_context import (
    EventContextConfig,
    MismatchBehavior,
    _event_context_config,
)
from crewai.events.stream_context import add_stream_sink

from sparkplug.agents.context import Context, Request
from sparkplug.agents.conversation import Turn as Said
from sparkplug.agents.parking import Parked
from sparkplug.agents.runtimes.crewai.asked import Inputs
from sparkplug.agents.runtimes.crewai.human import Feedback
from sparkplug.agents.runtimes.crewai.kept import NOTHING, Kept, kept_name
from sparkplug.agents.runtimes.crewai.made import Maker
from sparkplug.agents.runtimes.crewai.progress import Progress
from sparkplug.agents.runtimes.crewai.shape import shape_of
from sparkplug.agents.runtimes.crewai.thinking import give_model, used_by_authors
from sparkplug.agents.runtimes.crewai.turn import CrewParked, Turn
from sparkplug.agents.runtimes.port import Output, ProcessMustEnd, Result, Seat, Text, Tokens
from sparkplug.bus.connection import Bus
from sparkplug.bus.kept import Kept as Store
from sparkplug.schema.agent_control import LET_GO_S
from sparkplug.schema.thread import AgentGraph

log = logging.getLogger("sparkplug.crew")

#: A crew that is to stop has this long (seconds). It is longer than who cancels waits to be told
#: whether it has let go, so that what it is told then is what is so.
STOP_S = LET_GO_S + 1.0

#: CrewAI's own input for what was said before.
_TALK = "crew_chat_messages"
_UNPAIRED = EventContextConfig(
    mismatch_behavior=MismatchBehavior.SILENT, empty_pop_behavior=MismatchBehavior.SILENT
)


@dataclass(slots=True)
class _Asked:
    """One request, as its thread needs it."""

    ctx: Context
    request: Request
    inputs: dict[str, Any]
    before: bytes | None
    said: Sequence[Said]
    turn: Turn
    progress: Progress
    kept: Kept | None = None


class CrewAgent:
    """A crew by whatever makes one."""

    def __init__(self, maker: Maker, inputs: Inputs, seat: Seat) -> None:
        self._maker = maker
        self._inputs = inputs
        self._graph = shape_of(maker())
        self._name = seat.agent or "crew"
        self._store: Store | None = None

    @property
    def actions(self) -> dict[str, Any]:
        """A crew takes any action name; the schema of its inputs is published as `kickoff`."""
        return {"kickoff": self._inputs.schema}

    @property
    def graph(self) -> AgentGraph:
        """Its tasks, and what each is told of the others."""
        return self._graph

    async def start(self, bus: Bus) -> None:
        """What is done of requests can be kept from now on."""
        self._store = Store(bus, self._name)

    async def close(self) -> None:
        """Nothing is open: its threads end with the process."""

    async def serve(self, ctx: Context, request: Request) -> AsyncGenerator[Output, None]:
        """Kick a crew off. Raises ProcessMustEnd when it took no notice of being cancelled."""
        inputs = self._inputs.of(request)
        name = kept_name(ctx.key or ctx.request)
        turn = Turn()
        outputs: asyncio.Queue[Output | None] = asyncio.Queue()
        asked = _Asked(
            ctx=ctx,
            request=request,
            inputs=inputs,
            before=await self._store.get(name) if self._store and self._came_back(ctx) else None,
            said=await ctx.conversation(),
            turn=turn,
            progress=Progress(turn, outputs.put_nowait),
        )
        done = turn.start(lambda: self._kick_off(asked, name), self._name)
        done.add_done_callback(lambda _: outputs.put_nowait(None))
        try:
            while (output := await outputs.get()) is not None:
                yield output
        finally:
            if not done.done() and not await turn.stop("the request was cancelled", STOP_S):
                raise ProcessMustEnd(
                    f"a crew that was to stop did not within {STOP_S:g} s: {turn.where()}",
                    hint="the agent's process is ended and started again, as `restart` says",
                )
        try:
            result = done.result()
        except CrewParked as parked:
            raise Parked(parked.drafts) from parked
        if self._store is not None and asked.kept is not None and asked.kept.kept:
            await self._store.put(name, NOTHING)
        if request.structured:
            yield Result(result.to_dict() or {"text": result.raw})
        elif rest := asked.progress.final.rest(result.raw):
            yield Text(rest)

    def _came_back(self, ctx: Context) -> bool:
        """Whether something may be done of a request: one of a step, or one that was asked of."""
        return bool(ctx.key or ctx.answers)

    def _kick_off(self, asked: _Asked, name: str) -> CrewOutput:
        """In the crew's thread, from making the crew to what it gives."""
        ctx, turn, store = asked.ctx, asked.turn, self._store
        crew = self._maker()
        crew.stream = False
        crew.tracing = False
        give_model(crew, ctx, turn)

        def keep(record: bytes) -> None:
            if store is not None:
                turn.wait(store.put(name, record))

        kept = asked.kept = Kept(crew, asked.before, keep)
        kept.at_once = bool(ctx.key)
        crew._task_output_handler = cast("Any", kept)  # noqa: SLF001
        feedback = Feedback(kept, ctx.answers, turn)
        feedback.settle(crew)
        ctx.interrupting(feedback.interrupt)
        done = kept.go_on()
        if done:
            log.info("the request goes on: %d of %d tasks are done", done, len(crew.tasks))
        inputs = self._inputs.fit(crew, asked.request, asked.inputs)
        if asked.said:
            inputs[_TALK] = json.dumps(
                [said.model_dump(include={"role", "content"}) for said in asked.said]
            )
        turn.check()
        # One that stops in the midst leaves events open: that is no news.
        _event_context_config.set(_UNPAIRED)
        set_provider(cast("HumanInputProvider", feedback))
        asked.progress.streams_last_of(crew, structured=asked.request.structured)
        add_stream_sink(asked.progress.sink)
        return self._run(crew, inputs, asked, kept)

    def _run(self, crew: Crew, inputs: dict[str, Any], asked: _Asked, kept: Kept) -> CrewOutput:
        before = used_by_authors(crew)
        try:
            result: Any = crew.kickoff(inputs=inputs)
        except Exception:
            if not asked.turn.parked:
                raise
        finally:
            given, made = (
                now - then for now, then in zip(used_by_authors(crew), before, strict=True)
            )
            if given or made:
                asked.progress.tell(Tokens(given, made))
        if asked.turn.parked:
            # CrewAI makes a result of what a tool raises: what was raised is not what counts.
            kept.write()
            raise CrewParked(asked.turn.parked)
        if not isinstance(result, CrewOutput):
            raise TypeError(f"the crew gave a {type(result).__name__}")
        return result
