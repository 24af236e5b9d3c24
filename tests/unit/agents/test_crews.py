"""Crews as people write them, run by `runtime: crewai` in the test's process."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.models import model_at
from fakes.openai_server import OpenAiServer, Reply, openai_server
from sparkplug.agents.context import Context, Request, RequestActivity, Routes
from sparkplug.agents.conversation import Turn
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
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.question import Answer

TEAM = """\
name: team
agents:
  researcher: {role: Researcher, goal: "find {topic}", backstory: knows}
  writer: {role: Writer, goal: writes, backstory: knows}
tasks:
  find: {description: "find things on {topic}", expected_output: list, agent: researcher}
  write: {description: write them up, expected_output: text, agent: writer}
"""


def final(text: str) -> Reply:
    return Reply.text(f"Thought: I now can give a great answer\nFinal Answer: {text}")


HANGS = Reply(pieces=["Thought"], hang=True)


@pytest.fixture
async def model() -> AsyncIterator[OpenAiServer]:
    async with openai_server(final("done")) as server:
        yield server


def script(model: OpenAiServer, *replies: Reply | str) -> None:
    """What the model answers from now on, and nothing was asked so far."""
    model.requests.clear()
    model.replies[:] = [one if isinstance(one, Reply) else final(one) for one in replies]


def asked(model: OpenAiServer, number: int) -> str:
    """All that the model was told with a request."""
    return "\n".join(str(message["content"]) for message in model.requests[number]["messages"])


async def hanging(model: OpenAiServer, number: int) -> None:
    async with asyncio.timeout(30):
        while len(model.requests) < number:
            await asyncio.sleep(0.01)


class Shelf:
    """What is kept, in place of the mesh."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, name: str, data: bytes) -> bool:
        self.kept[name] = data
        return True

    async def get(self, name: str) -> bytes | None:
        return self.kept.get(name)


class Talk:
    """A conversation of one turn."""

    async def read(self, thread: str) -> list[Turn]:
        return [Turn(role="user", content="cats"), Turn(role="assistant", content=f"on {thread}")]


def context(
    model: OpenAiServer, *, key: str = "", request: str = "", thread: str = "", **answers: str
) -> Context:
    async def progress(_: str) -> None:
        return None

    given = {slot: Answer(value=value) for slot, value in answers.items()}
    bus = Bus("nats://127.0.0.1:9", "_INBOX.test")
    return Context(
        bus=bus,
        agent="crew",
        replica="0",
        host="gpu-1",
        activity=RequestActivity(lambda: None),
        routes=Routes(bus),
        model=model_at(model.endpoint),
        progress=progress,
        ids={"key": key},
        request=request,
        thread=thread,
        conversations=Talk() if thread else None,  # type: ignore[arg-type]
        answers=given,
    )


async def ask(
    crew: Runtime, ctx: Context, text: str = "", *, thread: str = "", **inputs: Any
) -> list[Output]:
    request = Request(text=text, action="kickoff", input=inputs, structured=not text, thread=thread)
    with ctx.bound():
        return [output async for output in crew.serve(ctx, request)]


def answer_of(outputs: list[Output]) -> Any:
    results = [one.value for one in outputs if isinstance(one, Result)]
    return results[0] if results else "".join(one.text for one in outputs if isinstance(one, Text))


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., Awaitable[Runtime]]]:
    """Load a crew file's text, or what a module's text defines under a name."""
    sys.path.insert(0, str(tmp_path))

    async def load_(source: str, name: str = "", **seat: Any) -> Runtime:
        from sparkplug.agents.entrypoint import load_entrypoint
        from sparkplug.agents.runtimes import crewai

        made = Seat(agent="crew", folder=str(tmp_path), **seat)
        if not name:
            path = tmp_path / "team.yaml"
            path.write_text(source)
            crew = await crewai.load(path, made)
            vars(crew)["_store"] = Shelf()
            return crew
        module = f"crew_{abs(hash(source))}"
        (tmp_path / f"{module}.py").write_text(source)
        return await crewai.load(load_entrypoint(f"{module}:{name}", [str(tmp_path)]), made)

    yield load_
    sys.path.remove(str(tmp_path))


