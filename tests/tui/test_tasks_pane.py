"""Tasks: queues by priority, what is in them, one task read whole, dead letters requeued."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tui_centre import centre
from tui_mesh import Mesh

from fakes.task_mesh import TaskMesh, task_mesh
from sparkplug.client import tasks
from sparkplug.schema.task import NewTask, Priority, TaskState
from sparkplug.schema.task_services import GivenTask
from sparkplug.tui.dialogs.task import TaskPage


@pytest.fixture
async def queues(mesh: Mesh) -> AsyncIterator[TaskMesh]:
    await mesh.agent("critic")
    async with task_mesh(mesh.server) as found:
        await found.keep("gpu-1")
        yield found


async def hand_in(queues: TaskMesh, *new: NewTask) -> list[str]:
    return [one.id for one in await tasks.submit(queues.client, new)]


async def broken(given: GivenTask) -> Any:
    if given.text != "good":
        raise ValueError("bad \x1b[31mtask")
    return {"answer": 42}


async def test_queues_and_their_tasks_are_seen(queues: TaskMesh) -> None:
    await hand_in(
        queues,
        *(NewTask(capability="ocr", priority=p, text="x") for p in Priority),
        NewTask(capability="ocr", priority=Priority.LOW, text="x"),
        NewTask(capability="nightly", text="x", delay=3600),
    )
    async with centre((160, 40), pane="tasks") as seen:
        await seen.shows("queues · 5 wait", "kept by gpu-1", "ocr", "nightly", "none", "throughput")
        await seen.press("shift+tab")
        await seen.shows("tasks of")
        await seen.until(lambda: "scheduled" in seen.screen or "urgent" in seen.screen)
        await seen.press("1")
        await seen.shows("queue 5 · running 0 · dead 0")


async def test_it_fits_on_a_small_screen(queues: TaskMesh) -> None:
    await hand_in(queues, NewTask(capability="ocr", text="x"))
    async with centre((80, 24), pane="tasks") as seen:
        await seen.shows("queues · 1 wait", "ocr", "tasks of ocr", "queued")
        assert "throughput" not in seen.screen


async def test_a_screen_that_shrinks_gives_the_rows_of_the_plot_to_the_tasks(
    queues: TaskMesh,
) -> None:
    await hand_in(queues, NewTask(capability="ocr", text="x"))
    async with centre((160, 40), pane="tasks") as seen:
        await seen.shows("queues · 1 wait", "throughput")
        area = seen.app.query_one("#tasks-area")
        assert area.size.height > 4
        await seen.pilot.resize_terminal(80, 24)
        await seen.until(lambda: area.size.height == 4)
        await seen.pilot.resize_terminal(160, 40)
        await seen.until(lambda: "throughput" in seen.screen and area.size.height > 4)


async def test_a_task_is_read_with_its_tries(queues: TaskMesh) -> None:
    await queues.worker(broken, "ocr")
    (task,) = await hand_in(queues, NewTask(capability="ocr", text="bad", tries=2, backoff=0.01))
    assert (await tasks.wait_ended(queues.client, task, 30)).state is TaskState.DEAD
    async with centre((120, 40), pane="tasks") as seen:
        await seen.shows("dead", task, "ValueError: bad task")
        await seen.press("d")
        await seen.until(lambda: isinstance(seen.app.screen, TaskPage))
        await seen.shows("try 1", "try 2", "failed", "w/0", "2 of 2 spent")
        await seen.press("escape")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)


async def test_dead_letters_are_requeued_and_dropped(queues: TaskMesh) -> None:
    await queues.worker(broken, "ocr")
    made = await hand_in(
        queues, *(NewTask(capability="ocr", text=f"{n}", tries=1) for n in range(3))
    )
    for task in made:
        await tasks.wait_ended(queues.client, task, 30)

    async def dead() -> int:
        listed = await tasks.list_tasks(queues.client, states=[TaskState.DEAD])
        return listed.total

    async with centre((120, 30), pane="tasks") as seen:
        await seen.shows("3 dead", *made)
        await seen.press("space", "space")
        await seen.press("X")
        await seen.shows("forget", "dead letter")
        await seen.press("y")
        await seen.becomes(lambda: _is(dead, 1))
        await seen.shows("1 dead")
        queues._workers["w"]._work = _good
        await seen.until(lambda: seen.app.pane.main.total == 1)
        await seen.press("g", "r")
        await seen.becomes(lambda: _is(dead, 0))
        await seen.shows("done", "0 dead")


async def _good(given: GivenTask) -> Any:
    return "good"


async def _is(count: Any, wanted: int) -> bool:
    return bool(await count() == wanted)
