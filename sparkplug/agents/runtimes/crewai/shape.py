"""The shape of a crew's work, as faces draw it: tasks, and what each is told of the others."""

from __future__ import annotations

from crewai import Crew, Process, Task

from sparkplug.schema.thread import MOST_NODES, AgentGraph, GraphEdge, GraphNode

_MANAGER = "manager"


def shape_of(crew: Crew) -> AgentGraph:
    """The tasks of a crew in their order; a manager who gives them out comes first."""
    tasks = crew.tasks[:MOST_NODES]
    nodes = [GraphNode(id=step_name(task), label=_label(task)) for task in tasks]
    edges: list[GraphEdge] = []
    for index, task in enumerate(tasks):
        told = task.context if isinstance(task.context, list) else tasks[max(0, index - 1) : index]
        edges += [GraphEdge(source=step_name(t), target=step_name(task)) for t in told]
    if crew.process is Process.hierarchical:
        role = crew.manager_agent.role if crew.manager_agent is not None else "Crew Manager"
        nodes.insert(0, GraphNode(id=_MANAGER, label=role))
        edges += [GraphEdge(source=_MANAGER, target=step_name(t), conditional=True) for t in tasks]
    return AgentGraph(nodes=nodes, edges=edges, cut=len(crew.tasks) - len(tasks))


def step_name(task: Task) -> str:
    """What a task is called in steps and in the picture."""
    return " ".join((task.name or task.description).split())[:80]


def _label(task: Task) -> str:
    return f"{step_name(task)} ({task.agent.role.strip()})" if task.agent else step_name(task)
