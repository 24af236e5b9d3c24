"""Whatever is pressed, clicked and dragged while agents come and go, the control centre lives."""

from __future__ import annotations

import asyncio
import os

import pytest
from textual.pilot import Pilot
from tui_mesh import GIB, Mesh, sample
from tui_monkey import Monkey, Monkeyed, live

#: More for a longer look: MONKEY_EVENTS=200000 MONKEY_SEED=7.
EVENTS = int(os.environ.get("MONKEY_EVENTS", "20000"))
SEED = int(os.environ.get("MONKEY_SEED", "1"))
#: A frame that takes this long is a hang, on a busy host too; the benches measure them.
_HANG_S = 20.0
#: Whatever a face asks of the mesh is over sooner.
_OUT_S = 240.0


async def way_out(app: Monkeyed, pilot: Pilot[None]) -> None:
    """Escape until there is nothing to go out of, and nothing under way that would tell yet."""
    async with asyncio.timeout(_OUT_S):
        while len(app.screen_stack) > 1 or _under_way(app):
            await pilot.press("escape")


def _under_way(app: Monkeyed) -> list[str]:
    """What was asked for and is not done. Panes and pages follow what they show while they are
    there, and three workers of the app run as long as it does.
    """
    going = [worker for worker in app.workers if worker.is_running and worker.node is app]
    return [worker.name for worker in going if worker.group not in ("store", "theme", "time")]


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_exception_and_no_hang(mesh: Mesh) -> None:
    mesh.samples += [sample("gpu-1", memory=sample("gpu-1").memory)]
    mesh.logs["agent-1"] = "".join(f"line {number} of {GIB}\n" for number in range(2000))
    app = Monkeyed()
    async with app.run_test(size=(120, 36)) as pilot:
        monkey = Monkey(app, SEED)
        world = asyncio.create_task(live(mesh, SEED))
        try:
            await monkey.play(EVENTS)
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
