"""The task service: a real server, its own workers, and everything that may go wrong."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from fakes.mesh_server import MeshServer
from fakes.node import eventually
from fakes.task_mesh import TaskMesh, task_mesh
from sparkplug.bus import subjects
from sparkplug.bus.streams import ensure_streams
from sparkplug.client import tasks
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import InvalidError, NotFoundError, RefusedError
from sparkplug.schema.event import Event
from sparkplug.schema.task import MAX_TASK_BYTES, NewTask, Outcome, Priority, Task, TaskState
from sparkplug.schema.task_services import GivenTask
from sparkplug.tasks.keeping import Limits

Until = Callable[..., Awaitable[None]]

_LONG_S = 90.0


@pytest.fixture
async def mesh(mesh_server: MeshServer) -> AsyncIterator[TaskMesh]:
    async with task_mesh(mesh_server) as found:
        await found.keep()
        yield found


def new(text: str = "", capability: str = "speech", **more: Any) -> NewTask:
    return NewTask(capability=capability, text=text, backoff=more.pop("backoff", 0.01), **more)


async def echo(given: GivenTask) -> Any:
    return f"echo {given.text}"


async def ended(mesh: TaskMesh, task: str) -> Task:
    return await tasks.wait_ended(mesh.client, task, _LONG_S)


async def submit(mesh: TaskMesh, task: NewTask) -> str:
    return (await tasks.submit_one(mesh.client, task)).id


async def waits_in(mesh: TaskMesh, task: str, state: TaskState) -> Task:
    async def there() -> Task | None:
        found = await tasks.describe(mesh.client, task)
        return found if found.state is state else None

    found: Task = await eventually(there, _LONG_S)
    return found


async def test_a_task_waits_until_somebody_can_do_it(mesh: TaskMesh) -> None:
    task = await submit(mesh, new("hello", action="say", input={"n": 1}))
    assert (await tasks.describe(mesh.client, task[:8])).state is TaskState.QUEUED
    given: list[GivenTask] = []

    async def keep(one: GivenTask) -> Any:
        given.append(one)
        return {"said": one.input["n"]}

    await mesh.worker(keep, "other", "speech")
    done = await ended(mesh, task)
    assert (done.state, done.result, done.by) == (TaskState.DONE, {"said": 1}, "tester")
    assert [(one.agent, one.outcome) for one in done.attempts] == [("w", Outcome.DONE)]
    assert (given[0].action, given[0].attempt, given[0].key) == ("say", 1, task)


async def test_events_tell_of_it(mesh: TaskMesh, until: Until) -> None:
    told: list[tuple[str, str]] = []

    async def hear(message: Any) -> None:
        event = Event.model_validate_json(message.data)
        told.append((event.name, event.subject))

    await mesh.bus.nc.subscribe(subjects.EVENTS, cb=hear)
    await mesh.bus.flush()

    async def broken(_: GivenTask) -> Any:
        raise RuntimeError("no")

    await mesh.worker(broken, "speech")
    task = await submit(mesh, new(tries=1))
    await ended(mesh, task)
    assert (await tasks.requeue(mesh.client, [task])).ids == [task]
    names = [f"task:{what}" for what in ("queued", "claimed", "failed", "dead", "requeued")]
    await until(lambda: {(name, task) for name in names} <= set(told), _LONG_S)


async def test_a_poison_task_is_a_dead_letter_and_the_queue_goes_on(mesh: TaskMesh) -> None:
    fixed = False

    async def picky(given: GivenTask) -> Any:
        if given.text == "poison" and not fixed:
            raise ValueError(f"cannot bear try {given.attempt}")
        return given.text

    await mesh.worker(picky, "speech", capacity=1)
    poison = await submit(mesh, new("poison", tries=3))
    good = [await submit(mesh, new(f"good {n}")) for n in range(5)]
    assert [(await ended(mesh, one)).state for one in good] == [TaskState.DONE] * 5
    dead = await ended(mesh, poison)
    assert dead.state is TaskState.DEAD
    assert [one.error for one in dead.attempts] == [
        f"ValueError: cannot bear try {n}" for n in (1, 2, 3)
    ]
    listed = await tasks.list_tasks(mesh.client, states=[TaskState.DEAD])
    assert [(row.id, row.attempts, row.error) for row in listed.tasks] == [
        (poison, 3, "ValueError: cannot bear try 3")
    ]
    assert (await tasks.read_figures(mesh.client)).dead == 1
    fixed = True
    assert (await tasks.requeue(mesh.client, [poison])).ids == [poison]
    again = await ended(mesh, poison)
    assert (again.state, again.result, again.requeued) == (TaskState.DONE, "poison", 1)
    assert [one.number for one in again.attempts] == [1, 2, 3, 4]
    assert not (await tasks.list_tasks(mesh.client, states=[TaskState.DEAD])).tasks


async def test_dead_letters_are_requeued_edited_or_all_and_dropped(mesh: TaskMesh) -> None:
    async def only_good(given: GivenTask) -> Any:
        if given.text != "good":
            raise ValueError(given.text)
        return given.input

    await mesh.worker(only_good, "speech", "song")
    bad = [await submit(mesh, new(f"bad {n}", tries=1)) for n in range(3)]
    other = await submit(mesh, new("bad", capability="song", tries=1))
    for one in (*bad, other):
        assert (await ended(mesh, one)).state is TaskState.DEAD
    edited = await tasks.requeue(mesh.client, bad[:1], text="good", input={"n": 7})
    assert edited.ids == bad[:1]
    assert (await ended(mesh, bad[0])).result == {"n": 7}
    twice = await tasks.requeue(mesh.client, [bad[0], "nobody"])
    assert twice.ids == []
    assert twice.not_changed == {
        bad[0]: "it is no dead letter, it is done",
        "nobody": "no task nobody",
    }
    every = await tasks.requeue(mesh.client, every=True, capability="speech")
    assert sorted(every.ids) == sorted(bad[1:])
    for one in bad[1:]:
        assert [a.number for a in (await ended(mesh, one)).attempts] == [1, 2]
    assert sorted((await tasks.drop(mesh.client, every=True)).ids) == sorted([*bad[1:], other])
    with pytest.raises(NotFoundError):
        await tasks.describe(mesh.client, other)
    assert (await mesh.bus.js.stream_info(subjects.STREAM_DEAD)).state.messages == 0


async def test_one_of_a_key_at_a_time(mesh: TaskMesh) -> None:
    gate = asyncio.Event()

    async def wait(_: GivenTask) -> Any:
        await gate.wait()

    first = await submit(mesh, new(key="nightly"))
    await mesh.worker(wait, "speech")
    await waits_in(mesh, first, TaskState.RUNNING)
    again = await tasks.submit_one(mesh.client, new("other", key="nightly"))
    assert (again.id, again.duplicate) == (first, True)
    gate.set()
    await ended(mesh, first)
    later = await tasks.submit_one(mesh.client, new(key="nightly"))
    assert (later.id != first, later.duplicate) == (True, False)


async def test_a_full_queue_refuses_and_says_so(mesh_server: MeshServer) -> None:
    async with task_mesh(mesh_server, Limits(queue=3)) as mesh:
        await mesh.keep()
        taken = await tasks.submit(mesh.client, [new(str(n)) for n in range(5)])
        assert [bool(one.refused) for one in taken] == [False] * 3 + [True] * 2
        with pytest.raises(RefusedError, match="the queue of speech is full: 3 tasks wait"):
            await submit(mesh, new())
        await submit(mesh, new(capability="other"))
        await mesh.worker(echo, "speech")
        await ended(mesh, taken[2].id)
        assert (await ended(mesh, await submit(mesh, new("room again")))).state is TaskState.DONE
        figures = {q.capability: q for q in (await tasks.read_figures(mesh.client)).queues}
        assert (figures["speech"].refused, figures["speech"].done) == (3, 4)


async def test_a_task_waits_for_its_time(mesh: TaskMesh) -> None:
    await mesh.worker(echo, "speech")
    far = await submit(mesh, new(delay=3600))
    at = utc_now() + timedelta(seconds=0.5)
    soon = await submit(mesh, new(at=at))
    assert (await tasks.describe(mesh.client, far)).state is TaskState.SCHEDULED
    done = await ended(mesh, soon)
    assert done.attempts[0].started >= at
    assert (await tasks.describe(mesh.client, far)).state is TaskState.SCHEDULED
    assert (await tasks.cancel(mesh.client, [far])).ids == [far]
    assert (await tasks.describe(mesh.client, far)).state is TaskState.CANCELLED
    with pytest.raises(RefusedError, match="goes without `delay`"):
        await submit(mesh, new(at=at, delay=1))


async def test_priorities_have_their_turns(mesh: TaskMesh) -> None:
    order: list[str] = []

    async def note(given: GivenTask) -> Any:
        order.append(given.priority)

    waiting = [new(priority=p) for p in reversed(Priority) for _ in range(20)]
    handed = await tasks.submit(mesh.client, waiting)
    await mesh.worker(note, "speech", capacity=1)
    for one in handed:
        await ended(mesh, one.id)
    assert order[0] == Priority.URGENT
    assert order[:15].count(Priority.URGENT) == 8
    assert order[:15].count(Priority.LOW) == 1


async def test_a_cancel_reaches_what_is_worked_on(mesh: TaskMesh) -> None:
    let_go = asyncio.Event()

    async def stuck(_: GivenTask) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            let_go.set()

    await mesh.worker(stuck, "speech")
    task = await submit(mesh, new())
    await waits_in(mesh, task, TaskState.RUNNING)
    assert (await tasks.cancel(mesh.client, [task])).ids == [task]
    assert let_go.is_set()
    found = await tasks.describe(mesh.client, task)
    assert (found.state, found.error) == (TaskState.CANCELLED, "cancelled by tester")
    assert (await tasks.cancel(mesh.client, [task])).not_changed == {
        task: "it is cancelled already"
    }


async def test_a_try_has_its_time(mesh: TaskMesh) -> None:
    async def slow(given: GivenTask) -> Any:
        if given.attempt == 1:
            await asyncio.Event().wait()
        return "second"

    await mesh.worker(slow, "speech")
    done = await ended(mesh, await submit(mesh, new(timeout=1.0)))
    assert done.result == "second"
    assert [one.outcome for one in done.attempts] == [Outcome.TIMEOUT, Outcome.DONE]


async def test_wrong_input_is_not_tried_again(mesh: TaskMesh) -> None:
    async def strict(_: GivenTask) -> Any:
        raise InvalidError("n: not a number")

    async def large(_: GivenTask) -> Any:
        return "x" * (MAX_TASK_BYTES + 1)

    await mesh.worker(strict, "speech")
    await mesh.worker(large, "novel", name="novelist")
    dead = await ended(mesh, await submit(mesh, new()))
    assert (dead.state, len(dead.attempts)) == (TaskState.DEAD, 1)
    dead = await ended(mesh, await submit(mesh, new(capability="novel")))
    assert "the answer is larger" in (dead.error or "")
    assert len(dead.attempts) == 1
    with pytest.raises(RefusedError, match="a task has at most"):
        await submit(mesh, new("x" * (MAX_TASK_BYTES + 1)))


async def test_a_killed_worker_is_followed_by_another_try(mesh: TaskMesh) -> None:
    async def wait(_: GivenTask) -> Any:
        await asyncio.Event().wait()

    await mesh.worker(wait, "speech", name="first")
    task = await submit(mesh, new("hi"))
    await waits_in(mesh, task, TaskState.RUNNING)
    await eventually(lambda: mesh.begins(task), _LONG_S)
    await mesh.worker(echo, "speech", name="second")
    mesh.kill("first")
    done = await ended(mesh, task)
    assert done.result == "echo hi"
    assert [one.outcome for one in done.attempts] == [Outcome.KILLED, Outcome.DONE]
    assert mesh.begins(task) == [(1, "first"), (2, "second")]


async def test_nothing_is_given_to_a_process_that_was_replaced(mesh: TaskMesh) -> None:
    async def wait(_: GivenTask) -> Any:
        await asyncio.Event().wait()

    await mesh.worker(wait, "speech")
    held = [await submit(mesh, new(str(n))) for n in range(4)]
    for task in held:
        await waits_in(mesh, task, TaskState.RUNNING)
    mesh.kill("w")
    # Its next process speaks before anybody has looked at the directory again.
    await mesh.worker(echo, "speech")
    for number, task in enumerate(held):
        assert (await ended(mesh, task)).result == f"echo {number}"


async def test_silence_alone_begins_no_second_try(mesh: TaskMesh) -> None:
    gate = asyncio.Event()

    async def wait(_: GivenTask) -> Any:
        await gate.wait()
        return "first"

    worker = await mesh.worker(wait, "speech", name="first")
    task = await submit(mesh, new())
    await eventually(lambda: mesh.begins(task), _LONG_S)
    assert worker._beats is not None
    worker._beats.cancel()  # it lives and says nothing
    await mesh.worker(echo, "speech", name="second")
    others = [await submit(mesh, new(str(n))) for n in range(20)]
    for one in others:
        assert {name for _, name in mesh.begins(one)} <= {"first", "second"}
    assert mesh.begins(task) == [(1, "first")]
    gate.set()
    worker._beats = asyncio.create_task(worker._beat())
    await worker.say_all()
    assert (await ended(mesh, task)).result == "first"
    assert mesh.begins(task) == [(1, "first")]


async def test_a_stopped_worker_gives_back_what_it_has(mesh: TaskMesh) -> None:
    async def wait(_: GivenTask) -> Any:
        await asyncio.Event().wait()

    first = await mesh.worker(wait, "speech", name="first")
    task = await submit(mesh, new("hi", tries=1))
    await eventually(lambda: mesh.begins(task), _LONG_S)
    mesh.observed["first", "0"].state = mesh.observed["first", "0"].state.STOPPING
    await mesh.worker(echo, "speech", name="second")
    await first.close()
    done = await ended(mesh, task)
    assert [one.outcome for one in done.attempts] == [Outcome.RELEASED, Outcome.DONE]


async def test_an_unwell_replica_gets_nothing(mesh: TaskMesh) -> None:
    await mesh.worker(echo, "speech")
    done = await ended(mesh, await submit(mesh, new()))
    assert done.state is TaskState.DONE
    mesh.observed["w", "0"].state = mesh.observed["w", "0"].state.DEGRADED

    async def nobody() -> bool:
        return not (await tasks.read_figures(mesh.client)).queues[0].workers

    await eventually(nobody, _LONG_S)
    task = await submit(mesh, new())
    assert (await tasks.describe(mesh.client, task)).state is TaskState.QUEUED
    mesh.observed["w", "0"].state = mesh.observed["w", "0"].state.IDLE
    assert (await ended(mesh, task)).state is TaskState.DONE


async def test_the_next_service_goes_on_where_the_last_was_killed(mesh: TaskMesh) -> None:
    gate = asyncio.Event()

    async def wait(given: GivenTask) -> Any:
        if given.text == "held":
            await gate.wait()
        if given.text == "bad":
            raise ValueError("bad")
        return given.text

    await mesh.worker(wait, "speech", name="first")
    held = await submit(mesh, new("held", key="k"))
    bad = await submit(mesh, new("bad", tries=1))
    await eventually(lambda: mesh.begins(held), _LONG_S)
    assert (await ended(mesh, bad)).state is TaskState.DEAD
    later = await submit(mesh, new("later", delay=3600))
    waiting = await submit(mesh, new("waiting", capability="nobody"))
    awaited = asyncio.create_task(ended(mesh, held))
    await tasks.describe(mesh.client, held)  # what waits for the end has been asked by now
    await mesh.kill_keepers()
    await mesh.keep("two")
    gate.set()
    assert (await awaited).result == "held", "nobody tells who waits that the first is gone"
    assert mesh.begins(held) == [(1, "first")]
    assert (await tasks.describe(mesh.client, later)).state is TaskState.SCHEDULED
    assert (await tasks.describe(mesh.client, waiting)).state is TaskState.QUEUED
    assert (await tasks.requeue(mesh.client, [bad], text="good")).ids == [bad]
    assert (await ended(mesh, bad)).result == "good"


async def test_an_earlier_keeper_is_shut_out(mesh: TaskMesh) -> None:
    await mesh.worker(echo, "speech")
    await submit(mesh, new())
    # Another takes over without asking: what the first still writes is refused by the server.
    await mesh.bus.js.publish(subjects.WORK_FENCE, b"")
    late = await submit(mesh, new("late"))
    assert (await ended(mesh, late)).state is TaskState.DONE
    assert [n for n, _ in mesh.begins(late)] == [1]
    # So are many in a batch.
    await mesh.bus.js.publish(subjects.WORK_FENCE, b"")
    many = await tasks.submit(mesh.client, [new(f"late {n}") for n in range(50)])
    for one in many:
        assert (await ended(mesh, one.id)).state is TaskState.DONE
        assert [n for n, _ in mesh.begins(one.id)] == [1]


@pytest.mark.slow
async def test_the_server_is_killed_and_every_task_is_done_once(mesh: TaskMesh) -> None:
    async def brief(given: GivenTask) -> Any:
        await asyncio.sleep(0.01)
        return given.text

    for number in range(3):
        await mesh.worker(brief, "speech", name=f"w{number}")
    handing = asyncio.create_task(tasks.submit(mesh.client, [new(str(n)) for n in range(300)]))
    handed = await handing
    for _ in range(2):
        process = mesh.server.server.process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await mesh.server.restart()
        await asyncio.sleep(0.3)
    for number, one in enumerate(handed):
        done = await ended(mesh, one.id)
        assert (done.state, done.result) == (TaskState.DONE, str(number))
        assert len(mesh.begins(one.id)) == 1, "no worker was killed: one try each"


async def test_streams_of_an_earlier_release_are_laid_out_anew(mesh_server: MeshServer) -> None:
    from nats.js.api import RetentionPolicy, StreamConfig

    bus = await mesh_server.connect()
    await bus.js.delete_stream(subjects.STREAM_WORK)
    await bus.js.add_stream(
        StreamConfig(
            name=subjects.STREAM_WORK,
            subjects=["sparkplug.work.>"],
            retention=RetentionPolicy.WORK_QUEUE,
        )
    )
    await ensure_streams(bus, max_store=4 << 30, events_max=1 << 20, events_keep=60.0)
    info = await bus.js.stream_info(subjects.STREAM_WORK)
    assert info.config.max_msgs_per_subject == 1
    assert info.config.retention == "limits"
