"""Questions to people: who may ask and answer, deadlines, keepers that die, lines that are held."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import nats.errors
import pytest
from synadia_ai.agent_service import AgentService, PromptStream, RequestRejectedError
from synadia_ai.agents import Envelope

from fakes.mesh_server import MeshServer
from fakes.node import eventually
from sparkplug.agents.asking import Asking
from sparkplug.bus import questions as room
from sparkplug.bus import subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.events import EventLog
from sparkplug.bus.service import Services, call
from sparkplug.node.permissions import agent_permissions
from sparkplug.questions.board import Board
from sparkplug.questions.desk import Desk
from sparkplug.questions.keeper import Keeper
from sparkplug.schema.agent import ResolveReply, ResolveRequest, Target
from sparkplug.schema.errors import (
    CancelledRequestError,
    ConflictError,
    InvalidError,
    RefusedError,
    SparkplugError,
)
from sparkplug.schema.question import (
    Answer,
    AskReply,
    AskRequest,
    Draft,
    Question,
    QuestionKind,
    QuestionState,
    SavedRequest,
)

_DEADLINE_S = 60.0


class Questioner:
    """An agent on the bus that goes on as it is told to, and the nodes that keep its questions."""

    def __init__(self, mesh: MeshServer, bus: Bus) -> None:
        self.mesh = mesh
        self.bus = bus
        self.told: list[dict[str, Any]] = []
        self.takes: list[Any] = []
        self.answer: Callable[[Any], str] = lambda taken: json.dumps(
            {slot: one.value if one.how != "expired" else "expired" for slot, one in taken.items()}
        )
        self._nodes: dict[str, list[asyncio.Task[None]]] = {}

    async def as_agent(self, agent: str, replica: str = "0") -> Bus:
        """A connection with the user of an agent's process."""
        bus = await connect(
            self.mesh.url,
            name=f"agent {agent}/{replica}",
            inbox_prefix=subjects.inbox("agent", f"{agent}={replica}"),
            credentials=self.mesh.keys.user(
                f"agent {agent}", agent_permissions(agent, "tester", replica)
            ),
        )
        self.mesh.buses.append(bus)
        return bus

    async def node(self, name: str) -> None:
        """Keep questions, as a node does."""
        bus = await self.mesh.connect(name)
        events = EventLog(bus, name, name)
        board = Board(bus)
        await Desk(bus, board, events).serve(Services(bus))
        keeper = Keeper(bus, f"{name} holder", board, events)
        await bus.flush()
        self._nodes[name] = [
            asyncio.create_task(board.run()),
            asyncio.create_task(events.run()),
            asyncio.create_task(keeper.run()),
        ]

    async def kill(self, name: str) -> None:
        """The node is no more: it gives nothing back."""
        tasks = self._nodes.pop(name)
        bus = next(one for one in self.mesh.buses if one.name == name)
        await bus.nc.close()
        await end(*tasks)

    async def serve(self) -> None:
        """Go on with what is told, as an agent's process does."""
        bus = await self.as_agent("asker")
        asking = Asking(bus, "asker", "0")
        wire.use_inbox(bus.inbox_prefix)
        service = AgentService(agent="asker", owner="tester", session_name="0", nc=bus.nc)

        async def on_prompt(envelope: Envelope, stream: PromptStream) -> None:
            told = envelope.extras["sparkplug"]["resume"]
            self.told.append(told)
            try:
                taken = await asking.take(told["question"], told["token"])
            except SparkplugError as error:
                raise RequestRejectedError(403, error.message) from error
            self.takes.append(taken)
            await stream.send(self.answer(taken.answers))

        service.on_prompt(on_prompt)
        await service.start()
        resolver = Services(self.bus)

        async def resolve(request: ResolveRequest) -> ResolveReply:
            subject = subjects.prompt("asker", "tester", "0")
            target = Target(name="asker", replica="0", owner="tester", subject=subject)
            return ResolveReply(targets=[target] if request.name == "asker" else [])

        await resolver.serve(subjects.AGENTS_RESOLVE, ResolveRequest, resolve)
        await self.bus.flush()

    async def ask(self, *drafts: Draft, request: str = "aaaaaaaa") -> list[str]:
        """Have people asked, as the agent's process does."""
        bus = await self.as_agent("asker", "0")
        saved = SavedRequest(request=request, agent="asker", text="go")
        return await Asking(bus, "asker", "0").ask(saved, list(drafts))

    async def close(self) -> None:
        """End all."""
        for tasks in self._nodes.values():
            await end(*tasks)