async def test_a_crew_file_does_its_tasks_in_order_and_says_so(
    load: Any, model: OpenAiServer
) -> None:
    crew = await load(TEAM)
    script(model, "facts", "a brief")
    outputs = await ask(crew, context(model), topic="cats")
    assert answer_of(outputs) == {"text": "a brief"}
    assert "find things on cats" in asked(model, 0)
    assert "facts" in asked(model, 1), "a task is told the output of the one before"
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


async def test_what_it_takes_is_published_and_missing_inputs_are_named(
    load: Any, model: OpenAiServer
) -> None:
    crew = await load(TEAM)
    assert crew.actions["kickoff"]["required"] == ["topic"]
    with pytest.raises(InvalidError, match="topic missing"):
        await ask(crew, context(model))
    outputs = await ask(crew, context(model), "dogs")
    assert answer_of(outputs) == "done"
    assert "find things on dogs" in asked(model, 0), "a prompt's words are its one input"


async def test_a_manager_gives_out_the_tasks_of_a_hierarchical_crew(
    load: Any, model: OpenAiServer
) -> None:
    text = TEAM.replace("name: team", "name: team\nprocess: hierarchical")
    crew = await load(text)
    work = json.dumps({"task": "find", "context": "all", "coworker": "Researcher"})
    delegated = Reply(calls=[("delegate_work_to_coworker", work)])
    script(
        model,
        delegated,
        Reply.text("from the researcher"),
        Reply.text("facts"),
        Reply.text("managed"),
    )
    outputs = await ask(crew, context(model), topic="cats")
    assert answer_of(outputs) == {"text": "managed"}
    uses = [o.text for o in outputs if isinstance(o, Status) and "uses" in o.text]
    assert uses == ["Crew Manager: uses delegate_work_to_coworker"]
    assert "Researcher" in asked(model, 1)


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
async def test_a_crew_that_exists_runs_as_it_is(
    load: Any, model: OpenAiServer, name: str, tmp_path: Path
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/agents.yaml").write_text("solo: {role: Solo, goal: g, backstory: b}")
    (tmp_path / "config/tasks.yaml").write_text(
        "work: {description: 'on {what}', expected_output: e, agent: solo}"
    )
    crew = await load(CODE, name)
    script(model, "first", "second")
    both = await asyncio.gather(
        ask(crew, context(model), what="a"), ask(crew, context(model), what="b")
    )
    assert sorted(answer_of(outputs)["text"] for outputs in both) == ["first", "second"]
    assert {"on a" in asked(model, number) for number in (0, 1)} == {True, False}


async def test_what_is_no_crew_is_refused(load: Any) -> None:
    with pytest.raises(InvalidError, match="int, no crew"):
        await load(CODE, "number")


async def test_cancelled_it_stops_at_once_and_so_does_its_model_call(
    load: Any, model: OpenAiServer
) -> None:
    crew = await load(TEAM)
    script(model, HANGS)
    task = asyncio.create_task(ask(crew, context(model), topic="cats"))
    await hanging(model, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(model.requests) == 1, "nothing more is asked"
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


@pytest.mark.parametrize("tool", ["spin", "sleep"])
async def test_a_tool_that_does_not_yield(
    load: Any, model: OpenAiServer, tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparkplug.agents.runtimes.crewai import agent

    monkeypatch.setattr(agent, "STOP_S", {"spin": 60.0, "sleep": 3.0}[tool])
    module = f"tools_{tool}"
    (tmp_path / f"{module}.py").write_text(TOOLS)
    crew = await load(
        TEAM.replace("agent: researcher", f"agent: researcher, tools: ['{module}:{tool}']")
    )
    script(model, Reply(calls=[(tool, "{}")]))
    task = asyncio.create_task(ask(crew, context(model), topic="cats"))
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


async def test_a_request_that_is_made_again_goes_on_after_the_last_task(
    load: Any, model: OpenAiServer
) -> None:
    crew = await load(TEAM)
    script(model, "facts", HANGS)
    task = asyncio.create_task(ask(crew, context(model, key="run/step"), topic="cats"))
    await hanging(model, 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    script(model, "a brief")
    outputs = await ask(crew, context(model, key="run/step"), topic="cats")
    assert answer_of(outputs) == {"text": "a brief"}
    assert len(model.requests) == 1
    assert "facts" in asked(model, 0)
    script(model, "facts", "a brief")
    await ask(crew, context(model, key="run/step"), topic="cats")
    assert len(model.requests) == 2, "one that was answered is forgotten"


async def test_what_another_crew_has_done_of_a_request_is_not_gone_on_with(
    load: Any, model: OpenAiServer
) -> None:
    crew = await load(TEAM)
    script(model, "facts", HANGS)
    task = asyncio.create_task(ask(crew, context(model, key="run/step"), topic="cats"))
    await hanging(model, 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    other = await load(TEAM.replace("find things", "look for things"))
    vars(other)["_store"] = vars(crew)["_store"]
    script(model, "other facts", "a brief")
    await ask(other, context(model, key="run/step"), topic="cats")
    assert len(model.requests) == 2
    assert "other facts" in asked(model, 1)


async def test_a_person_is_asked_and_their_answer_taken(load: Any, model: OpenAiServer) -> None:
    crew = await load(TEAM.replace("agent: writer", "agent: writer, human_input: true"))
    script(model, "facts", "first draft", "second draft")
    with pytest.raises(Parked) as parked:
        await ask(crew, context(model, request="r"), topic="cats")
    draft = parked.value.drafts[0]
    assert draft.slot == "t1q0"
    assert draft.data["output"] == "first draft"
    with pytest.raises(Parked) as parked:
        await ask(crew, context(model, request="r", t1q0="shorter"), topic="cats")
    assert parked.value.drafts[0].slot == "t1q1"
    assert "first draft" in asked(model, 2)
    assert "shorter" in asked(model, 2)
    outputs = await ask(crew, context(model, request="r", t1q0="shorter", t1q1="OK."), topic="cats")
    assert answer_of(outputs) == {"text": "second draft"}
    assert len(model.requests) == 3, "what a person was content with is not made again"


async def test_where_a_draft_is_not_the_answer_still_counts(load: Any, model: OpenAiServer) -> None:
    crew = await load(TEAM.replace("agent: writer", "agent: writer, human_input: true"))
    script(model, "facts", "draft of this host", "shorter")
    with pytest.raises(Parked) as parked:
        await ask(crew, context(model, request="elsewhere", t1q0="make it short"), topic="cats")
    assert parked.value.drafts[0].slot == "t1q1"
    assert "make it short" in asked(model, 2)


async def test_it_is_told_what_was_said_before(load: Any, model: OpenAiServer) -> None:
    crew = await load(TEAM)
    await ask(crew, context(model, thread="t1"), "dogs", thread="t1")
    assert "Assistant: on t1" in asked(model, 0)
    await ask(crew, context(model), "dogs")
    assert "Assistant:" not in asked(model, 2)


BRIEF = "a brief that is longer than one piece of forty characters each"


@pytest.mark.parametrize("thinks", [True, False])
async def test_the_answer_is_told_as_it_is_made(
    load: Any, model: OpenAiServer, thinks: bool
) -> None:
    crew = await load(TEAM)
    script(model, "facts", BRIEF if thinks else Reply.text(BRIEF))
    outputs = await ask(crew, context(model), "dogs")
    pieces = [one.text for one in outputs if isinstance(one, Text)]
    assert len(pieces) > 1
    assert "".join(pieces) == BRIEF


@pytest.mark.parametrize(
    ("pieces", "told", "whole", "rest"),
    [
        (["Th", "ere", " is ", "one. "], ["There", " is", " one."], "There is one.", ""),
        (["Th", "ought: hm"], [], "Thought: hm", "Thought: hm"),
        (["``", "`\nThought: hm\nFinal Answer: a", " b"], ["a", " b"], "a b", ""),
        (["```py\nx", " = 1\n```"], ["```py\nx", " = 1\n```"], "```py\nx = 1\n```", ""),
        # CrewAI takes what comes after the mark, wherever that is.
        (["so ", "far\nFinal Answer: a"], ["so"], "a", "\n\na"),
    ],
)
def test_of_what_a_model_says_the_answer_is_told(
    pieces: list[str], told: list[str], whole: str, rest: str
) -> None:
    from sparkplug.agents.runtimes.crewai.final import Final

    final = Final()
    final.begin(plain=True)
    assert [new for piece in pieces if (new := final.take(piece))] == told
    assert final.rest(whole) == rest
    final = Final()
    final.begin(plain=False)
    assert final.take("There is one.") == ""


ASKING = """
from crewai import Agent, Crew, Task
from crewai.tools import tool
from sparkplug.agents import current, wait

@tool("ask_a_person")
def ask_a_person() -> str:
    "Asks a person for a colour."
    return wait(current().human("Which colour?", options=["red", "blue"]))

def make():
    one = Agent(role="One", goal="g", backstory="b", tools=[ask_a_person])
    tasks = [
        Task(name=n, description="paint", expected_output="e", agent=one) for n in ("a", "b")
    ]
    return Crew(agents=[one], tasks=tasks)
"""


async def test_a_tool_may_ask_a_person_and_each_task_asks_for_itself(
    load: Any, model: OpenAiServer
) -> None:
    crew = await load(ASKING, "make")
    vars(crew)["_store"] = Shelf()
    call = Reply(calls=[("ask_a_person", "{}")])
    script(model, call, call, Reply.text("painted red"), call, call, Reply.text("painted blue"))
    with pytest.raises(Parked) as parked:
        await ask(crew, context(model, request="r"), "go")
    assert parked.value.drafts[0].slot == "t0h0"
    assert parked.value.drafts[0].options == ["red", "blue"]
    with pytest.raises(Parked) as parked:
        await ask(crew, context(model, request="r", t0h0="red"), "go")
    assert parked.value.drafts[0].slot == "t1h0"
    outputs = await ask(crew, context(model, request="r", t0h0="red", t1h0="blue"), "go")
    assert answer_of(outputs) == "painted blue"
    assert len(model.requests) == 6, "the first task was not done again"


async def test_memory_and_knowledge_need_no_model_of_others_and_no_network(
    load: Any, model: OpenAiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        if self.family != socket.AF_UNIX and address[0] != "127.0.0.1":
            raise AssertionError(f"it went out to {address}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path / "storage"))
    crew = await load(code, "make")
    script(model, "it is known")
    await ask(crew, context(model), what="password of the vault")
    told = [asked(model, number) for number in range(len(model.requests))]
    assert any("vault is s3sam" in words for words in told), "knowledge is found by its words"


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


def test_without_the_extra_a_zygote_says_what_installs_it(tmp_path: Path) -> None:
    (tmp_path / "crewai.py").write_text("raise ModuleNotFoundError(name='crewai')\n")
    jobs, theirs = socket.socketpair()
    pipes, their_pipes = socket.socketpair()
    words = [str(theirs.fileno()), str(their_pipes.fileno()), "crewai"]
    ended = subprocess.run(
        [sys.executable, "-m", "sparkplug.agents.zygote", *words],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "CREWAI_STORAGE_DIR": str(tmp_path)},
        pass_fds=[theirs.fileno(), their_pipes.fileno()],
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 1
    message = json.loads(jobs.recv(4096))
    assert message["kind"] == "failed"
    assert message["error"].endswith(
        "cannot import crewai; pip install 'sparkplug-control[crew]' for it"
    )
    for one in (jobs, theirs, pipes, their_pipes):
        one.close()
