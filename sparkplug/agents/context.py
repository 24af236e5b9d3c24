"""`ctx`: what an agent's author can do beside computing an answer."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sparkplug.agents.activity import Activity as Activity
from sparkplug.agents.activity import RequestActivity as RequestActivity
from sparkplug.agents.handing_in import Tasks
from sparkplug.agents.memory import AgentMemory
from sparkplug.agents.parking import Parked
from sparkplug.agents.patterns import Patterns
from sparkplug.agents.routes import Routes
from sparkplug.agents.talking import QUESTION_FIELD, Talk
from sparkplug.bus import deciding, subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import call as call_service
from sparkplug.llm.chat import ChatModel
from sparkplug.llm.metering import Labels
from sparkplug.llm.prompts import Prompts
from sparkplug.schema.decision import DecisionView, Proposal, ProposeRequest, VoteRequest
from sparkplug.schema.errors import (
    CancelledRequestError,
    DeadlineError,
    InvalidError,
)
from sparkplug.schema.node import Nothing
from sparkplug.schema.node_services import (
    KernelLogReply,
    ProcessesReply,
    WindowReply,
    WindowRequest,
)
from sparkplug.schema.question import LONGEST_QUESTION, Answer, Draft, QuestionKind

if TYPE_CHECKING:
    from sparkplug.agents.asking import Asking
    from sparkplug.agents.conversation import Conversations, Turn

_current: ContextVar[Context] = ContextVar("sparkplug_context")


def current() -> Context:
    """The context of the request being served: for graph nodes and tools, which get no `ctx`.

    Raises LookupError outside a request.
    """
    return _current.get()


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: a plain prompt is the action `prompt` with its text."""

    text: str
    action: str = "prompt"
    input: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[tuple[str, bytes], ...] = ()
    structured: bool = False
    #: The conversation it belongs to, as its caller named it; empty: none.
    thread: str = ""


