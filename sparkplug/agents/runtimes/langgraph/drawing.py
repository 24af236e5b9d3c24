"""A graph's nodes and edges, for faces to draw."""

from __future__ import annotations

from typing import Any

from sparkplug.schema.thread import MOST_NODES, AgentGraph, GraphEdge, GraphNode


def drawn(graph: Any) -> AgentGraph:
    """The graph with what is in its subgraphs; the names are those of its steps.

    Source: `get_graph(xray=True)`, which names a node of a subgraph `outer:inner`.
    """
    try:
        found = graph.get_graph(xray=True)
    except (ValueError, TypeError, NotImplementedError):
        # A subgraph that is made while it runs has no inside to be seen before.
        found = graph.get_graph()
    names = list(found.nodes)[:MOST_NODES]
    kept = set(names)
    return AgentGraph(
        nodes=[_node(name) for name in names],
        edges=[
            GraphEdge(
                source=edge.source,
                target=edge.target,
                conditional=bool(edge.conditional),
                label=str(edge.data)[:60] if edge.data is not None else "",
            )
            for edge in found.edges
            if edge.source in kept and edge.target in kept
        ],
        cut=len(found.nodes) - len(names),
    )


def _node(name: str) -> GraphNode:
    parent, _, own = name.rpartition(":")
    label = {"__start__": "start", "__end__": "end"}.get(own, own)
    return GraphNode(id=name, label=label, parent=parent)
