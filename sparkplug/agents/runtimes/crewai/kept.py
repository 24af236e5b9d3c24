"""What a request to a crew has got done, kept on this host: outputs of tasks, drafts, and talk.

A request that is made again, because its process was killed, its step is tried once more or a
person has answered, goes on after the last task that is done. CrewAI's own store of outputs is
one database for all crews of a folder, emptied by each that begins; this stands in its place.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crewai import Crew, Task
from crewai.tasks.task_output import TaskOutput
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sparkplug.paths import write_private
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger("sparkplug.crew")

#: Requests that nobody made again, and turns of a conversation.
_KEPT_S = 7 * 86400.0
_MOST_TURNS = 40
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
    """One request. Its methods are called in the crew's thread; without a path nothing is kept."""

    def __init__(self, path: Path | None, crew: Crew) -> None:
        self._path = path
        self._crew = crew
        self._record = _Record(crew=_signature(crew.tasks))
        if path is not None:
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            found = _Record.model_validate_json(path.read_text())
        except FileNotFoundError:
            return
        except (OSError, ValidationError) as error:
            log.warning("%s is left out: %s", path, error)
            return
        if found.crew == self._record.crew:
            self._record = found
        else:
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
        self._write()

    def finish(self, task: Task, text: str) -> None:
        """Take a text as a task's output, as a person did."""
        self._record.done.append(Done(raw=text, agent=task.agent.role if task.agent else ""))
        self._write()

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
            self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        try:
            write_private(self._path, self._record.model_dump_json())
        except SparkplugError as error:
            log.warning("what is done of the request is not kept: %s", error)

    def forget(self) -> None:
        """The request is answered."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class Conversations:
    """The turns of each conversation. Reads and writes the disk: for threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def turns(self, thread: str) -> list[dict[str, str]]:
        """What was said, the oldest first, as CrewAI's chat takes it."""
        try:
            found = json.loads(self._path(thread).read_text())
        except (OSError, ValueError):
            return []
        turns = found.get("turns") if isinstance(found, dict) else None
        if not isinstance(turns, list):
            return []
        return [turn for turn in turns if isinstance(turn, dict)][-_MOST_TURNS:]

    def add(self, thread: str, asked: str, answered: str) -> None:
        """Keep one more turn; the oldest of many are let go."""
        both = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        turns = [*self.turns(thread), *both][-_MOST_TURNS:]
        write_private(self._path(thread), json.dumps({"thread": thread, "turns": turns}))

    def _path(self, thread: str) -> Path:
        return self._folder / f"{_hashed(thread)}.json"


def slot_of(task: int, turn: int) -> str:
    """The slot of the question about the output of a task (by its place), for the n-th time."""
    return f"t{task}q{turn}"


def kept_at(folder: Path | None, key: str) -> Path | None:
    """Where a request is kept; None without a folder, or a name by which it is made again."""
    return folder / f"{_hashed(key)}.json" if folder is not None and key else None


def clear_out(folder: Path) -> None:
    """Remove what nobody came back to."""
    oldest = time.time() - _KEPT_S
    for path in folder.glob("*.json"):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


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
