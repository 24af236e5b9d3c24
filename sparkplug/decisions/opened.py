"""A decision that is open, while this node keeps it."""

from __future__ import annotations

import asyncio
import time

from sparkplug.schema.decision import DecisionState, DecisionView
from sparkplug.schema.decision_fold import all_voted


class Open:
    """A decision in work: its view, and who waits for its end."""

    def __init__(self, view: DecisionView, since: float) -> None:
        self.view = view
        #: When the round, or the wait for who settles it, began (time.monotonic).
        self.since = since
        self.lock = asyncio.Lock()
        self.over = asyncio.Event()
        #: Ids that senders gave their votes, and whose they were.
        self.ids: dict[str, tuple[str, int]] = {}

    @property
    def seconds(self) -> float | None:
        """How long that lasts; None: until somebody says so."""
        proposal = self.view.proposal
        if self.view.state is DecisionState.HUMAN:
            return None
        if self.view.state is DecisionState.ARBITER:
            return proposal.arbiter_seconds
        return proposal.seconds

    @property
    def late(self) -> bool:
        """Whether its time is up."""
        return self.seconds is not None and time.monotonic() - self.since >= self.seconds

    @property
    def due(self) -> bool:
        """Whether its round is over: its time is up, or all have voted."""
        return self.late or (self.view.state is DecisionState.OPEN and all_voted(self.view))
