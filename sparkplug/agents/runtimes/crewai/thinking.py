"""The model of each agent of a crew: SparkPlug's, whatever the author had CrewAI make.

An agent without `llm`, or with the name of one, thinks with the agent file's `model` or the
model of that name. A language model of the author's own class stays.
"""

from __future__ import annotations

import logging
from typing import Any

from crewai import Crew
from crewai.llms.base_llm import BaseLLM
from pydantic import PrivateAttr

from sparkplug.agents.context import Context
from sparkplug.agents.runtimes.crewai.turn import Turn

log = logging.getLogger("sparkplug.crew")

_AUTO = "auto"
_WINDOW = 8192


class Thinking(BaseLLM):  # type: ignore[misc]
    """A language model of CrewAI that asks `ctx.model`, on the agent's loop."""

    llm_type: str = "sparkplug"

    _ctx: Context = PrivateAttr()
    _turn: Turn = PrivateAttr()

    @classmethod
    def named(cls, name: str) -> Thinking:
        """The model of that name, "" for the agent file's; not bound to a request yet."""
        return cls(model=name or _AUTO)

    def bind(self, ctx: Context, turn: Turn) -> Thinking:
        """The same, for one request."""
        bound = Thinking(model=self.model)
        bound._ctx, bound._turn = ctx, turn
        return bound

    def call(
        self,
        messages: Any,
        tools: Any = None,
        callbacks: Any = None,
        available_functions: Any = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
    ) -> Any:
        """One call. Raises NoModelError, or CrewStopped."""
        self._turn.check()
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        prompt = "\n\n".join(str(m.get("content") or "") for m in messages if m["role"] != "system")
        return self._apply_stop_words(
            self._turn.wait(self._ctx.model.answer(prompt, system=system))
        )

    def supports_function_calling(self) -> bool:
        """It takes text alone."""
        return False

    def get_context_window_size(self) -> int:
        """Tokens."""
        return _WINDOW

    def get_input_tokens_count(self, messages: Any, tools: Any = None, model: Any = None) -> int:
        """About as many as a message has: four characters each."""
        texts = [messages] if isinstance(messages, str) else [str(m["content"]) for m in messages]
        return (sum(map(len, texts)) + 3) // 4


def give_model(crew: Crew, ctx: Context, turn: Turn) -> None:
    """Have all of a crew think with SparkPlug's models."""

    def ours(found: Any) -> Any:
        if _is_authors(found):
            return found
        wanted = found if isinstance(found, Thinking) else Thinking.named("")
        return wanted.bind(ctx, turn)

    managers = [crew.manager_agent] if crew.manager_agent is not None else []
    for agent in [*crew.agents, *managers]:
        agent.llm = ours(agent.llm)
        if getattr(agent, "function_calling_llm", None) is not None:
            agent.function_calling_llm = ours(agent.function_calling_llm)
    for name in ("manager_llm", "function_calling_llm", "planning_llm", "chat_llm"):
        if getattr(crew, name, None) is not None:
            setattr(crew, name, ours(getattr(crew, name)))
    memory = getattr(crew, "_memory", None)
    if memory is not None and hasattr(memory, "_llm_instance"):
        memory._llm_instance = ours(memory._llm_instance)  # noqa: SLF001


def is_ours(model: Any) -> bool:
    """Whether a language model is SparkPlug's, whose calls are counted where they are made."""
    return isinstance(model, Thinking)


def _is_authors(model: Any) -> bool:
    ours = isinstance(model, Thinking) or type(model).__module__.startswith("crewai.")
    return isinstance(model, BaseLLM) and not ours
