"""Whether a node is alone in its mesh.

The agents of one that is alone run on whatever becomes of its lease, since nobody could take
them. Others must be able to rely on that word: deadlines end only after it was written down, and
begin before it is taken back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from sparkplug.clock import until_next
from sparkplug.node.desired import DesiredState
from sparkplug.node.node_lease import NodeLease, Standing
from sparkplug.node.observed import ObservedState, node_key
from sparkplug.schema.node import NodeState, ObservedNode

_LOOK_S = 1.0


class Company:
    """Keeps a node's word on being alone, in its record and towards its agents."""

    def __init__(self, node: str, lease: NodeLease) -> None:
        self._node = node
        self._lease = lease
        #: What the node's record is to say.
        self.alone = lease.alone

    async def run(
        self, state: DesiredState, observed: ObservedState, record: Callable[[], ObservedNode]
    ) -> None:
        """Follow who is there, for ever. `record` gives the node's record as it is to be."""
        while True:
            await state.settled()
            seen = state.version
            others = any(
                node.name != self._node and node.state is not NodeState.STOPPED
                for node in state.nodes.values()
            )
            if self._lease.epoch and self._lease.standing is Standing.HELD:
                if others and (self.alone or self._lease.alone):
                    self._lease.set_alone(False)
                    self.alone = False
                    observed.set(node_key(self._node), record())
                elif not others and not self._lease.alone:
                    self.alone = True
                    observed.set(node_key(self._node), record())
                    if await observed.flush():
                        self._lease.set_alone(True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until_next(_LOOK_S)):
                    await state.changed(seen)
