"""Crews as people write them, run by `runtime: crewai` in the test's process."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sparkplug.agents.context import Context, Request
from sparkplug.agents.parking import Parked
from sparkplug.agents.runtimes.port import (
    Output,
    ProcessMustEnd,
    Result,
    Runtime,
    Seat,
    Status,
    Step,
    Text,
)
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.question import Answer

_ANSWER = "Thought: I now can give a great answer\nFinal Answer: {}"

TEAM = """\
name: team
agents:
  researcher: {role: Researcher, goal: "find {topic}", backstory: knows}
  writer: {role: Writer, goal: writes, backstory: knows}
tasks:
  find: {description: "find things on {topic}", expected_output: list, agent: researcher}
  write: {description: write them up, expected_output: text, agent: writer}
"""


class Scripted:
    """The model: what it answers is told ahead, and it notes what it was asked."""

    configured = True
    name = "scripted"

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers) or ["done"]
        self.asked: list[str] = []
        self.hangs = asyncio.Event()
        self.cancelled = 0

    def counted(self, _: object) -> Scripted:
        return self

    async def answer(self, prompt: str, *, system: str = "") -> str:
        self.asked.append(f"{system}\n{prompt}")
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if answer == "hang":
            self.hangs.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled += 1
        return answer if "Action:" in answer else _ANSWER.format(answer)


class _Activity:
    def doing(self, _: str) -> Any:
        raise AssertionError("the model is scripted")


def context(model: Scripted, *, request: str = "", thread: str = "", **answers: str) -> Context:
    async def progress(_: str) -> None:
        return None

    given = {slot.replace("_", "-"): Answer(value=value) for slot, value in answers.items()}
    return Context(
        bus=None,  # type: ignore[arg-type]
        agent="crew",
        replica="0",
        host="gpu-1",
        activity=_Activity(),  # type: ignore[arg-type]
        routes=None,  # type: ignore[arg-type]
        model=model,  # type: ignore[arg-type]
        progress=progress,
        ids={},
        request=request,
        thread=thread,
        answers=given,
    )


async def ask(
    crew: Runtime, ctx: Context, text: str = "", *, thread: str = "", **inputs: Any
) -> list[Output]:
    request = Request(text=text, action="kickoff", input=inputs, structured=not text, thread=thread)
    with ctx.bound():
        return [output async for output in crew.serve(ctx, request)]


def answer_of(outputs: list[Output]) -> Any:
    last = outputs[-1]
    return last.text if isinstance(last, Text) else last.value if isinstance(last, Result) else None


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., Awaitable[Runtime]]]:
    """Load a crew file's text, or what a module's text defines under a name."""
    sys.path.insert(0, str(tmp_path))

    async def load_(source: str, name: str = "", **seat: Any) -> Runtime:
        from sparkplug.agents.entrypoint import load_entrypoint
        from sparkplug.agents.runtimes import crewai

        made = Seat(agent="crew", folder=str(tmp_path), state=str(tmp_path / "state"), **seat)
        if not name:
            path = tmp_path / "team.yaml"
            path.write_text(source)
            return await crewai.load(path, made)
        module = f"crew_{abs(hash(source))}"
        (tmp_path / f"{module}.py").write_text(source)
        return await crewai.load(load_entrypoint(f"{module}:{name}", [str(tmp_path)]), made)

    yield load_
    sys.path.remove(str(tmp_path))


async def test_a_crew_file_does_its_tasks_in_order_and_says_so(load: Any) -> None:
    crew = await load(TEAM)
    model = Scripted("facts", "a brief")
    outputs = await ask(crew, context(model), topic="cats")
    assert answer_of(outputs) == {"text": "a brief"}
    assert "find things on cats" in model.asked[0]
    assert "facts" in model.asked[1], "a task is told the output of the one before"
    steps = [(o.name, o.state) for o in outputs if isinstance(o, Step)]
    assert steps == [
        ("find", "started"),
        ("find", "completed"),
        ("write", "started"),
        ("write", "completed"),
    ]
    assert [o.text for o in outputs if isinstance(o, Status)] == [
        "Researcher: find",
        "Writer: write",
    ]


async def test_what_it_takes_is_published_and_missing_inputs_are_named(load: Any) -> None:
    crew = await load(TEAM)
    assert crew.actions["kickoff"]["required"] == ["topic"]
    with pytest.raises(InvalidError, match="topic missing"):
        await ask(crew, context(Scripted()))
    outputs = await ask(crew, context(model := Scripted()), "dogs")
    assert isinstance(outputs[-1], Text)
    assert "find things on dogs" in model.asked[0], "a prompt's words are its one input"


async def test_a_manager_gives_out_the_tasks_of_a_hierarchical_crew(load: Any) -> None:
    text = TEAM.replace("name: team", "name: team\nprocess: hierarchical")
    crew = await load(text)
    delegated = (
        "Thought: ask\nAction: delegate_work_to_coworker\nAction Input: "
        '{"task": "find", "context": "all", "coworker": "Researcher"}'
    )
    model = Scripted(delegated, "from the researcher", "facts", "managed")
    outputs = await ask(crew, context(model), topic="cats")
    assert answer_of(outputs) == {"text": "managed"}
    uses = [o.text for o in outputs if isinstance(o, Status) and "uses" in o.text]
    assert uses == ["Crew Manager: uses delegate_work_to_coworker"]
    assert "Researcher" in model.asked[1]


CODE = """
from crewai import Agent, Crew, Task
from crewai.project import CrewBase, agent, crew, task

