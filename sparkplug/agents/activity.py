"""What an agent process is doing, counted, so that its state is known and not guessed."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from sparkplug.schema.agent import Target
from sparkplug.schema.agent_state import AgentState

Waits = Literal["asking", "thinking", "answering"]
#: Steps of one request that are told of at once.
_MOST_STEPS = 20


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A question to another replica that is not answered yet (`since`: time.monotonic)."""

    agent: str
    replica: str
    action: str
    since: float


class RequestActivity:
    """What one request in hand is doing: which of its waits are open now, and which steps.

    `asking` another agent, `thinking` with a model call open, `answering`: held up until a
    person answers. `question` is the id it was asked under, where an agent of ours asked; `waits`
    has the open questions to agents it asked itself, by theirs.
    """

    def __init__(self, changed: Callable[[], None], asked: asyncio.Event | None = None) -> None:
        self._changed = changed
        self._asked = asked
        self.id = secrets.token_hex(4)
        self.question = ""
        self.action = ""
        self.began = time.monotonic()
        self.waits: dict[str, OpenWait] = {}
        self.asking = 0
        self.thinking = 0
        self.answering = 0
        self._steps: dict[str, str] = {}

    @contextlib.contextmanager
    def doing(self, what: Waits) -> Iterator[None]:
        """Count one more question to an agent or a person, or model call, while the block runs."""
        setattr(self, what, getattr(self, what) + 1)
        self._changed()
        try:
            yield
        finally:
            setattr(self, what, getattr(self, what) - 1)
            self._changed()

    def answers(self, question: str) -> None:
        """It is the answer to a question asked under that id; empty: of nobody's of ours."""
        self.question = question[:64]

    @contextlib.contextmanager
    def waiting_for(self, target: Target, action: str | None) -> Iterator[str]:
        """Hold a question to a replica open while the block runs; gives the id to ask under."""
        question = secrets.token_hex(6)
        self.waits[question] = OpenWait(
            target.name, target.replica, action or "prompt", time.monotonic()
        )
        if self._asked is not None:
            self._asked.set()
        try:
            yield question
        finally:
            del self.waits[question]

    def begin(self, id: str, name: str) -> None:  # noqa: A002  the step's own
        """A step of the work has begun."""
        self._steps[id] = name

    def finish(self, id: str) -> None:  # noqa: A002
        """It has ended."""
        self._steps.pop(id, None)

    @property
    def steps(self) -> list[str]:
        """The steps that run now, in the order they began."""
        return list(self._steps.values())[:_MOST_STEPS]


class Activity:
    """All requests in hand, and the questions to people that ended requests wait for."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._requests: set[RequestActivity] = set()
        self._parked: set[str] = set()
        self.served = 0
        self.failed = 0
        self.tokens_in = 0
        self.tokens_out = 0
        #: Set while a question to another agent is open.
        self.asked = asyncio.Event()

    @property
    def inflight(self) -> int:
        """Requests in hand."""
        return len(self._requests)

    def requests(self) -> list[RequestActivity]:
        """What each request in hand does."""
        if not any(one.waits for one in self._requests):
            self.asked.clear()
        return list(self._requests)

    @contextlib.contextmanager
    def request(self) -> Iterator[RequestActivity]:
        """Count one more request while the block runs; what it gives counts what that one does."""
        one = RequestActivity(self._changed, self.asked)
        self._requests.add(one)
        self._changed()
        try:
            yield one
        finally:
            self._requests.discard(one)
            self._changed()

    def park(self, *questions: str) -> None:
        """Requests have ended and wait for answers to these."""
        self._parked.update(questions)
        self._changed()

    def unpark(self, question: str) -> None:
        """One of them is over."""
        self._parked.discard(question)
        self._changed()

    @property
    def state(self) -> AgentState:
        """The one state of all requests in hand.

        `thinking` while any of them has a model call open; else `running` while any works by
        itself; else `waiting-human` while any waits for a person, as do the requests that ended
        with a question; else, as each of them waits for another agent, `waiting-agent`.
        """
        if any(one.thinking for one in self._requests):
            return AgentState.THINKING
        if any(not (one.asking or one.answering) for one in self._requests):
            return AgentState.RUNNING
        if self._parked or any(one.answering for one in self._requests):
            return AgentState.WAITING_HUMAN
        return AgentState.WAITING_AGENT if self._requests else AgentState.IDLE
