"""Crews of a crew file: CrewAI's agents and tasks made of what it says."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, cast

from crewai import Agent, Crew, Process, Task
from crewai.tools import BaseTool, tool

from sparkplug.agents.entrypoint import load_entrypoint
from sparkplug.agents.runtimes.crewai.thinking import Thinking
from sparkplug.schema.crew import CrewAgent, CrewFile, CrewTask
from sparkplug.schema.errors import InvalidError

#: The fields that go to CrewAI as they are.
_AGENT = (
    "role",
    "goal",
    "backstory",
    "allow_delegation",
    "verbose",
    "cache",
    "max_iter",
    "max_rpm",
    "max_execution_time",
    "max_retry_limit",
    "max_tokens",
    "respect_context_window",
    "use_system_prompt",
    "reasoning",
    "max_reasoning_attempts",
    "multimodal",
    "inject_date",
    "system_template",
    "prompt_template",
    "response_template",
)
_TASK = (
    "description",
    "expected_output",
    "async_execution",
    "human_input",
    "markdown",
    "output_file",
    "create_directory",
    "guardrail_max_retries",
)
_CREW = ("memory", "planning", "verbose", "cache", "max_rpm")


class Declared:
    """A crew file; `crew` makes a crew of it. What it names in Python is looked up once."""

    def __init__(self, file: CrewFile, path: Path) -> None:
        self.file = file
        self._path = path
        self._found: dict[str, Any] = {}
        self._look_up(*file.before_kickoff, *file.after_kickoff)
        for agent in file.agents.values():
            self._look_up(*agent.tools, agent.step_callback)
        for task in file.tasks.values():
            outputs = (task.output_json, task.output_pydantic)
            self._look_up(*task.tools, *outputs, task.guardrail, task.callback)

    def crew(self) -> Crew:
        """A crew of its own."""
        file = self.file
        agents = {key: self._agent(one) for key, one in file.agents.items()}
        tasks: dict[str, Task] = {}
        for key, one in file.tasks.items():
            tasks[key] = self._task(key, one, agents, tasks)
        settings = {name: getattr(file, name) for name in _CREW}
        settings["before_kickoff_callbacks"] = [self._found[one] for one in file.before_kickoff]
        settings["after_kickoff_callbacks"] = [self._found[one] for one in file.after_kickoff]
        if file.planning:
            settings["planning_llm"] = Thinking.named("")
        if file.process == "hierarchical":
            settings["process"] = Process.hierarchical
            if file.manager is not None:
                settings["manager_agent"] = agents.pop(file.manager)
            else:
                settings["manager_llm"] = Thinking.named("")
        return Crew(
            name=file.name or self._path.stem,
            agents=list(agents.values()),
            tasks=list(tasks.values()),
            **{name: value for name, value in settings.items() if value is not None},
        )

    def _agent(self, one: CrewAgent) -> Agent:
        settings = {name: getattr(one, name) for name in _AGENT}
        if one.step_callback:
            settings["step_callback"] = self._found[one.step_callback]
        return Agent(
            llm=Thinking.named(one.llm or ""),
            tools=[self._tool(name) for name in one.tools],
            **{name: value for name, value in settings.items() if value is not None},
        )

    def _task(
        self, key: str, one: CrewTask, agents: dict[str, Agent], before: dict[str, Task]
    ) -> Task:
        settings = {name: getattr(one, name) for name in _TASK}
        if one.context:
            settings["context"] = [before[name] for name in one.context]
        for name in ("output_json", "output_pydantic", "guardrail", "callback"):
            if reference := getattr(one, name):
                settings[name] = self._found[reference]
        return Task(
            name=key,
            agent=agents[one.agent] if one.agent else None,
            tools=[self._tool(name) for name in one.tools],
            **{name: value for name, value in settings.items() if value is not None},
        )

    def _tool(self, reference: str) -> BaseTool:
        """A tool: an object as it is, one of a class, or a function made into one."""
        found = self._found[reference]
        if inspect.isclass(found) and issubclass(found, BaseTool):
            found = cast("Any", found)()
        elif inspect.isfunction(found):
            found = tool(found)
        if not isinstance(found, BaseTool):
            raise InvalidError(
                f"{reference} is a {type(found).__name__}, no tool",
                where=str(self._path),
                hint="a tool is a BaseTool, its class, or a function with a docstring",
            )
        return found

    def _look_up(self, *references: str | None) -> None:
        folders = [str(self._path.parent)]
        for reference in references:
            if reference and reference not in self._found:
                self._found[reference] = load_entrypoint(reference, folders)
