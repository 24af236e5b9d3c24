"""Whatever is pressed, clicked and dragged while agents come and go, the control centre lives."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from tui_memory import ANA, fill, serving
from tui_mesh import GIB, Mesh, sample
from tui_monkey import Monkey, Monkeyed, live

from fakes.task_mesh import task_mesh
from sparkplug.client import tasks
from sparkplug.memory.writing import Write
from sparkplug.schema.memory_requests import MemoryAdd
from sparkplug.schema.task import NewTask
from sparkplug.tui.dialogs.decision import Decision
from sparkplug.tui.dialogs.spec_editor import SpecEditor
from sparkplug.tui.dialogs.text_editor import TextEditor

#: More for a longer look: MONKEY_EVENTS=200000 MONKEY_SEED=7.
EVENTS = int(os.environ.get("MONKEY_EVENTS", "20000"))
SEED = int(os.environ.get("MONKEY_SEED", "1"))
#: A frame that takes this long is a hang, on a busy host too; the benches measure them.
_HANG_S = 20.0
#: Whatever a face asks of the mesh is over sooner.
_OUT_S = 240.0


async def way_out(app: Monkeyed, pilot: Pilot[None]) -> None:
    """Escape until there is nothing to go out of, and nothing under way that would tell yet. What
    was written is left with a yes: escape alone goes between the text and the question for ever.
    """
    try:
        async with asyncio.timeout(_OUT_S):
            while len(app.screen_stack) > 1 or _under_way(app) or _queued(app):
                await pilot.press("y" if _asks_to_leave(app) else "escape")
    except TimeoutError:
        raise AssertionError(_what_keeps(app)) from None


def _asks_to_leave(app: Monkeyed) -> bool:
    *_, under, top = (None, *app.screen_stack)
    return isinstance(under, TextEditor) and isinstance(top, Decision)


def _under_way(app: Monkeyed) -> list[str]:
    """What was asked for and is not done. Panes and pages follow what they show while they are
    there, and three workers of the app run as long as it does.
    """
    going = [worker for worker in app.workers if worker.is_running and worker.node is app]
    return [worker.name for worker in going if worker.group not in ("store", "theme", "time")]


def _queued(app: Monkeyed) -> bool:
    """Whether keys and clicks may be on their way still: what they open is there a moment later."""
    pumps = [app, app.screen, *app.screen.walk_children()]
    return any(pump.message_queue_size or pump._next_callbacks for pump in pumps)


def _what_keeps(app: Monkeyed) -> str:
    """The screens that are open, what has the focus on the last, and what is under way where."""
    stacks = []
    for worker in app.workers:
        if worker._task is not None and worker.name in _under_way(app):
            frames: list[str] = []
            at: Any = worker._task.get_coro()
            while at is not None:
                frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None)
                if frame is not None:
                    frames.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
                at = getattr(at, "cr_await", None) or getattr(at, "gi_yieldfrom", None)
            stacks.append(f"{worker.name} ({worker.group}): {' > '.join(frames)}")
    return f"screens {app.screen_stack}, focus {app.screen.focused}, under way {stacks}"


async def test_a_text_that_was_changed_is_left_too(mesh: Mesh) -> None:
    app = Monkeyed()
    async with app.run_test(size=(120, 36)) as pilot:
        app.push_screen(SpecEditor("writer", "type: python\n"))
        await pilot.press("x", "escape")
        assert _asks_to_leave(app)
        await way_out(app, pilot)
        assert len(app.screen_stack) == 1


async def press(mesh: Mesh, app: Monkeyed, count: int) -> None:
    """So many events while the world lives; then the way out, and a pane to go to."""
    async with app.run_test(size=(120, 36)) as pilot:
        monkey = Monkey(app, SEED)
        world = asyncio.create_task(live(mesh, SEED))
        try:
            await monkey.play(count)
            await way_out(app, pilot)
            await pilot.resize_terminal(100, 30)
            await pilot.press("3")
        except BaseException as error:
            print(type(error).__name__, error, monkey.story())
            raise
        finally:
            world.cancel()
        await pilot.pause()
        assert len(app.screen_stack) == 1, monkey.story()
        assert app.pane is not None
        assert app.pane.id == "agents", monkey.story()
    print(f"longest frame {1000 * monkey.longest:.0f} ms, would have left {app.left} times")
    assert monkey.longest < _HANG_S, monkey.story()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_exception_and_no_hang(mesh: Mesh) -> None:
    mesh.samples += [sample("gpu-1", memory=sample("gpu-1").memory)]
    mesh.logs["agent-1"] = "".join(f"line {number} of {GIB}\n" for number in range(2000))
    await press(mesh, Monkeyed(), EVENTS)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_nor_with_tasks_and_memories_behind_it(mesh: Mesh, tmp_path: Path) -> None:
    known = [Write(ANA, MemoryAdd(text=f"number {n} of many"), "agent:ana") for n in range(300)]
    work = [NewTask(capability=f"ocr-{n % 5}", text=f"page {n}") for n in range(60)]
    async with serving(mesh, tmp_path) as memory, task_mesh(mesh.server) as queues:
        fill(memory, known)
        await queues.keep("gpu-1")
        await tasks.submit(queues.client, work)
        await press(mesh, Monkeyed(), EVENTS // 5)
