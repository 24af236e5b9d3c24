"""Threads: what an agent keeps of one conversation, and the shape of its work."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from sparkplug.schema.base import Record

#: Characters of a thread's name, which callers choose.
LONGEST_THREAD = 200
#: Nodes and edges of a graph that is drawn.
MOST_NODES = 200


class ThreadView(Record):
    """One thread in a list."""

    thread: str
    checkpoint: str = Field("", description="id of its newest checkpoint")
    updated: datetime | None = None
    step: int | None = None
    next: list[str] = Field(default_factory=list, description="nodes that would run next")


class ThreadState(Record):
    """The state of a thread at one moment."""

    thread: str
    checkpoint: str = ""
    parent: str = ""
    created: datetime | None = None
    step: int | None = None
    source: str = Field("", description="input, loop, update or fork")
    next: list[str] = Field(default_factory=list, description="nodes that would run next")
    interrupts: list[Any] = Field(default_factory=list, description="what it waits for")
    values: Any = Field(None, description="the values of the state, as JSON")


class GraphNode(Record):
    """A node of a graph: `parent` names the node whose inside it is, empty at the top."""

    id: str
    label: str = ""
    parent: str = ""


class GraphEdge(Record):
    """What may follow what."""

    source: str
    target: str
    conditional: bool = False
    label: str = ""


class AgentGraph(Record):
    """The shape of an agent's work. `cut` of its nodes were too many to be told."""

    nodes: list[GraphNode] = Field(default_factory=list)
    edges: list[GraphEdge] = Field(default_factory=list)
    cut: int = 0


class ThreadsRequest(Record):
    """Ask one replica about its threads, or change one."""

    verb: Literal["list", "get", "history", "update", "forget", "graph"]
    thread: str = Field("", max_length=LONGEST_THREAD)
    checkpoint: str = Field("", max_length=200)
    values: dict[str, Any] = Field(default_factory=dict)
    as_node: str = Field("", max_length=200, description="as if this node had written them")
    limit: int = Field(20, ge=1, le=1000)
    by: str = Field("", max_length=200)


class ThreadsReply(Record):
    """What is known of them."""

    threads: list[ThreadView] = Field(default_factory=list)
    states: list[ThreadState] = Field(default_factory=list)
    graph: AgentGraph | None = None
