"""What each call of a model took: noted when it ends, handed to whoever keeps the ledger."""

from __future__ import annotations

import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sparkplug.llm.port import Usage
from sparkplug.schema.base import utc_now
from sparkplug.schema.llm import CallRecord, ModelView, Reach

#: Tokens that the calls of the request in hand have used, counted by whoever serves it.
spent_here: ContextVar[list[int] | None] = ContextVar("sparkplug_spent", default=None)


class Sink(Protocol):
    """Takes records, and never waits."""

    def note(self, record: CallRecord) -> None:
        """Keep a record."""
        ...


@dataclass(frozen=True, slots=True)
class Labels:
    """On whose account calls are."""

    agent: str = ""
    replica: str = ""
    host: str = ""
    run: str = ""
    step: str = ""
    task: str = ""
    trace: str = ""


@dataclass(slots=True)
class Counts:
    """What was used since the process began; the ledger holds the same call by call."""

    calls: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cost: float = 0.0

    def note(self, record: CallRecord) -> None:
        """Add a call."""
        self.calls += 1
        self.failed += record.outcome not in ("ok", "cancelled")
        self.tokens_in += record.tokens_in
        self.tokens_out += record.tokens_out
        self.seconds += record.seconds
        self.cost += record.cost

    def told(self) -> dict[str, Any]:
        """The figures that an agent tells of itself."""
        return {
            "model_calls": self.calls,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "model_cost": round(self.cost, 9),
        }


@dataclass(slots=True)
class Measured:
    """One attempt under way. Tokens the server does not count are estimated from characters."""

    view: ModelView
    attempt: int
    at: datetime = field(default_factory=utc_now)
    began: float = field(default_factory=time.perf_counter)
    first: float | None = None
    usage: Usage | None = None
    whole: bool = False
    asked_chars: int = 0
    pieces: int = 0

    def piece(self) -> None:
        """A piece of the answer came."""
        if self.first is None:
            self.first = time.perf_counter()
        self.pieces += 1

    @property
    def used(self) -> Usage:
        """Tokens: the server's last word, else an estimate of what had begun."""
        if self.usage is not None:
            return self.usage
        if self.first is None:
            return Usage(estimated=self.whole)
        # Servers send a piece for each token, nearly all of them.
        return Usage(-(-self.asked_chars // 4), self.pieces, estimated=True)

    def record(self, labels: Labels, outcome: str, currency: str) -> CallRecord:
        """What it took, at its end."""
        view, used, now = self.view, self.used, time.perf_counter()
        cost = (used.tokens_in * view.price_in + used.tokens_out * view.price_out) / 1e6
        return CallRecord.model_construct(
            id=uuid.uuid4().hex,
            agent=labels.agent,
            replica=labels.replica,
            host=labels.host,
            run=labels.run,
            step=labels.step,
            task=labels.task,
            trace=labels.trace,
            model=view.name,
            served=view.model,
            endpoint=view.endpoint,
            server_host=view.host if view.reach is not Reach.OUTSIDE else "",
            gpus=list(view.gpus),
            began=self.at,
            first_token_seconds=None if self.first is None else round(self.first - self.began, 6),
            seconds=round(now - self.began, 6),
            tokens_in=used.tokens_in,
            tokens_out=used.tokens_out,
            tokens_estimated=used.estimated,
            joules=used.joules,
            joules_estimated=used.joules_estimated,
            cost=cost,
            currency=currency if cost else "",
            attempt=self.attempt,
            outcome=outcome,
        )
