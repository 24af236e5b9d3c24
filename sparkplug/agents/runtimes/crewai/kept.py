"""What a request to a crew has got done, kept on the mesh: outputs of tasks, and drafts.

A request that is made again, because its step is tried once more or a person has answered, goes
on after the last task that is done, in whichever process of the agent it comes to. CrewAI's own
store of outputs is one database for all crews of a folder, emptied by each that begins; this
stands in its place.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from crewai import Crew, Task
from crewai.tasks.task_output import TaskOutput
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sparkplug.bus.kept import kept_token
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger("sparkplug.crew")

#: What CrewAI wants to know of a crew that goes on; any text does.
_GOES_ON = "resumed"


class Done(BaseModel):
    """The output of a task that is done."""

    model_config = ConfigDict(extra="ignore")

    raw: str = ""
    agent: str = ""
    json_dict: dict[str, Any] | None = None
    pydantic: dict[str, Any] | None = None


class _Record(BaseModel):
    crew: str = ""
    done: list[Done] = Field(default_factory=list)
    drafts: dict[str, str] = Field(default_factory=dict)


class Kept:
    """One request. Its methods are called in the crew's thread; `keep` writes what there is."""

    def __init__(self, crew: Crew, before: bytes | None, keep: Callable[[bytes], None]) -> None:
        self._crew = crew
        self._keep = keep
        #: Whether what is done is kept as it is, and not only once a person is asked.
        self.at_once = False
        self.kept = False
        self._record = _Record(crew=_signature(crew.tasks))
        if before:
            self._take(before)

    def _take(self, before: bytes) -> None:
        try:
            found = _Record.model_validate_json(before)
        except ValidationError as error:
            log.warning("what was done of the request is left out: %s", error)
            return
        if found.crew == self._record.crew:
            self._record = found
            self.kept = True
        elif found.crew:
            log.info("the crew is another now: the request begins anew")

    def go_on(self) -> int:
        """Give the crew the outputs there are; how many of its tasks are done."""
        count = 0
        for task, done in zip(self._crew.tasks, self._record.done, strict=False):
            try:
                task.output = _output(task, done)
            except ValidationError as error:
                log.warning("the output of %s is no longer one: %s", task.name, error)
                break
            count += 1
        del self._record.done[count:]
        if count:
            self._crew.checkpoint_kickoff_event_id = _GOES_ON
        return count

    def drafts(self, task: int) -> list[str]:
        """What a person was shown of a task's output so far."""
        found: list[str] = []
        while (slot := slot_of(task, len(found))) in self._record.drafts:
            found.append(self._record.drafts[slot])
        return found

    def keep_draft(self, slot: str, text: str) -> None:
        """Keep what a person is shown."""
        self._record.drafts[slot] = text

    def finish(self, task: Task, text: str) -> None:
        """Take a text as a task's output, as a person did."""
        self._record.done.append(Done(raw=text, agent=task.agent.role if task.agent else ""))

    @property
    def done(self) -> int:
        """How many tasks are done."""
        return len(self._record.done)

    # What CrewAI calls of its own store.

    def reset(self) -> None:
        """A crew begins: here that does not undo what is done."""

    def load(self) -> list[dict[str, Any]]:
        """What CrewAI would replay: nothing."""
        return []

    def update(self, task_index: int, log: dict[str, Any]) -> None:
        """A task is done."""
        output = log["output"]
        model = output.get("pydantic")
        done = Done(
            raw=output.get("raw") or "",
            agent=output.get("agent") or "",
            json_dict=output.get("json_dict"),
            pydantic=model.model_dump(mode="json") if model is not None else None,
        )
        if task_index == len(self._record.done):
            self._record.done.append(done)
            if self.at_once:
                self.write()

    def write(self) -> None:
        """Keep what there is."""
        try:
            self._keep(self._record.model_dump_json().encode())
            self.kept = True
        except SparkplugError as error:
            log.warning("what is done of the request is not kept: %s", error)


def slot_of(task: int, turn: int) -> str:
    """The slot of the question about the output of a task (by its place), for the n-th time."""
    return f"t{task}q{turn}"


def kept_name(key: str) -> str:
    """Where on the mesh a request is kept, of all that its agent keeps there."""
    return f"{kept_token(key)}.{kept_token('')}.k.crew"


#: Put in the place of what is no longer wanted.
NOTHING = b"{}"


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _signature(tasks: Sequence[Task]) -> str:
    """What tells one crew's tasks from another's, before inputs are filled in."""
    return _hashed("\n".join(f"{task.description}|{task.expected_output}" for task in tasks))


def _output(task: Task, done: Done) -> TaskOutput:
    model = task.output_pydantic
    made = model.model_validate(done.pydantic) if model and done.pydantic is not None else None
    return TaskOutput(
        name=task.name,
        description=task.description,
        expected_output=task.expected_output,
        raw=done.raw,
        agent=done.agent,
        json_dict=done.json_dict,
        pydantic=made,
        output_format=task._get_output_format(),  # noqa: SLF001  what the task would say itself
    )
