"""What a crew does, from CrewAI's event bus to the caller's eyes, and how much it thought.

Events are taken by a sink of the request's own context: it is called by the bus in the thread
that emits, in order. A handler on the bus would run on one of ten threads, in no order.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from crewai import Crew

from sparkplug.agents.runtimes.crewai.final import Final
from sparkplug.agents.runtimes.crewai.shape import step_name
from sparkplug.agents.runtimes.crewai.turn import Turn
from sparkplug.agents.runtimes.port import Output, Status, Step, Text

log = logging.getLogger("sparkplug.crew")

_LONGEST = 120


class Progress:
    """The events of one request. `tell` gets what is to be told, on the agent's loop."""

    def __init__(self, turn: Turn, tell: Callable[[Output], None]) -> None:
        self._turn = turn
        self._tell = tell
        #: The answer, as it is told.
        self.final = Final()
        self._streamed = ""
        self._plain = False
        self._began: dict[str, float] = {}

    def tell(self, output: Output) -> None:
        """Tell something, from any thread of the crew."""
        self._turn.tell(self._tell, output)

    def streams_last_of(self, crew: Crew, *, structured: bool) -> None:
        """Tell the answer of a crew as it is made, where nothing can come in between."""
        last = crew.tasks[-1]
        checked = last.guardrail or last.guardrails or last.output_json or last.output_pydantic
        changed = last.human_input or crew.after_kickoff_callbacks
        if not (structured or checked or changed or last.async_execution):
            self._streamed = str(last.id)
        # An agent that plans its steps asks models on the way to its answer.
        self._plain = getattr(last.agent, "planning_config", None) is None

    def sink(self, source: Any, event: Any) -> None:
        """Take one event, in the thread that emits it."""
        self._turn.note_thread()
        try:
            outputs = self._outputs(source, event)
        except Exception:
            # Fields of events differ between releases: a crew does not fail of being watched.
            log.debug("an event that cannot be told", exc_info=True)
            return
        for output in outputs:
            self.tell(output)

    def _outputs(self, source: Any, event: Any) -> list[Output]:
        match event.type:
            case "task_started":
                return [self._begin(f"task {event.task.id}", step_name(event.task))]
            case "task_completed":
                return [self._end(f"task {event.task.id}", step_name(event.task))]
            case "task_failed":
                return [self._end(f"task {event.task.id}", step_name(event.task), str(event.error))]
            case "agent_execution_started":
                task = step_name(event.task) if event.task is not None else "a task"
                return [Status(f"{_short(event.agent.role)}: {_short(task)}")]
            case "agent_execution_error":
                return [Status(f"{_short(event.agent.role)}: failed: {_short(event.error)}")]
            case "tool_usage_started":
                name = f"{event.tool_name} ({_role(event)})"
                began = self._begin(_tool(event), name)
                return [Status(f"{_role(event)}: uses {event.tool_name}"), began]
            case "tool_usage_finished":
                return [self._end(_tool(event), f"{event.tool_name} ({_role(event)})")]
            case "tool_usage_error":
                error = _short(str(event.error))
                ended = self._end(_tool(event), f"{event.tool_name} ({_role(event)})", error)
                return [Status(f"{_role(event)}: {event.tool_name} fails: {error}"), ended]
            case "llm_call_started" if self._streamed and event.task_id == self._streamed:
                self.final.begin(plain=self._plain and not event.tools)
            case "llm_stream_chunk" if self._streamed and event.task_id == self._streamed:
                piece = self.final.take(event.chunk)
                return [Text(piece)] if piece else []
            case "llm_call_failed":
                return [Status(f"{_role(event)}: the model fails: {_short(event.error)}")]
            case "llm_guardrail_completed" if not event.success:
                return [Status(f"its output does not pass: {_short(str(event.error))}")]
        return []

    def _begin(self, id_: str, name: str) -> Step:
        self._began[id_] = time.monotonic()
        return Step(id_, name, "started")

    def _end(self, id_: str, name: str, error: str = "") -> Step:
        began = self._began.pop(id_, None)
        seconds = None if began is None else round(time.monotonic() - began, 3)
        return Step(id_, name, "failed" if error else "completed", seconds, error)


def _tool(event: Any) -> str:
    return f"tool {event.agent_id} {event.tool_name} {hash(str(event.tool_args))}"


def _role(event: Any) -> str:
    return _short(event.agent_role or "the crew")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