def make():
    one = Agent(role="One", goal="g", backstory="b", llm="gpt-4o")
    return Crew(agents=[one], tasks=[Task(description="on {what}", expected_output="e", agent=one)])

async def later():
    return make()

team = make()

@CrewBase
class Team:
    @agent
    def solo(self):
        return Agent(config=self.agents_config["solo"])

    @task
    def work(self):
        return Task(config=self.tasks_config["work"])

    @crew
    def crew(self):
        return Crew(agents=self.agents, tasks=self.tasks)

number = 7
"""


@pytest.mark.parametrize("name", ["team", "make", "later", "Team"])
async def test_a_crew_that_exists_runs_as_it_is(load: Any, name: str, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/agents.yaml").write_text("solo: {role: Solo, goal: g, backstory: b}")
    (tmp_path / "config/tasks.yaml").write_text(
        "work: {description: 'on {what}', expected_output: e, agent: solo}"
    )
    crew = await load(CODE, name)
    model = Scripted("first", "second")
    both = await asyncio.gather(
        ask(crew, context(model), what="a"), ask(crew, context(model), what="b")
    )
    assert sorted(answer_of(outputs)["text"] for outputs in both) == ["first", "second"]
    assert {"on a" in asked for asked in model.asked} == {True, False}


async def test_what_is_no_crew_is_refused(load: Any) -> None:
    with pytest.raises(InvalidError, match="int, no crew"):
        await load(CODE, "number")


async def test_cancelled_it_stops_at_once_and_so_does_its_model_call(load: Any) -> None:
    crew = await load(TEAM)
    model = Scripted("hang")
    task = asyncio.create_task(ask(crew, context(model), topic="cats"))
    await asyncio.wait_for(model.hangs.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.cancelled == 1
    assert len(model.asked) == 1, "nothing more is asked"
    left = [t for t in threading.enumerate() if t.name.startswith("crew ")]
    for thread in left:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()


TOOLS = """
import os, threading
from crewai.tools import tool

reads, writes = os.pipe()
began = threading.Event()

@tool("spin")
def spin() -> str:
    "Goes on for ever, in Python."
    began.set()
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue

@tool("sleep")
def sleep() -> str:
    "Goes on for long, in one call of the system."
    began.set()
    os.read(reads, 1)
    return "slept"
