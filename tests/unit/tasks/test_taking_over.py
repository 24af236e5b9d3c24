"""Very many tasks are taken over without keeping others from their turn."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any, cast

from sparkplug.schema.base import utc_now
from sparkplug.schema.task import Priority, Task, TaskState
from sparkplug.tasks.collecting import none_meanwhile, set_aside
from sparkplug.tasks.dispatcher import Dispatcher
from sparkplug.tasks.keeping import Limits
from sparkplug.tasks.workers import Workers


class Kept:
    """A store that keeps nothing, and has room."""

    has_room = True

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None


def waiting(count: int) -> list[Task]:
    return [
        Task(
            id=f"{number:016x}",
            capability="count",
            priority=Priority.NORMAL,
            state=TaskState.QUEUED,
            text="how many",
            submitted=utc_now(),
            by="ana",
        )
        for number in range(count)
    ]


async def test_others_have_their_turn_while_tasks_are_taken_over() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    kept = cast("Any", Kept())
    dispatcher = Dispatcher(kept, Workers(lambda *_: None), kept, lambda *_: None, Limits())
    beside = asyncio.create_task(other())
    await dispatcher.load(waiting(3000), [])
    beside.cancel()
    assert turns >= 5
    (figures,) = dispatcher.figures().queues
    assert figures.queued[Priority.NORMAL] == 3000


def test_cycles_are_collected_again_afterwards() -> None:
    with set_aside():
        assert gc.get_freeze_count()
        with none_meanwhile():
            assert not gc.isenabled()
        assert gc.isenabled()
    assert not gc.get_freeze_count()