class Context(Patterns):
    """The context of one request.

    `run`, `step` and `attempt` name the run it belongs to (empty outside one), `key` is
    the step's idempotency key: the same for every attempt.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        agent: str,
        replica: str,
        host: str,
        activity: RequestActivity,
        routes: Routes,
        model: ChatModel,
        progress: Callable[[str], Awaitable[None]],
        ids: Mapping[str, Any],
        thread: str = "",
        request: str = "",
        answers: Mapping[str, Answer] | None = None,
        deadline: float | None = None,
        tokens: Callable[[int, int], None] = lambda *_: None,
        asking: Asking | None = None,
        conversations: Conversations | None = None,
        owner: str = "",
    ) -> None:
        self._bus = bus
        self._activity = activity
        self._progress = progress
        self._ids = dict(ids)
        activity.answers(str(self._ids.pop(QUESTION_FIELD, "")))
        self.thread = thread
        #: Names the request; the same when it is made again because a person has answered.
        self.request = request
        #: What people answered to the questions of this request so far, by slot.
        self.answers: Mapping[str, Answer] = answers or {}
        self._asked = 0
        self._interrupt: Callable[[Draft], Answer] | None = None
        self._ends = time.monotonic() + deadline if deadline is not None else None
        self._count_tokens = tokens
        self._asking = asking
        self._talk = Talk(
            bus, routes, activity, self._ids, lambda: self.deadline, self._have_answered
        )
        self._tasks = Tasks(bus, agent, replica, self._onward)
        self._conversations = conversations
        # Every call of it counts, however the agent's code gets at it.
        self._llm = model.bound(
            Labels(
                agent=agent,
                replica=replica,
                host=host,
                run=str(self._ids.get("run", "")),
                step=str(self._ids.get("step", "")),
                task=str(self._ids.get("task", "")),
                trace=str(self._ids.get("trace", "")),
            ),
            lambda: activity.doing("thinking"),
        )
        self.agent = agent
        self.replica = replica
        self.host = host
        #: What it knows and remembers: see `AgentMemory`.
        self.memory = AgentMemory(
            bus, agent, owner, replica, {"message": self._ids.get("key") or request, **self._ids}
        )
        self.log = logging.getLogger(f"agent.{agent}")

    def _onward(self) -> dict[str, Any]:
        """The ids that go with a task: two that say the same are no loop."""
        trail = self._talk.trail.onward("tasks", "submit", secrets.token_hex(4))
        return {name: value for name, value in self._ids.items() if name != "task"} | trail

    @property
    def run(self) -> str:
        """The run this request belongs to."""
        return str(self._ids.get("run", ""))

    @property
    def step(self) -> str:
        """The step of the run."""
        return str(self._ids.get("step", ""))

    @property
    def attempt(self) -> int:
        """Which attempt at the step this is, from 1; 0 outside a run."""
        return int(self._ids.get("attempt", 0))

    @property
    def task(self) -> str:
        """The task this is a try at; empty when it is none."""
        return str(self._ids.get("task", ""))

    @property
    def key(self) -> str:
        """The idempotency key: equal for every attempt at the same step, or the same task."""
        return str(self._ids.get("key", ""))

    @property
    def deadline(self) -> float | None:
        """Seconds until its caller no longer waits; None: nobody said."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    async def conversation(self) -> list[Turn]:
        """What was said on this thread before, the oldest first: `role` and `content` of each.

        Plain prompts and their answers, kept on the mesh; empty without a thread. LangGraph
        agents have it in their own state.
        """
        if self._conversations is None or not self.thread:
            return []
        return await self._conversations.read(self.thread)

    def count_tokens(self, input: int, output: int) -> None:  # noqa: A002
        """Count what a model call took that was not made through `ctx`."""
        self._count_tokens(input, output)

    async def human(
        self,
        text: str,
        *,
        options: Sequence[str] = (),
        approve: bool = False,
        data: Any = None,
        deadline: float | None = None,
        default: Any = None,
    ) -> Any:
        """Ask a person, and return the answer: text, one of `options`, or with `approve` a bool.

        The request ends here, and its caller is told by which question; it is made again once
        that is answered, on any host, and then this returns at once. So what the code did before
        it does again: what is to be done once belongs after the question.
        `data` is shown to who answers. With `deadline` (seconds) the answer is `default` once
        that is over, and without a default DeadlineError is raised. Raises InvalidError for a
        question that is none, CancelledRequestError when it was withdrawn.
        """
        slot, self._asked = str(self._asked), self._asked + 1
        kind = QuestionKind.APPROVE if approve else QuestionKind.TEXT
        try:
            draft = Draft(
                slot=slot,
                kind=QuestionKind.CHOICE if options else kind,
                text=text,
                options=list(options),
                data=data,
                deadline_seconds=deadline,
                default=default,
            )
        except ValidationError as error:
            raise InvalidError(
                f"a question to a person: {error.errors()[0]['msg']}", where="ctx.human"
            ) from error
        if self._interrupt is not None:
            return answered(self._interrupt(draft))
        given = self.answers.get(slot)
        if given is None:
            raise Parked([draft])
        return answered(given)

    async def open_questions(self, thread: str) -> list[str]:
        """The ids of the questions of this agent on a thread that nobody has answered yet."""
        return await self._asking.open(thread) if self._asking is not None else []

    def interrupting(self, interrupt: Callable[[Draft], Answer]) -> None:
        """Have `human` ask by a way of the runtime's own, which gives the answer or raises."""
        self._interrupt = interrupt

    async def _have_answered(self, question: str, agent: str) -> str:
        """A person's answer to what another agent asks back. Raises as `human` does."""
        if self._asking is None:
            raise InvalidError(f"{agent} asks back, and nobody can be asked: {question}")
        with self._activity.doing("answering"):
            draft = Draft(text=question[:LONGEST_QUESTION] or "?")
            return str(answered(await self._asking.hold(draft, agent)))

    async def vote(
        self,
        decision: str,
        option: str | None = None,
        *,
        delegate: str | None = None,
        round: int | None = None,  # noqa: A002  the field's own name for it
        why: str = "",
    ) -> DecisionView:
        """Vote on a decision: for an option, or as the voter `delegate` votes; neither: abstain.

        The vote is signed by this process's own user. Raises RefusedError for one that does not
        count (late, out of turn, a second one, no voter), NotFoundError, NoMeshError.
        """
        request = VoteRequest(
            decision=decision,
            option=option,
            delegate=delegate,
            round=round,
            vote=secrets.token_hex(8),
            why=why,
            actor=f"{self.agent}/{self.replica}",
        )
        return await deciding.vote(self._bus, request)

    async def propose(
        self, question: str, options: Sequence[str], *, wait: bool = True, **rule: Any
    ) -> DecisionView:
        """Have something decided, and return the decision once it has ended; without `wait` as
        soon as it is open.

        `rule` has the other fields of a proposal: voters, weights, quorum, seconds, … Raises
        InvalidError for one that does not hold, NoMeshError.
        """
        try:
            proposal = Proposal(
                question=question,
                options=list(options),
                actor=f"{self.agent}/{self.replica}",
                **rule,
            )
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join(str(part) for part in problem["loc"])
            raise InvalidError(f"{field or 'proposal'}: {problem['msg']}") from error
        request = ProposeRequest(proposal=proposal, id=secrets.token_hex(4))
        view = await deciding.propose(self._bus, request)
        if not wait:
            return view
        longest = proposal.seconds * proposal.rounds + proposal.arbiter_seconds
        with self._activity.doing("asking"):
            return await deciding.wait_decided(self._bus, view.id, longest)

    async def progress(self, text: str) -> None:
        """Tell the caller what is being done now; it comes as a status chunk."""
        await self._progress(text)

    @property
    def llm(self) -> ChatModel:
        """The model this agent was given, by `model:` of its file; see `sparkplug.llm.chat`."""
        return self._llm

    def prompt(self, name: str, version: int | None = None, **values: Any) -> str:
        """A prompt from `prompts/NAME.md` (or `NAME.v2.md`) beside the agent's file.

        Raises NotFoundError, InvalidError; see `sparkplug.llm.prompts`.
        """
        return Prompts(Path.cwd() / "prompts").render(name, version, **values).text

    async def host_window(self, host: str = "", seconds: float = 10.0) -> WindowReply:
        """The samples of a host over the last `seconds`, oldest first."""
        return await call_service(
            self._bus,
            subjects.node_service(host or self.host, "window"),
            WindowRequest(seconds=seconds),
            WindowReply,
            deadline=seconds + 10.0,
        )

    async def host_processes(self, host: str = "") -> ProcessesReply:
        """The process table of a host."""
        return await call_service(
            self._bus,
            subjects.node_service(host or self.host, "processes"),
            Nothing(),
            ProcessesReply,
        )

    async def host_kernel_log(self, host: str = "") -> KernelLogReply:
        """The kernel's OOM and Xid lines of a host, where they can be read."""
        return await call_service(
            self._bus,
            subjects.node_service(host or self.host, "kernel-log"),
            Nothing(),
            KernelLogReply,
        )

    @contextlib.contextmanager
    def bound(self) -> Iterator[None]:
        """Make this the `current()` context while the block runs."""
        token = _current.set(self)
        try:
            with self._llm.in_use():
                yield
        finally:
            _current.reset(token)


def answered(answer: Answer) -> Any:
    """What an answer says. Raises DeadlineError or CancelledRequestError when there is none."""
    if answer.how == "expired":
        raise DeadlineError("nobody answered the question in time")
    if answer.how == "withdrawn":
        raise CancelledRequestError(f"the question was withdrawn by {answer.by or 'somebody'}")
    return answer.value
