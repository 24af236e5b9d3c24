"""The mesh as last heard of: what a face that stays open draws, and what `live` keeps true."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from sparkplug.client import topology
from sparkplug.client.nodes import node_age, node_state
from sparkplug.client.observed import MergedAgents, Observed
from sparkplug.client.usage import LatestUsage, UsageByReplica
from sparkplug.schema.agent import DesiredAgent, ObservedAgent
from sparkplug.schema.base import utc_now
from sparkplug.schema.decision import DecisionView
from sparkplug.schema.event import Event
from sparkplug.schema.host import HostSample
from sparkplug.schema.node import NodeOrder
from sparkplug.schema.node_services import HostView
from sparkplug.schema.past import PastSample
from sparkplug.schema.question import Question
from sparkplug.schema.run import RunView
from sparkplug.schema.schedule import ScheduleView
from sparkplug.schema.task_services import TaskFigures
from sparkplug.schema.topology import Topology
from sparkplug.schema.usage import NodeUsage

#: At most so many events are shown.
EVENTS_KEPT = 200


@dataclass(slots=True)
class MeshView:
    """The mesh as last heard of. It outlives a connection, so that a face can show its age."""

    observed: Observed = field(default_factory=Observed)
    desired: dict[str, DesiredAgent] = field(default_factory=dict)
    #: What people want of nodes, by name.
    orders: dict[str, NodeOrder] = field(default_factory=dict)
    #: By host: the newest sample, and how it went before, the newest last.
    latest: dict[str, HostSample] = field(default_factory=dict)
    history: dict[str, deque[HostSample | PastSample]] = field(default_factory=dict)
    runs: dict[str, RunView] = field(default_factory=dict)
    #: Decisions that a person is asked to settle, by id.
    decisions: dict[str, DecisionView] = field(default_factory=dict)
    #: What people are asked, and were lately, by id.
    questions: dict[str, Question] = field(default_factory=dict)
    #: Plans that are run by the clock, by name.
    schedules: list[ScheduleView] = field(default_factory=list)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    #: The queues of tasks; None until whoever keeps them was heard.
    tasks: TaskFigures | None = None
    #: Whether what nodes wrote, and what is wanted, have been read.
    observed_read: bool = False
    desired_read: bool = False
    _graph: Topology | None = None
    _unread: bytes | None = None
    _usage: LatestUsage = field(default_factory=LatestUsage, repr=False, compare=False)
    _merged: MergedAgents = field(default_factory=MergedAgents, repr=False, compare=False)

    @property
    def complete(self) -> bool:
        """Whether what is shown of agents and hosts is all there is."""
        return self.observed_read and self.desired_read

    @property
    def topology(self) -> Topology | None:
        """Who talks to whom; read when it is looked at."""
        body, self._unread = self._unread, None
        if body is not None:
            self._graph = topology.as_topology(body) or self._graph
        return self._graph

    def take_topology(self, body: bytes) -> None:
        """Another graph has come, as JSON."""
        self._unread = body

    @property
    def usage(self) -> UsageByReplica:
        """What each replica takes, by (agent, replica); empty until it was asked for."""
        return self._usage.by_replica()

    def take_usage(self, piece: NodeUsage) -> None:
        """Another piece of it has come."""
        self._usage.take(piece)

    def agents(self) -> list[ObservedAgent]:
        """Every replica as it is shown, see `observed.merge_agents`.

        One that did not change since the last time is the same record. What is wanted counts once
        all that is observed was read: a replica that was not read yet is not one that no node has.
        """
        return self._merged.merge(self.observed, self.desired if self.observed_read else {})

    def hosts(self) -> list[HostView]:
        """Every host by name, with its newest sample (None: none was heard)."""
        now = utc_now()
        found = [
            HostView(
                name=node.name,
                state=node_state(node, now),
                age_seconds=node_age(node, now),
                node=node,
                sample=self.latest.get(node.host),
                order=self.orders.get(node.name),
            )
            for node in self.observed.nodes.values()
        ]
        return sorted(found, key=lambda view: view.name)

    def open_questions(self) -> list[Question]:
        """What waits for a person's answer, the oldest first."""
        found = [one for one in self.questions.values() if one.waits]
        return sorted(found, key=lambda one: one.asked)

    def newest_runs(self) -> list[RunView]:
        """The runs, newest first."""
        return sorted(self.runs.values(), key=lambda run: run.created, reverse=True)

    @property
    def simulated(self) -> bool:
        """True when any number shown comes from a scripted stand-in."""
        return any(node.simulated for node in self.observed.nodes.values()) or any(
            sample.simulated for sample in self.latest.values()
        )
