"""A graph that notes which of its nodes ran, and a node to run it on: a kill is seen in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fakes.node import Node

ALL = ["first", "inner", "slow", "unasked", "last"]
#: What the state has of it: a subgraph gives back what it was given, and its own.
DONE = ["first", *ALL]

#: Each node notes in a file that it ran; `slow` waits for another file to be there.
_CHAIN = """
import asyncio, operator, os
from pathlib import Path
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

HERE = Path(os.environ["RECORD"])


class State(TypedDict):
    prompt: str
    done: Annotated[list, operator.add]
    text: str


def note(state, name):
    with (HERE / "ran").open("a") as file:
        file.write(f"{state['prompt']} {name} {os.getpid()}\\n")
    return {"done": [name]}


def first(state):
    return note(state, "first")


def inner(state):
    return note(state, "inner")


async def slow(state):
    while not (HERE / "go").exists():
        await asyncio.sleep(0.01)
    return note(state, "slow")


def ask(state):
    if "ask" in state['prompt']:
        yes = interrupt({"question": f"Go on with {state['prompt']}?", "approve": True})
        name = interrupt("Under which name?")
        return {**note(state, "asked"), "text": f"{yes} {name}"}
    return note(state, "unasked")


def last(state):
    done = " ".join(state["done"])
    return {**note(state, "last"), "text": f"{state.get('text', '')} {done}".strip()}


def build():
    under = StateGraph(State)
    under.add_node("inner", inner)
    under.add_edge(START, "inner")
    graph = StateGraph(State)
    for name, node in (("first", first), ("under", under.compile()), ("slow", slow)):
        graph.add_node(name, node)
    graph.add_node("ask", ask)
    graph.add_node("last", last)
    graph.add_edge(START, "first")
    graph.add_edge("first", "under")
    graph.add_edge("under", "slow")
    graph.add_edge("slow", "ask")
    graph.add_edge("ask", "last")
    graph.add_edge("last", END)
    return graph
"""


class Place:
    """A node with chain agents, and the file in which their graphs' nodes note that they ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.node = Node(folder / "state")
        (folder / "chain.py").write_text(_CHAIN)
        (folder / "langgraph.json").write_text(
            json.dumps({"graphs": {"chain": "./chain.py:build"}, "dependencies": ["."]})
        )

    def deploy(self, name: str, **spec: Any) -> None:
        given = {
            "name": name,
            "runtime": "langgraph",
            "entrypoint": "langgraph.json",
            "env": {"RECORD": str(self.folder)},
            "restart": {"max": 0, "backoff": "100ms"},
            **spec,
        }
        path = self.folder / f"{name}.yaml"
        path.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in given.items()))
        self.node.cli("agents", "deploy", str(path))

    def ran(self, what: str) -> list[str]:
        """The nodes that ran for an input, in order."""
        path = self.folder / "ran"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split()[-2] for line in lines if line.rsplit(" ", 2)[0] == what]

    def go(self, *, on: bool = True) -> None:
        """Let the slow node end; or have it wait."""
        path = self.folder / "go"
        path.touch() if on else path.unlink(missing_ok=True)
