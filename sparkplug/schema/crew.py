"""A crew file: CrewAI's own agents and tasks, in one file. `sparkplug schema crew` prints it.

What stands under `agents` and `tasks` is what CrewAI's `agents.yaml` and `tasks.yaml` hold
(docs.crewai.com, "YAML Configuration"), so that such files can be pasted here. Where those
name a Python function of a class, a crew file says `module:name`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sparkplug.schema.base import Document

#: Something in Python: a tool, a model of an output, a callback.
Reference = Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")]
_Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w-]{0,62}$")]
#: What CrewAI fills in of its inputs, in any text: `{topic}`.
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


class CrewAgent(Document):
    """One agent of a crew."""

    role: str = Field(min_length=1)
    goal: str = Field(min_length=1)
    backstory: str = Field(min_length=1)
    llm: str | None = Field(None, description="a model by name; default: the agent file's `model`")
    tools: list[Reference] = Field(
        default_factory=list, description="CrewAI tools: a class, a function or an object"
    )
    allow_delegation: bool = False
    verbose: bool = False
    cache: bool = True
    max_iter: int = Field(20, ge=1, le=1000, description="turns it may take over one task")
    max_rpm: int | None = Field(None, ge=1, description="model calls a minute")
    max_execution_time: int | None = Field(None, ge=1, description="seconds for one task")
    max_retry_limit: int = Field(2, ge=0, le=100)
    max_tokens: int | None = Field(None, ge=1)
    respect_context_window: bool = True
    use_system_prompt: bool = True
    reasoning: bool = False
    max_reasoning_attempts: int | None = Field(None, ge=1)
    multimodal: bool = False
    inject_date: bool = False
    system_template: str | None = None
    prompt_template: str | None = None
    response_template: str | None = None
    step_callback: Reference | None = None


class CrewTask(Document):
    """One task of a crew."""

    description: str = Field(min_length=1)
    expected_output: str = Field(min_length=1)
    agent: str | None = Field(None, description="who does it; a manager may choose where none is")
    context: list[str] = Field(
        default_factory=list, description="tasks whose outputs it is told; default: all before it"
    )
    tools: list[Reference] = Field(default_factory=list)
    async_execution: bool = False
    human_input: bool = Field(False, description="a person is asked what they think of its output")
    markdown: bool = False
    output_json: Reference | None = Field(None, description="a pydantic model its output is")
    output_pydantic: Reference | None = Field(None, description="a pydantic model its output is")
    output_file: str | None = None
    create_directory: bool = True
    guardrail: Reference | None = Field(None, description="a function that checks its output")
    guardrail_max_retries: int = Field(3, ge=0, le=100)
    callback: Reference | None = None


class CrewFile(Document):
    """A crew: who there is, what is to be done, and in which way."""

    name: str = Field("", max_length=63)
    description: str = Field("", max_length=500)
    process: Literal["sequential", "hierarchical"] = "sequential"
    manager: str | None = Field(
        None, description="of a hierarchical crew, the agent that manages; default: CrewAI's own"
    )
    memory: bool = Field(False, description="CrewAI's own memory, kept on this host")
    planning: bool = False
    verbose: bool = False
    cache: bool = True
    max_rpm: int | None = Field(None, ge=1)
    before_kickoff: list[Reference] = Field(
        default_factory=list, description="functions that are given the inputs, and return them"
    )
    after_kickoff: list[Reference] = Field(
        default_factory=list, description="functions that are given CrewAI's output, and return it"
    )
    inputs: dict[_Key, Any] = Field(
        default_factory=dict, description="what `{name}` is in its texts where none is given"
    )
    agents: dict[_Key, CrewAgent] = Field(min_length=1)
    tasks: dict[_Key, CrewTask] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        """Tasks name agents and tasks that are there; a task waits for none that comes later."""
        if self.manager is not None and self.process != "hierarchical":
            raise ValueError("manager: a sequential crew has none; say process: hierarchical")
        if self.manager is not None and self.manager not in self.agents:
            raise ValueError(f"manager {self.manager} is none of agents: {', '.join(self.agents)}")
        done: list[str] = []
        for name, task in self.tasks.items():
            self._check_doer(name, task)
            for before in task.context:
                if before not in done:
                    why = "comes later" if before in self.tasks else "is no task"
                    raise ValueError(f"tasks.{name}.context names {before}, which {why}")
            done.append(name)
        return self

    def _check_doer(self, name: str, task: CrewTask) -> None:
        if task.agent is None:
            if self.process == "sequential":
                raise ValueError(f"tasks.{name}.agent is missing: a sequential crew needs it")
        elif task.agent not in self.agents:
            known = ", ".join(self.agents)
            raise ValueError(f"tasks.{name}.agent {task.agent} is none of agents: {known}")
        elif task.agent == self.manager:
            raise ValueError(f"tasks.{name}.agent {task.agent} is the manager, who gives them out")

    @property
    def placeholders(self) -> list[str]:
        """The inputs its texts name, in the order of the file."""
        texts: list[str] = []
        for agent in self.agents.values():
            texts += [agent.role, agent.goal, agent.backstory]
        for task in self.tasks.values():
            texts += [task.description, task.expected_output, task.output_file or ""]
        found = [name for text in texts for name in _PLACEHOLDER.findall(text)]
        return list(dict.fromkeys(found))