"""
_CALLS = "Thought: use it\nAction: {}\nAction Input: {{}}"


@pytest.mark.parametrize("tool", ["spin", "sleep"])
async def test_a_tool_that_does_not_yield(
    load: Any, tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparkplug.agents.runtimes.crewai import agent

    monkeypatch.setattr(agent, "STOP_S", 3.0)
    module = f"tools_{tool}"
    (tmp_path / f"{module}.py").write_text(TOOLS)
    crew = await load(
        TEAM.replace("agent: researcher", f"agent: researcher, tools: ['{module}:{tool}']")
    )
    task = asyncio.create_task(ask(crew, context(Scripted(_CALLS.format(tool))), topic="cats"))
    began = sys.modules[module].began
    assert await asyncio.to_thread(began.wait, 30)
    task.cancel()
    if tool == "spin":
        with pytest.raises(asyncio.CancelledError):
            await task
        return
    try:
        with pytest.raises(ProcessMustEnd, match=r"sleep \(tools_sleep.py"):
            await task
    finally:
        os.write(sys.modules[module].writes, b"x")


async def test_a_request_that_is_made_again_goes_on_after_the_last_task(load: Any) -> None:
    crew = await load(TEAM)
    model = Scripted("facts", "hang")
    task = asyncio.create_task(ask(crew, context(model, request="r1"), topic="cats"))
    await asyncio.wait_for(model.hangs.wait(), 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    again = Scripted("a brief")
    outputs = await ask(crew, context(again, request="r1"), topic="cats")
    assert answer_of(outputs) == {"text": "a brief"}
    assert len(again.asked) == 1
    assert "facts" in again.asked[0]
    other = Scripted("facts", "a brief")
    await ask(crew, context(other, request="r1"), topic="cats")
    assert len(other.asked) == 2, "one that was answered is forgotten"


async def test_a_person_is_asked_and_their_answer_taken(load: Any) -> None:
    crew = await load(TEAM.replace("agent: writer", "agent: writer, human_input: true"))
    model = Scripted("facts", "first draft", "second draft")
    with pytest.raises(Parked) as parked:
        await ask(crew, context(model, request="r"), topic="cats")
    draft = parked.value.drafts[0]
    assert draft.slot == "write-0"
    assert draft.data["output"] == "first draft"
    with pytest.raises(Parked) as parked:
        await ask(crew, context(model, request="r", write_0="shorter"), topic="cats")
    assert parked.value.drafts[0].slot == "write-1"
    assert "first draft" in model.asked[2]
    assert "shorter" in model.asked[2]
    outputs = await ask(
        crew, context(model, request="r", write_0="shorter", write_1="OK."), topic="cats"
    )
    assert answer_of(outputs) == {"text": "second draft"}
    assert len(model.asked) == 3, "what a person was content with is not made again"


async def test_where_a_draft_is_not_the_answer_still_counts(load: Any) -> None:
    crew = await load(TEAM.replace("agent: writer", "agent: writer, human_input: true"))
    model = Scripted("facts", "draft of this host", "shorter")
    with pytest.raises(Parked) as parked:
        await ask(crew, context(model, request="elsewhere", write_0="make it short"), topic="cats")
    assert parked.value.drafts[0].slot == "write-1"
    assert "make it short" in model.asked[2]


async def test_a_conversation_is_remembered(load: Any) -> None:
    crew = await load(TEAM)
    await ask(crew, context(Scripted("facts", "the answer is 42")), "cats", thread="t1")
    model = Scripted()
    await ask(crew, context(model), "dogs", thread="t1")
    assert "the answer is 42" in model.asked[0]
    model = Scripted()
    await ask(crew, context(model), "dogs", thread="t2")
    assert "the answer is 42" not in model.asked[0]


async def test_memory_and_knowledge_need_no_model_of_others_and_no_network(
    load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
from crewai import Agent, Crew, Task
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource

def make():
    one = Agent(role="One", goal="g", backstory="b")
    return Crew(
        agents=[one], memory=True,
        tasks=[Task(description="What is the {what}?", expected_output="e", agent=one)],
        knowledge_sources=[StringKnowledgeSource(content="The password of the vault is s3sam.")],
    )
"""
    real = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            raise AssertionError(f"it went out to {address}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path / "storage"))
    crew = await load(code, "make")
    model = Scripted("it is known")
    await ask(crew, context(model), what="password of the vault")
    assert any("vault is s3sam" in asked for asked in model.asked), (
        "knowledge is found by its words"
    )


def test_importing_it_leaves_the_process_as_it_was() -> None:
    code = (
        "import os, signal, threading\n"
        "before = [signal.getsignal(n) for n in (2, 15)]\n"
        "import sparkplug.agents.runtimes.crewai\n"
        "assert [signal.getsignal(n) for n in (2, 15)] == before\n"
        "assert len(os.listdir('/proc/self/task')) == 1, os.listdir('/proc/self/task')\n"
        "assert not os.path.exists(os.environ['HOME'])\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        own = {"HOME": f"{folder}/home", "CREWAI_STORAGE_DIR": f"{folder}/crews"}
        environ = {**os.environ, **own}
        ended = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
        )
    assert ended.returncode == 0, ended.stderr