@pytest.fixture
async def asker(mesh_server: MeshServer) -> AsyncIterator[Questioner]:
    made = Questioner(mesh_server, await mesh_server.connect("directory"))
    await made.node("one")
    await made.serve()
    yield made
    await made.close()


def by(value: Any) -> Answer:
    return Answer(value=value, by="ana")


async def found(bus: Bus, id_: str) -> Question:
    return (await room.read_question(bus, id_))[0]


async def test_of_two_answers_at_once_one_counts_and_it_is_gone_on_with_once(
    asker: Questioner,
) -> None:
    (id_,) = await asker.ask(Draft(text="Which?", kind=QuestionKind.CHOICE, options=["a", "b"]))
    answers = [room.answer_question(asker.bus, id_, by(value)) for value in ("a", "b")]
    results = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(one) for one in results].count(ConflictError) == 1
    async with asyncio.timeout(_DEADLINE_S):
        outcome = json.loads(await room.outcome(asker.bus, id_))
    winner = next(one for one in results if isinstance(one, Question))
    assert winner.answer is not None
    assert outcome == {"0": winner.answer.value}
    assert len(asker.takes) == 1
    question = await found(asker.bus, id_)
    assert (question.state, question.taken_by) == (QuestionState.DONE, "asker/0")


async def test_the_default_is_taken_at_the_deadline_and_without_one_it_expires(
    asker: Questioner,
) -> None:
    ids = await asker.ask(
        Draft(slot="0", text="Quick?", deadline_seconds=0.1, default="yes"),
        Draft(slot="1", text="Quicker?", deadline_seconds=0.1),
    )
    async with asyncio.timeout(_DEADLINE_S):
        outcomes = [json.loads(await room.outcome(asker.bus, id_)) for id_ in ids]
    assert outcomes[0]["0"] == "yes"
    assert outcomes[1]["1"] == "expired"
    hows = [(await found(asker.bus, id_)).answer for id_ in ids]
    assert [one.how for one in hows if one] == ["default", "expired"]


async def test_a_keeper_that_dies_is_followed_and_nothing_is_gone_on_with_twice(
    asker: Questioner,
) -> None:
    await asker.node("two")
    await asker.kill("one")
    ids = [(await asker.ask(Draft(text="?"), request=f"{n:08x}"))[0] for n in range(5)]
    for id_ in ids:
        await room.answer_question(asker.bus, id_, by("yes"))
    async with asyncio.timeout(_DEADLINE_S):
        for id_ in ids:
            assert json.loads(await room.outcome(asker.bus, id_)) == {"0": "yes"}
    assert sorted(one.saved.request for one in asker.takes) == [f"{n:08x}" for n in range(5)]


async def test_what_is_answered_while_no_node_is_there_waits_for_one(asker: Questioner) -> None:
    (id_,) = await asker.ask(Draft(text="?"))
    await asker.kill("one")
    await room.answer_question(asker.bus, id_, by("late"))
    await asker.node("two")
    async with asyncio.timeout(_DEADLINE_S):
        assert json.loads(await room.outcome(asker.bus, id_)) == {"0": "late"}


async def test_no_agent_answers_or_reads_or_takes_for_another(asker: Questioner) -> None:
    thief = await asker.as_agent("thief")
    (id_,) = await asker.ask(Draft(text="Delete all?", kind=QuestionKind.APPROVE))
    # The bucket, and the service under another's name, are out of its reach.
    key = room.question_key(id_)
    for where, body in (
        (f"$KV.{subjects.BUCKET_QUESTIONS}.{key}", b"{}"),
        (f"$JS.API.DIRECT.GET.KV_{subjects.BUCKET_QUESTIONS}.$KV.x.{key}", b""),
        (subjects.agent_service("asker", "0", "take"), b"{}"),
        (subjects.QUESTIONS_HOLD, b"{}"),
    ):
        with pytest.raises(nats.errors.Error):
            await thief.nc.request(where, body, timeout=0.3)
    # Under its own it is told of its own alone.
    theirs = Asking(thief, "thief", "0")
    with pytest.raises((RefusedError, ConflictError)):
        await theirs.take(id_, "")
    assert await theirs.mine() == []
    saved = SavedRequest(request="aaaaaaaa", agent="asker", text="not yours")
    request = AskRequest(saved=saved, drafts=[Draft(slot="9", text="mine?")])
    with pytest.raises(RefusedError, match="another agent's"):
        await call(thief, subjects.agent_service("thief", "0", "ask"), request, AskReply)
    # Nor does the asker itself go on before a person has answered, or with a token it made up.
    own = Asking(await asker.as_agent("asker"), "asker", "0")
    with pytest.raises(ConflictError, match="is open"):
        await own.take(id_, "made up")
    assert (await found(asker.bus, id_)).waits


