"""Schedules, events and old runs: what planners do beside runs, on a real server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fakes.mesh import AgentFailureError, Asked, HostedAgents
from fakes.mesh_server import started
from fakes.planners import PlanMesh
from sparkplug.bus import questions as question_room
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.cancellation import end
from sparkplug.bus.journal import list_runs, read_journal
from sparkplug.bus.reading import Mark, follow
from sparkplug.bus.service import call
from sparkplug.bus.synadia import WAITING_CODE, waiting_words
from sparkplug.plans.keeping import Keeping
from sparkplug.plans.schedules import Schedules
from sparkplug.plans.teller import Teller
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError
from sparkplug.schema.event import Event
from sparkplug.schema.journal_fold import fold
from sparkplug.schema.node import Nothing
from sparkplug.schema.plan import Plan
from sparkplug.schema.question import (
    Answer,
    Question,
    QuestionKind,
    QuestionState,
    QuestionSubject,
)
from sparkplug.schema.run import RunState, StepState, SubmitReply
from sparkplug.schema.schedule import ChangeSchedule, Fired, RunSchedule, Schedule, SetSchedule

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def worker(asked: Asked) -> Any:
    return asked.input.get("give", "x" * int(asked.input.get("size", 1)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PlanMesh]:
    folder: Path = tmp_path_factory.mktemp("background")
    async with started(folder) as server:
        agents = HostedAgents(await server.connect("agents"))
        await agents.resolve()
        await agents.host("worker", worker)
        found = PlanMesh(server, await server.connect("face"), agents)
        await found.plan("n1")
        yield found
        await found.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                await agents.close()


def told(name: str = "p", **given: Any) -> dict[str, Any]:
    step = {"id": "a", "agent": "worker", "action": "do", "input": given}
    return {"name": name, "steps": [step]}


async def eventually(condition: Any) -> Any:
    async with asyncio.timeout(30):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
    return found


async def _events(mesh: PlanMesh, run: str) -> list[Event]:
    """The events of a run, in the order of their stream."""
    from nats.js.api import ConsumerConfig, DeliverPolicy

    found: list[Event] = []
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    reading = follow(mesh.bus, subjects.STREAM_EVENTS, lambda _: config)
    async with contextlib.aclosing(reading) as items:
        async for item in items:
            if item is Mark.READY:
                break
            if not isinstance(item, Mark):
                event = Event.model_validate_json(item.data)
                if event.subject.split("/")[0] == run:
                    found.append(event)
    return found


async def test_events_are_told_in_order_and_once_whoever_tells_them(mesh: PlanMesh) -> None:
    run = await mesh.submit(told())
    await mesh.ended(run)
    second = await mesh.plan("n2")

    async def whole() -> list[Event]:
        found = await _events(mesh, run)
        return found if found and found[-1].name == "plan:completed" else []

    names = [event.name for event in await eventually(whole)]
    assert names == [
        "plan:accepted",
        "plan:started",
        "step:started",
        "step:completed",
        "plan:completed",
    ]
    # The first teller goes, the second goes on after what was told, not before.
    first = mesh._planners[0][0]
    first.cancel()
    await asyncio.wait([first])
    run = await mesh.submit(told())
    await mesh.ended(run)
    events = await eventually(whole)
    assert [event.name for event in events] == names
    told_of = [event.data["journal"] for event in events]
    assert told_of == sorted(set(told_of))
    assert not second.done()


async def test_a_message_that_was_told_in_part_is_told_to_its_end(mesh: PlanMesh) -> None:
    second = {"id": "b", "agent": "worker", "action": "do", "depends_on": ["a"]}
    run = await mesh.submit({**told(), "steps": [*told()["steps"], second]})
    await mesh.ended(run)

    async def whole() -> list[Event]:
        found = await _events(mesh, run)
        return found if found and found[-1].name == "plan:completed" else []

    events = await eventually(whole)
    names = [event.name for event in events]
    assert names[3:5] == ["step:completed", "step:started"]
    assert events[3].data["journal"] == events[4].data["journal"]
    # Whoever told goes in the middle of that message: the next begins after what was told.
    teller = Teller(mesh.bus, "t")
    stored = await mesh.bus.js.get_last_msg(
        subjects.STREAM_EVENTS, subjects.event("plan:completed", run)
    )
    assert stored.seq is not None
    for sequence in (stored.seq, stored.seq - 1, stored.seq - 2):
        await mesh.bus.js.delete_msg(subjects.STREAM_EVENTS, sequence)
    sent: list[Event] = []

    async def publish(found: Sequence[Event]) -> None:
        sent.extend(found)

    teller._publish = publish  # type: ignore[method-assign]
    telling = asyncio.ensure_future(teller._tell())

    async def told_again() -> bool:
        return bool(sent) and sent[-1].name == "plan:completed"

    await eventually(told_again)
    await end(telling)
    assert [event.id for event in sent] == [event.id for event in events[4:]]


async def test_a_steps_question_is_among_all_questions_and_answered_there(mesh: PlanMesh) -> None:
    plan = {"name": "p", "steps": [{"id": "h", "human": {"ask": "go?", "options": ["y", "n"]}}]}
    run = await mesh.submit(plan)

    async def shown() -> Question | None:
        found = await question_room.questions(mesh.bus).read_all(Question, "q.>")
        return next((q for q in found.values() if q.subject.run == run), None)

    question = await eventually(shown)
    assert (question.kind, question.text, question.subject.step) == (
        QuestionKind.CHOICE,
        "go?",
        "h",
    )
    await question_room.answer_question(mesh.bus, question.id, Answer(value="y", by="ann"))
    view = await mesh.ended(run)
    assert view.output == "y"
    assert view.steps[0].answer is not None
    assert view.steps[0].answer.by == "ann"
    run = await mesh.submit(plan)
    question = await eventually(shown)
    await mesh.cancel(run)
    await mesh.ended(run)

    async def withdrawn() -> bool:
        found = await shown()
        return found is not None and not found.waits

    await eventually(withdrawn)


async def test_what_an_agent_asks_a_person_is_waited_for_and_not_asked_again(
    mesh: PlanMesh,
) -> None:
    """As an agent's `ctx.human` or LangGraph's `interrupt()` end their request."""
    asked = 0

    async def asks(request: Asked) -> Any:
        nonlocal asked
        asked += 1
        raise AgentFailureError(WAITING_CODE, waiting_words(["abc-0"], "may I?"))

    await mesh.agents.host("asker", asks)
    question = Question(
        id="abc-0",
        kind=QuestionKind.TEXT,
        text="may I?",
        subject=QuestionSubject(kind="request", agent="asker", request="abc"),
    )
    bucket = question_room.questions(mesh.bus)
    await bucket.put(question_room.question_key("abc-0"), question)
    step = {"id": "a", "agent": "asker", "action": "do", "timeout": 1}
    run = await mesh.submit({"name": "p", "timeout": 2, "steps": [step]})
    await mesh.reached(run, "step-waiting")
    view = await mesh.view(run)
    assert (view.state, view.steps[0].state) == (RunState.WAITING, StepState.WAITING)
    assert [one.text for _, one in view.questions] == ["question abc-0: may I?"]
    with pytest.raises(ConflictError, match="its agent asks"):
        await mesh.answer(run, "answer", value="x")
    # Another planner goes on waiting.
    for task, _ in list(mesh._planners):
        task.cancel()
        await asyncio.wait([task])
    await mesh.plan("n3")
    await mesh.reached(run, "resumed")
    done = {"state": QuestionState.DONE, "outcome": '{"may": true}'}
    await bucket.put(question_room.question_key("abc-0"), question.model_copy(update=done))
    view = await mesh.ended(run)
    assert view.output == {"may": True}
    assert asked == 1


def schedule(name: str, **more: Any) -> Schedule:
    plan = Plan.model_validate(told(f"by-{name}", give=name))
    return Schedule(name=name, plan=plan, **more)


async def _runs(mesh: PlanMesh, plan: str) -> list[Any]:
    return [view for view in await list_runs(mesh.bus) if view.plan == plan]


async def test_a_schedule_begins_runs_until_it_is_paused_or_removed(mesh: PlanMesh) -> None:
    async def ask(request: Any, subject: str) -> None:
        await call(mesh.bus, subject, request, Nothing)

    every = schedule("tick", every=1.0)
    await ask(SetSchedule(schedule=every, actor="ann"), subjects.SCHEDULES_SET)
    with pytest.raises(ConflictError, match="a schedule tick already"):
        await ask(SetSchedule(schedule=every), subjects.SCHEDULES_SET)

    async def two() -> bool:
        return len(await _runs(mesh, "by-tick")) >= 2

    await eventually(two)
    await ask(ChangeSchedule(name="tick", change="pause"), subjects.SCHEDULES_CHANGE)
    runs = await _runs(mesh, "by-tick")
    assert runs[0].parent.schedule == "tick"
    assert runs[0].actor == "ann"
    with pytest.raises(ConflictError, match="paused already"):
        await ask(ChangeSchedule(name="tick", change="pause"), subjects.SCHEDULES_CHANGE)
    with pytest.raises(NotFoundError, match="did you mean tick"):
        await ask(ChangeSchedule(name="tikc", change="remove"), subjects.SCHEDULES_CHANGE)
    # By hand it is run also while it is paused, for whoever says so.
    by_hand = RunSchedule(name="tick", actor="ben")
    reply = await call(mesh.bus, subjects.SCHEDULES_RUN, by_hand, SubmitReply)
    view = await mesh.ended(reply.run)
    assert view.parent is not None
    assert (view.parent.schedule, view.actor) == ("tick", "ben")
    with pytest.raises(NotFoundError, match="no schedule a b"):
        await call(mesh.bus, subjects.SCHEDULES_RUN, RunSchedule(name="a b"), SubmitReply)
    await ask(ChangeSchedule(name="tick", change="remove"), subjects.SCHEDULES_CHANGE)
    bad = schedule("bad", every=9).model_copy(
        update={
            "plan": Plan.model_validate(
                {**told(), "steps": [{"id": "a", "agent": "no", "prompt": "x"}]}
            )
        }
    )
    with pytest.raises(InvalidError, match="no agent no"):
        await ask(SetSchedule(schedule=bad), subjects.SCHEDULES_SET)


@pytest.mark.parametrize(("missed", "count"), [("skip", 0), ("once", 1), ("all", 3)])
async def test_times_that_passed_while_nobody_was_there(
    mesh: PlanMesh, missed: str, count: int
) -> None:
    """Seen to by one that does not run: what it would begin is accepted all the same."""
    bucket = Bucket(mesh.bus, subjects.BUCKET_SCHEDULES)
    now = utc_now()
    name = f"late-{missed}"
    since = now - timedelta(hours=3, minutes=30)
    one = schedule(name, every=3600.0, missed=missed, since=since, paused=True)
    await bucket.put(f"t.{name}", Fired(until=since))
    seeing = Schedules(mesh.bus, "n9", "n9", mesh.agents.names)
    due = one.due(since, now)
    last = ""
    for time in due:
        last = await seeing._fire(one, time, last)
    for time in due:  # by another, who saw the same
        await seeing._fire(one, time, last)
    assert len(await _runs(mesh, f"by-{name}")) == count


async def test_old_runs_are_made_small_and_then_forgotten(mesh: PlanMesh) -> None:
    run = await mesh.submit(told("old", size=400_000))
    view = await mesh.ended(run)
    stored = view.steps[0].stored
    assert stored is not None
    going = await mesh.submit({"name": "old", "steps": [{"id": "h", "human": {"ask": "?"}}]})
    await mesh.reached(going, "step-waiting")
    before = len(await read_journal(mesh.bus, run))
    compacted, forgotten = await Keeping(mesh.bus, "t", compact=0, keep=9e6).look()
    assert compacted >= 1
    assert forgotten == 0
    entries = await read_journal(mesh.bus, run)
    assert (before, len(entries)) == (5, 1)
    small = fold(entries)
    assert (small.state, small.steps[0].state) == (RunState.DONE, StepState.DONE)
    assert small.steps[0].attempts == 1
    with pytest.raises(ConflictError, match="was compacted"):
        await mesh.replay(run, "a")
    assert len(await mesh.result(stored)) == 400_000
    _, forgotten = await Keeping(mesh.bus, "t", compact=0, keep=0).look()
    assert forgotten >= 1
    assert await read_journal(mesh.bus, run) == []
    with pytest.raises(NotFoundError):
        await mesh.result(stored)
    assert (await mesh.view(going)).state is RunState.WAITING
    await mesh.cancel(going)


async def test_due_times() -> None:
    cron = schedule("c", cron="30 2 * * *", timezone="Europe/Berlin")
    # The clocks go back on 2026-10-25: 02:30 is told once.
    start = datetime(2026, 10, 24, 12, tzinfo=UTC)
    times = cron.times(start)
    assert [next(times) for _ in range(2)] == [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 26, 1, 30, tzinfo=UTC),
    ]
    for wrong, why in (
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "* * * * *", "every": 5}, "only one"),
        ({}, "only one"),
        ({"every": 5, "timezone": "Mars/Base"}, "no time zone"),
    ):
        with pytest.raises(ValueError, match=why):
            schedule("w", **wrong)
