"""What a node says of its replicas: only those given to it, under the epoch that it holds."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.node.node_lease import NodeLease, Standing
from sparkplug.node.observed import ObservedState, agent_key
from sparkplug.schema.agent import Assignment, DesiredAgent, ObservedAgent
from sparkplug.schema.agent_state import AgentState

ReplicaKey = tuple[str, str]


class ToldReplicas:
    """What was written of this node's replicas, and what it may write now."""

    def __init__(
        self, bus: Bus, node: str, owner: str, observed: ObservedState, lease: NodeLease
    ) -> None:
        self._bus = bus
        self._node = node
        self._owner = owner
        self._observed = observed
        self._lease = lease
        self._seen: dict[str, ObservedAgent] = {}
        #: The epoch under which each replica's state is this node's to write.
        self._told_under: dict[ReplicaKey, int] = {}
        self._told: dict[ReplicaKey, int] = {}
        self._said_left: dict[ReplicaKey, str] = {}

    async def read(self) -> None:
        """Read what is written of replicas of this node."""
        bucket = Bucket(self._bus, subjects.BUCKET_OBSERVED)
        written = await bucket.read_all(ObservedAgent, "agents.>")
        self._seen = {key: seen for key, seen in written.items() if seen.node == self._node}

    def seen(self, key: ReplicaKey) -> ObservedAgent | None:
        """What was written of a replica before; None for nothing."""
        return self._seen.get(agent_key(*key))

    def forget_gone(
        self,
        here: Container[ReplicaKey],
        assignments: Mapping[ReplicaKey, Assignment],
        wanted: Callable[[ReplicaKey], bool],
        gone: Callable[[str, str], object],
    ) -> None:
        """Remove what was written of replicas that are no more: an earlier daemon's, an old
        epoch's. `gone` is told of each."""
        if not self._lease.epoch:
            # Nothing can be written yet; it is done with the first epoch.
            return
        kept = {}
        for observed_key, seen in self._seen.items():
            key = (seen.name, seen.replica)
            if key in here:
                continue
            assignment = assignments.get(key)
            if not wanted(key):
                self._observed.remove(observed_key)
                gone(*key)
            elif assignment is None or assignment.node == self._node:
                kept[observed_key] = seen  # it may still be given to this node
        self._seen = kept

    def given(self, assignment: Assignment) -> bool:
        """Whether what may move may be begun here: given under the epoch that stands."""
        lease = self._lease
        return (
            bool(lease.epoch)
            and assignment.epoch == lease.epoch
            and (lease.alone or lease.standing < Standing.ENDING)
        )

    def take(self, key: ReplicaKey) -> None:
        """A replica is this node's to tell of, under the epoch that stands."""
        if self._lease.epoch:
            self._told_under[key] = self._lease.epoch

    def tell_once(self, observed: ObservedAgent) -> None:
        """Say how a replica is with every new epoch: what was said under the last is void."""
        key = observed.name, observed.replica
        if self._told.get(key) != self._lease.epoch:
            self._told[key] = self._lease.epoch
            # Others may have written it meanwhile: it is said again, though it be the same.
            self._observed.forget(agent_key(*key))
            self.tell(observed)

    def tell(self, observed: ObservedAgent) -> None:
        """Say how a replica is, where it is this node's to say."""
        key = observed.name, observed.replica
        if self._told_under.get(key) == self._lease.epoch:
            self._observed.set(agent_key(*key), observed)

    def say_left(self, key: ReplicaKey, word: str, desired: DesiredAgent | None) -> None:
        """Say that nothing of a replica runs here any more, so that others may have it.

        `word` is the `leave` of its assignment.
        """
        if self._said_left.get(key) == word or not self._lease.epoch:
            return
        self._said_left[key] = word
        observed = self.new(key, desired)
        observed.state, observed.reason = AgentState.STOPPED, "it goes to another host"
        observed.left = word
        self._observed.set(agent_key(*key), observed)

    def remove(self, key: ReplicaKey) -> None:
        """Nothing is said of a replica any more."""
        self._told_under.pop(key, None)
        self._observed.remove(agent_key(*key))

    def new_epoch(self) -> None:
        """The node has a new epoch: what was said under the last is said anew."""
        self._observed.drop_late()
        self._told.clear()

    def new(self, key: ReplicaKey, desired: DesiredAgent | None) -> ObservedAgent:
        """What is known of a replica at first."""
        observed = ObservedAgent(
            name=key[0],
            replica=key[1],
            runtime=desired.spec.runtime if desired else "python",
            owner=self._owner,
            host=self._node,
            node=self._node,
            state=AgentState.DEPLOYING,
            subject=subjects.prompt(key[0], self._owner, key[1]),
            max_payload=self._bus.nc.max_payload,
        )
        if desired is not None:
            describe(observed, desired)
        return observed


def describe(observed: ObservedAgent, desired: DesiredAgent) -> None:
    """What its spec says of a replica."""
    spec = desired.spec
    observed.runtime = spec.runtime
    observed.type = spec.type
    observed.senders = spec.senders
    observed.description = spec.description
    observed.capabilities = list(spec.capabilities)
    observed.labels = dict(spec.labels)
    observed.scale = f"{spec.scale.min}..{spec.scale.max}" if spec.scale else None