async def test_a_question_held_on_the_line_is_answered_there_or_withdrawn(
    asker: Questioner,
) -> None:
    own = Asking(await asker.as_agent("asker"), "asker", "0")
    holding = asyncio.create_task(own.hold(Draft(text="Which branch?"), "codex"))

    async def asked() -> list[Question]:
        entries = await room.questions(asker.bus).read_all(Question, "q.>")
        return [one for one in entries.values() if one.waits]

    (question,) = await eventually(asked, _DEADLINE_S)
    assert (question.subject.kind, question.subject.agent) == ("query", "codex")
    await room.answer_question(asker.bus, question.id, by("main"))
    assert (await holding).value == "main"
    assert (await found(asker.bus, question.id)).state is QuestionState.DONE

    holding = asyncio.create_task(own.hold(Draft(text="And now?")))
    (question,) = await eventually(asked, _DEADLINE_S)
    await end(holding)

    async def withdrawn() -> bool:
        return (await found(asker.bus, question.id)).state is QuestionState.WITHDRAWN

    await eventually(withdrawn, _DEADLINE_S)
    with pytest.raises(CancelledRequestError):
        await room.outcome(asker.bus, question.id)


async def test_an_agent_that_fails_as_it_goes_on_fails_the_question_with_its_reason(
    asker: Questioner,
) -> None:
    def boom(_: Any) -> str:
        raise RequestRejectedError(500, "no such volume")

    asker.answer = boom
    (id_,) = await asker.ask(Draft(text="?"))
    await room.answer_question(asker.bus, id_, by("yes"))
    async with asyncio.timeout(_DEADLINE_S):
        with pytest.raises(SparkplugError, match="no such volume"):
            await room.outcome(asker.bus, id_)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"text": ""}, "at least 1 character"),
        ({"text": "?", "options": ["a"]}, "a choice has options"),
        ({"text": "?", "kind": "choice"}, "a choice has options"),
        ({"text": "?", "kind": "choice", "options": ["a", "a"]}, "once"),
        ({"text": "?", "default": "x"}, "deadline"),
        ({"text": "?", "kind": "approve", "default": "x", "deadline_seconds": 1}, "approve"),
        ({"text": "?", "slot": "a.b"}, "pattern"),
    ],
)
def test_what_is_no_question_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Draft.model_validate(fields)


async def test_rubbish_is_refused_and_breaks_nothing(asker: Questioner) -> None:
    bus = await asker.as_agent("asker")
    for verb in ("ask", "take", "mine", "open", "hold"):
        subject = subjects.agent_service("asker", "0", verb)
        for body in (b"", b"{", b"[]", b'{"saved": 7}', b"\xff" * 100):
            reply = await bus.nc.request(subject, body, timeout=10)
            assert reply.headers or verb in ("mine", "open"), (verb, body)
    await room.questions(asker.bus).put("q.rubbish.0", b"not a question")
    await room.questions(asker.bus).put("nonsense", b"\x00")
    for id_ in ("", "x", "a-b-c", "*->", "../..-0"):
        with pytest.raises((SparkplugError, InvalidError)):
            await room.read_question(asker.bus, id_)
    (id_,) = await asker.ask(Draft(text="still there?"))
    await room.answer_question(asker.bus, id_, by("yes"))
    async with asyncio.timeout(_DEADLINE_S):
        assert json.loads(await room.outcome(asker.bus, id_)) == {"0": "yes"}
    with contextlib.suppress(SparkplugError):
        await room.read_question(asker.bus, "rubbish-0")
