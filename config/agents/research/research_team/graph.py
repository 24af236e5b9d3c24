"""The team as a LangGraph graph: a node each, one after the other.

```
research -> write -> review
```
"""

from __future__ import annotations

import asyncio
from operator import add
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from sparkplug.agents import current

from . import words
from .documents import Documents
from .result import Research, Tokens, cited, judged
from .thinking import think


class Wanted(TypedDict, total=False):
    """What the team is asked."""

    folder: str
    question: str


class Answer(TypedDict, total=False):
    """What it answers: the fields of `result.Research`, and its text for a plain prompt."""

    team: str
    question: str
    notes: str
    brief: str
    citations: list[dict[str, Any]]
    verdict: dict[str, Any]
    tokens: dict[str, int]


class State(Wanted, Answer, total=False):
    """What the nodes pass on; `used` are the tokens of each."""

    used: Annotated[list[dict[str, int]], add]


async def research(state: State) -> State:
    """Take notes."""
    documents = await asyncio.to_thread(Documents, state["folder"])
    passages = await asyncio.to_thread(documents.told, state["question"])
    notes, used = await think(
        current(), words.RESEARCHER, words.research(state["question"], passages)
    )
    return {"notes": notes, "used": [used.model_dump()]}


async def write(state: State) -> State:
    """Write the brief."""
    brief, used = await think(
        current(), words.WRITER, words.write(state["question"], state["notes"])
    )
    return {"brief": brief, "used": [used.model_dump()]}


async def review(state: State) -> State:
    """Check its citations, and have it judged."""
    documents = await asyncio.to_thread(Documents, state["folder"])
    citations, problems = cited(state["brief"], documents)
    asked = words.review(state["question"], state["notes"], state["brief"], problems)
    said, used = await think(current(), words.REVIEWER, asked)
    tokens = sum((Tokens(**one) for one in state["used"]), used)
    made = Research(
        team="graph",
        question=state["question"],
        notes=state["notes"],
        brief=state["brief"],
        citations=citations,
        verdict=judged(said, problems),
        tokens=tokens,
    )
    found: State = made.model_dump()  # type: ignore[assignment]
    return found


_graph = StateGraph(State, input_schema=Wanted, output_schema=Answer)
_graph.add_node("research", research)
_graph.add_node("write", write)
_graph.add_node("review", review)
_graph.add_edge(START, "research")
_graph.add_edge("research", "write")
_graph.add_edge("write", "review")
_graph.add_edge("review", END)

graph = _graph.compile(name="research")
