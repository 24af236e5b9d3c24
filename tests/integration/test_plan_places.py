"""Plans in plans that need the same places: lent to a part of what holds one, to one at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fakes.mesh import Asked, HostedAgents
from fakes.mesh_server import started
from fakes.planners import PlanMesh
from sparkplug.bus.cancellation import end
from sparkplug.plans.planner import Planner
from sparkplug.schema.run import RunState

pytestmark = pytest.mark.asyncio(loop_scope="module")

_now: dict[str, int] = {}
_most: dict[str, int] = {}


async def worker(asked: Asked) -> Any:
    """Notes how many are at once with it of a name, and is there for a moment."""
    name = str(asked.input["name"])
    _now[name] = _now.get(name, 0) + 1
    _most[name] = max(_most.get(name, 0), _now[name])
    await asyncio.sleep(0.1)
    _now[name] -= 1
    return asked.ids["step"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PlanMesh]:
    folder: Path = tmp_path_factory.mktemp("places")
    async with started(folder) as server:
        agents = HostedAgents(await server.connect("agents"))
        await agents.resolve()
        await agents.host("worker", worker)
        found = PlanMesh(server, await server.connect("face"), agents)
        yield found
        await found.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                await agents.close()


def work(name: str, **more: Any) -> dict[str, Any]:
    return {"id": "a", "agent": "worker", "action": "do", "input": {"name": name}, **more}


def inside(name: str, **more: Any) -> dict[str, Any]:
    """A plan of a step that works under a name."""
    return {"name": "inside", "steps": [work(name)], **more}


async def test_a_part_of_a_run_uses_the_place_of_the_run(mesh: PlanMesh) -> None:
    planner = await mesh.plan()
    key = {"key": "one", "limit": 1}
    deeper = {**inside("deep", concurrency=key), "name": "deeper"}
    middle = {
        "name": "inside",
        "concurrency": key,
        "steps": [{"id": "d", "plan": "deeper"}],
        "plans": {"deeper": deeper},
    }
    view = await mesh.done(
        {
            "name": "outer",
            "concurrency": key,
            "steps": [{"id": "m", "plan": "inside", "map": {"over": [1, 2, 3]}}],
            "plans": {"inside": middle, "deeper": deeper},
        }
    )
    assert view.state is RunState.DONE, view.error
    assert _most["deep"] == 1
    await end(planner)


async def test_a_part_of_a_step_uses_the_place_of_the_step(mesh: PlanMesh) -> None:
    planner = await mesh.plan()
    key = {"key": "step", "limit": 1}
    both = {
        "name": "inside",
        "steps": [
            work("steps", concurrency=key),
            {**work("steps", concurrency=key), "id": "b"},
        ],
    }
    told = {
        "name": "outer",
        "steps": [{"id": "s", "plan": "inside", "concurrency": key}],
        "plans": {"inside": both},
    }
    runs = [await mesh.submit(told) for _ in range(2)]
    views = [await mesh.ended(run) for run in runs]
    assert [view.state for view in views] == [RunState.DONE, RunState.DONE]
    assert _most["steps"] == 1
    await end(planner)


async def test_the_plan_that_stands_in_for_a_run_uses_its_place(mesh: PlanMesh) -> None:
    planner = await mesh.plan()
    key = {"key": "fallback-{{ inputs.n }}", "limit": 1}
    inputs = {"n": {"default": 7}}
    spare = {**inside("spare", concurrency=key, inputs=inputs), "name": "spare"}
    view = await mesh.done(
        {
            "name": "outer",
            "inputs": inputs,
            "concurrency": key,
            "steps": [{"id": "no", "value": "{{ inputs.n + 'x' }}"}],
            "fallback": {"plan": "spare"},
            "plans": {"spare": spare},
        }
    )
    assert (view.state, view.output) == (RunState.DONE, "a"), view.error
    await end(planner)


async def test_a_planner_that_is_full_still_works_on_the_parts_of_what_it_has(
    mesh: PlanMesh,
) -> None:
    bus = await mesh.server.connect("full")
    planner = asyncio.create_task(
        Planner(bus, "full", known_agents=mesh.agents.names, most=2).run()
    )
    told = {
        "name": "outer",
        "steps": [{"id": "s", "plan": "inside"}],
        "plans": {"inside": inside("full")},
    }
    runs = [await mesh.submit(told) for _ in range(3)]
    views = [await mesh.ended(run) for run in runs]
    assert {view.state for view in views} == {RunState.DONE}
    await end(planner)
    await bus.close()
