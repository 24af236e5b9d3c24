"""A crew on the bus: each request is a crew of its own, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

from crewai import CrewOutput
from crewai.core.providers.human_input import HumanInputProvider, set_provider
from crewai.events.event_context import (
    EventContextConfig,
    MismatchBehavior,
    _event_context_config,
)
from crewai.events.stream_context import add_stream_sink

from sparkplug.agents.context import Context, Request
from sparkplug.agents.parking import Parked
from sparkplug.agents.runtimes.crewai.asked import Inputs
from sparkplug.agents.runtimes.crewai.human import CrewParked, Feedback
from sparkplug.agents.runtimes.crewai.kept import Conversations, Kept, clear_out, kept_at
from sparkplug.agents.runtimes.crewai.made import Maker
from sparkplug.agents.runtimes.crewai.progress import Progress
from sparkplug.agents.runtimes.crewai.shape import shape_of
from sparkplug.agents.runtimes.crewai.thinking import give_model
from sparkplug.agents.runtimes.crewai.turn import Turn
from sparkplug.agents.runtimes.port import Output, ProcessMustEnd, Result, Seat, Text
from sparkplug.bus.connection import Bus
from sparkplug.schema.agent_control import LET_GO_S
from sparkplug.schema.thread import AgentGraph

log = logging.getLogger("sparkplug.crew")

#: A crew that is to stop has this long (seconds). It is longer than who cancels waits to be told
#: whether it has let go, so that what it is told then is what is so.
STOP_S = LET_GO_S + 1.0

#: Looked at in every request before anything else is done: CrewAI's key for a conversation.
_TALK = "crew_chat_messages"
_UNPAIRED = EventContextConfig(
    mismatch_behavior=MismatchBehavior.SILENT, empty_pop_behavior=MismatchBehavior.SILENT
)


class CrewAgent:
    """A crew by whatever makes one."""

    def __init__(self, maker: Maker, inputs: Inputs, seat: Seat) -> None:
        self._maker = maker
        self._inputs = inputs
        self._graph = shape_of(maker())
        self._name = seat.agent or "crew"
        state = Path(seat.state) if seat.state else None
        self._requests = state / "requests" if state else None
        self._talk = Conversations(state / "threads") if state else None

    @property
    def actions(self) -> dict[str, Any]:
        """A crew takes any action name; the schema of its inputs is published as `kickoff`."""
        return {"kickoff": self._inputs.schema}

    @property
    def graph(self) -> AgentGraph:
        """Its tasks, and what each is told of the others."""
        return self._graph

    async def start(self, bus: Bus) -> None:
        """Throw away what nobody came back to."""
        if self._requests is not None:
            await asyncio.to_thread(clear_out, self._requests)

    async def close(self) -> None:
        """Nothing is open: its threads end with the process."""

    async def serve(self, ctx: Context, request: Request) -> AsyncGenerator[Output, None]:
        """Kick a crew off. Raises ProcessMustEnd when it took no notice of being cancelled."""
        inputs = self._inputs.of(request)
        turn = Turn()
        outputs: asyncio.Queue[Output | None] = asyncio.Queue()
        progress = Progress(turn, outputs.put_nowait)
        kept = kept_at(self._requests, ctx.request)

        def work() -> CrewOutput:
            return self._kick_off(ctx, request, inputs, turn, progress, kept)

        done = turn.start(work, self._name)
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
        if kept is not None:
            await asyncio.to_thread(kept.unlink, missing_ok=True)
        yield await self._answer(request, result)

    def _kick_off(
        self,
        ctx: Context,
        request: Request,
        inputs: dict[str, Any],
        turn: Turn,
        progress: Progress,
        path: Path | None,
    ) -> CrewOutput:
        """In the crew's thread, from making the crew to what it gives."""
        crew = self._maker()
        crew.stream = False
        crew.tracing = False
        give_model(crew, ctx, turn)
        kept = Kept(path, crew)
        crew._task_output_handler = cast("Any", kept)  # noqa: SLF001
        feedback = Feedback(kept, ctx.answers)
        feedback.settle(crew)
        done = kept.go_on()
        if done:
            log.info("the request goes on: %d of %d tasks are done", done, len(crew.tasks))
        self._inputs.fit(crew, request)
        if self._talk is not None and request.thread:
            turns = self._talk.turns(request.thread)
            if turns:
                inputs[_TALK] = json.dumps(turns)
        turn.check()
        # One that stops in the midst leaves events open: that is no news.
        _event_context_config.set(_UNPAIRED)
        set_provider(cast("HumanInputProvider", feedback))
        add_stream_sink(progress.sink)
        result = crew.kickoff(inputs=inputs)
        if not isinstance(result, CrewOutput):
            raise TypeError(f"the crew gave a {type(result).__name__}")
        return result

    async def _answer(self, request: Request, result: CrewOutput) -> Output:
        """What a request is answered: JSON where the crew made some, else text."""
        made = result.to_dict()
        if self._talk is not None and request.thread:
            asked = request.text or json.dumps(dict(request.input))
            await asyncio.to_thread(self._talk.add, request.thread, asked, result.raw)
        if not request.structured:
            return Text(result.raw)
        return Result(made or {"text": result.raw})
