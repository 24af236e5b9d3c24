"""The lease of a node: how long it stands, and when what runs under it ends.

All times are seconds after the last renewal that the server granted was *sent*, so that the
holder never counts later than the server.
"""

from __future__ import annotations

from pydantic import Field

from sparkplug.schema.base import Record

#: The server lets the lease lapse so long after a renewal; others may then take its agents.
TTL_S = 9
RENEW_EVERY_S = 2.0
#: A node that was granted nothing for so long says that it is cut off.
CUT_OFF_AFTER_S = 4.0
#: Its movable agents are asked to end, and what is left of them is killed.
STOP_AFTER_S = 5.5
KILL_AFTER_S = 8.0


class LeaseTerm(Record):
    """What a node tells the processes of its agents, in a file of its run directory.

    Times are of the clock that leases are counted with (`lease_clock`); none: whatever becomes
    of the lease, nobody else would take the agents.
    """

    epoch: int
    stop_at: float | None = Field(None, description="movable agents end from then on")
    kill_at: float | None = Field(None, description="none of them runs after that")
