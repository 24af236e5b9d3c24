"""The model of each agent of a crew: SparkPlug's, whatever the author had CrewAI make.

An agent without `llm`, or with the name of one, thinks with the agent file's `model` or the
model of that name. A language model of the author's own class stays.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine
from typing import Any

from crewai import Crew
from crewai.llms.base_llm import BaseLLM
from pydantic import PrivateAttr

from sparkplug.agents.context import Context
from sparkplug.agents.runtimes.crewai.turn import Turn, current_turn
from sparkplug.llm.crewai import SparkplugLLM
from sparkplug.llm.routing import AUTO


class Thinking(SparkplugLLM):
    """SparkPlug's model for a crew that may have to stop while it thinks."""

    _turn: Turn | None = PrivateAttr(default=None)

    @classmethod
    def named(cls, name: str) -> Thinking:
        """The model of that name, "" for the agent file's; not bound to a request yet."""
        return cls(model=name or AUTO)

    def for_request(self, ctx: Context, turn: Turn) -> Thinking:
        """One that thinks on a request's account, in the crew's threads."""
        chosen = ctx.llm if self.model == AUTO else ctx.llm.named(self.model)
        bound = Thinking(model=chosen.wanted, temperature=self.temperature, stop=self.stop)
        bound.max_tokens = self.max_tokens
        bound.bind(chosen, turn.loop)
        bound._turn = turn
        return bound

    def get_input_tokens_count(self, messages: Any, tools: Any = None, model: Any = None) -> int:
        """About as many as a message has: four characters each."""
        texts = [messages] if isinstance(messages, str) else [str(m["content"]) for m in messages]
        return (sum(map(len, texts)) + 3) // 4

    def _wait(self, asking: Coroutine[Any, Any, Any]) -> Any:
        turn = self._turn or current_turn()
        return super()._wait(asking) if turn is None else turn.wait(asking)


def give_model(crew: Crew, ctx: Context, turn: Turn) -> None:
    """Have all of a crew think with SparkPlug's models."""

    def ours(found: Any) -> Any:
        if _is_authors(found):
            return found
        wanted = found if isinstance(found, Thinking) else Thinking.named("")
        return wanted.for_request(ctx, turn)

    managers = [crew.manager_agent] if crew.manager_agent is not None else []
    for agent in [*crew.agents, *managers]:
        agent.llm = ours(agent.llm)
        _replace(agent, "function_calling_llm", ours)
    for name in ("manager_llm", "function_calling_llm", "planning_llm", "chat_llm"):
        _replace(crew, name, ours)
    memory = getattr(crew, "_memory", None)
    if memory is not None and hasattr(memory, "_llm_instance") and not _is_authors(memory.llm):
        # Shared by the requests of a crew that is copied: it thinks for the one that asks.
        memory._llm_instance = Thinking.named("")  # noqa: SLF001


def _replace(owner: Any, name: str, ours: Callable[[Any], Any]) -> None:
    with warnings.catch_warnings():
        # CrewAI deprecates some of its own fields.
        warnings.simplefilter("ignore", DeprecationWarning)
        if getattr(owner, name, None) is not None:
            setattr(owner, name, ours(getattr(owner, name)))


def used_by_authors(crew: Crew) -> tuple[int, int]:
    """Tokens that language models of the author's own took and made, since there were any."""
    managers = [crew.manager_agent] if crew.manager_agent is not None else []
    models: dict[int, BaseLLM] = {
        id(agent.llm): agent.llm
        for agent in [*crew.agents, *managers]
        if isinstance(agent.llm, BaseLLM) and _is_authors(agent.llm)
    }
    sums = [model.get_token_usage_summary() for model in models.values()]
    return sum(one.prompt_tokens for one in sums), sum(one.completion_tokens for one in sums)


def _is_authors(model: Any) -> bool:
    ours = isinstance(model, SparkplugLLM) or type(model).__module__.startswith("crewai.")
    return isinstance(model, BaseLLM) and not ours
