"""The same agent for every runtime: what the conformance suite asks of each.

A prompt `say X` is answered `said: X`, in pieces; `name N` is remembered on its thread, and
`who` tells it; `paint` asks a person for a colour; `think` counts tokens. The action `add` adds
`a` and `b`, `hang` never ends, `count` notes in a file that it ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PYTHON = """
import asyncio

from sparkplug.schema.errors import InvalidError


async def handle(ctx, request):
    if request.action == "add":
        yield {"sum": request.input["a"] + request.input["b"]}
    elif request.action == "hang":
        await ctx.progress("hanging")
        await asyncio.Event().wait()
    elif request.action == "fail":
        raise InvalidError("no such thing")
    elif request.text.startswith("say "):
        yield "said: "
        yield request.text.removeprefix("say ")
    elif request.text == "paint":
        colour = await ctx.human("Which colour?", options=["red", "blue"])
        yield f"painted {colour}"
    elif request.text == "think":
        ctx.count_tokens(7, 3)
        yield "thought"
    elif request.text == "who":
        named = [t.content for t in await ctx.conversation() if t.content.startswith("name ")]
        yield named[-1].removeprefix("name ") if named else "nobody"
    else:
        yield "noted"
"""

_LANGGRAPH = '''
import asyncio
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt

from sparkplug.schema.errors import InvalidError


class Scripted(BaseChatModel):
    """Says what it is told to, in two pieces, and what that took."""

    said: str

    @property
    def _llm_type(self):
        return "scripted"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.said))])

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
        half = self.said.find(" ") + 1
        yield ChatGenerationChunk(message=AIMessageChunk(self.said[:half]))
        yield ChatGenerationChunk(
            message=AIMessageChunk(self.said[half:], usage_metadata=usage)
        )


class State(TypedDict):
    messages: Annotated[list, add_messages]
    action: str
    a: int
    b: int


def look(state):
    return {}


def where(state):
    if state.get("action"):
        return "act"
    return "paint" if state["messages"][-1].content == "paint" else "talk"


async def act(state):
    if state["action"] == "add":
        return {"messages": [AIMessage(str(state["a"] + state["b"]))]}
    if state["action"] == "fail":
        raise InvalidError("no such thing")
    get_stream_writer()("hanging")
    await asyncio.Event().wait()


def paint(state):
    colour = interrupt({"question": "Which colour?", "options": ["red", "blue"]})
    return {"messages": [AIMessage(f"painted {colour}")]}


async def talk(state):
    text = state["messages"][-1].content
    if text.startswith("say "):
        return {"messages": [await Scripted(said="said: " + text[4:]).ainvoke(text)]}
    if text == "think":
        return {"messages": [await Scripted(said="thought").ainvoke(text)]}
    if text == "who":
        named = [m.content for m in state["messages"] if m.content.startswith("name ")]
        return {"messages": [AIMessage(named[-1][5:] if named else "nobody")]}
    return {"messages": [AIMessage("noted")]}


def build():
    graph = StateGraph(State)
    for node in (look, act, paint, talk):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "look")
    graph.add_conditional_edges("look", where, ["act", "paint", "talk"])
    for last in ("act", "paint", "talk"):
        graph.add_edge(last, END)
    return graph


handle = build
'''


_CREWAI = '''
import re
import time

from crewai import Agent, Crew, Task
from crewai.llms.base_llm import BaseLLM, llm_call_context

from sparkplug.agents import current, wait
from sparkplug.schema.errors import InvalidError


class Scripted(BaseLLM):
    """A language model of an author's own: does what it is told to, in the crew's thread."""

    def call(self, messages, tools=None, callbacks=None, available_functions=None,
             from_task=None, from_agent=None, response_model=None):
        told = messages[-1]["content"]
        wanted = re.search(r"<<(.*?)>>", told, re.S).group(1)
        answer = self.answer(wanted, told)
        pieces = ["Thought: so\\nFinal ", "Answer: ", *re.split(r"(?<= )", answer)]
        with llm_call_context():
            for piece in pieces:
                self._emit_stream_chunk_event(piece, from_task=from_task, from_agent=from_agent)
        return "".join(pieces)

    def answer(self, wanted, told):
        if wanted.startswith("add "):
            return str(sum(map(int, wanted.split()[1:])))
        if wanted == "fail":
            raise InvalidError("no such thing")
        if wanted == "hang":
            while True:
                time.sleep(0.05)
        if wanted.startswith("say "):
            return "said: " + wanted[4:]
        if wanted == "paint":
            colour = wait(current().human("Which colour?", options=["red", "blue"]))
            return f"painted {colour}"
        if wanted == "think":
            self._track_token_usage_internal({"prompt_tokens": 7, "completion_tokens": 3})
            return "thought"
        if wanted == "who":
            named = re.findall(r"User: name (\\w+)", told)
            return named[-1] if named else "nobody"
        return "noted"


def prepare(inputs):
    action = inputs["action"]
    numbers = f" {inputs['a']} {inputs['b']}" if action == "add" else ""
    return {**inputs, "wanted": inputs["prompt"] if action == "prompt" else action + numbers}


def handle():
    one = Agent(role="One", goal="does it", backstory="does it", llm=Scripted(model="own"))
    task = Task(name="do", description="<<{wanted}>>", expected_output="it", agent=one)
    return Crew(agents=[one], tasks=[task], before_kickoff_callbacks=[prepare])
'''


@dataclass(frozen=True)
class RuntimeCase:
    """One runtime: the code of the agent, and what its file says beside the name."""

    name: str
    code: str
    spec: Mapping[str, Any] = field(default_factory=dict)

    @property
    def agent(self) -> str:
        """The name of the agent."""
        return f"one-{self.name}"

    def write(self, folder: Path) -> Path:
        """The agent file and its module."""
        module = f"one_{self.name}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{module}.py").write_text(self.code)
        lines = [
            f"name: {self.agent}",
            f"runtime: {self.name}",
            f"entrypoint: {module}:handle",
            "restart: {policy: on-failure, max: 0, backoff: 100ms}",
            *(f"{key}: {value}" for key, value in self.spec.items()),
        ]
        path = folder / f"{self.agent}.yaml"
        path.write_text("\n".join(lines) + "\n")
        return path


#: Every runtime there is. Another is added by its agent's code.
RUNTIMES = (
    RuntimeCase("python", _PYTHON),
    RuntimeCase("langgraph", _LANGGRAPH),
    RuntimeCase("crewai", _CREWAI),
)
