"""The planner on a real server, with agents of the stock SDK."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from fakes.mesh import AgentFailureError, Asked, HostedAgents
from fakes.mesh_server import MeshServer
from fakes.planners import PlanMesh
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.plans.unit import FREE_INTERRUPTIONS
from sparkplug.schema.agent import AgentState, ObservedAgent
from sparkplug.schema.agent_control import Withdrawal
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError
from sparkplug.schema.event import Event
from sparkplug.schema.run import (
    RunState,
    StepState,
)

Until = Callable[..., Awaitable[None]]


@pytest.fixture
async def mesh(mesh_server: MeshServer) -> AsyncIterator[PlanMesh]:
    agents = HostedAgents(await mesh_server.connect("agents"))
    await agents.resolve()
    found = PlanMesh(mesh_server, await mesh_server.connect("face"), agents)
    yield found
    await found.stop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60):
            await agents.close()


async def echo(asked: Asked) -> Any:
    return {"got": dict(asked.input), "action": asked.action} if asked.action else asked.text


def step(name: str, *, after: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"id": name, "agent": "echo", "action": "say"}
    return {**base, "depends_on": list(after), **more}


async def test_a_plan_runs_its_graph_and_gives_its_output(mesh: PlanMesh) -> None:
    await mesh.agents.host("echo", echo, capability="speech")
    await mesh.plan()
    run = await mesh.submit(
        {
            "name": "whole",
            "inputs": {"n": {"default": 3}, "who": {"required": True}},
            "steps": [
                step("a", input={"n": "{{ inputs.n }}", "who": "{{ inputs.who }}"}),
                {"id": "b", "capability": "speech", "prompt": "hello {{ inputs.who }}"},
                step("c", after=("a", "b"), input={"a": "{{ steps.a.output.got.n }}"}),
                step("d", after=("c",), when="{{ steps.c.output.got.a > 3 }}"),
            ],
            "output": "{{ steps.b.output }} {{ steps.c.output.got.a + 1 }} {{ steps.d.output }}.",
        },
        who="you",
    )
    view = await mesh.ended(run)
    assert view.error is None
    assert view.state is RunState.DONE
    assert view.output == "hello you 4 ."
    assert [one.state for one in view.steps] == [StepState.DONE] * 3 + [StepState.SKIPPED]
    assert view.steps[0].output == {"got": {"n": 3, "who": "you"}, "action": "say"}
    assert view.steps[1].agent == "echo"
    ids = {asked.ids["step"]: asked.ids for _, asked in mesh.agents.asked}
    assert ids["a"]["run"] == run
    assert ids["a"]["key"] == f"{run}/a"
    assert ids["a"]["attempt"] == 1
    assert set(ids) == {"a", "b", "c"}


async def test_events_tell_of_a_run(mesh: PlanMesh, until: Until) -> None:
    names: list[tuple[str, str]] = []

    async def hear(message: Any) -> None:
        event = Event.model_validate_json(message.data)
        names.append((event.name, event.subject))

    await mesh.bus.nc.subscribe(subjects.EVENTS, cb=hear)
    await mesh.bus.flush()
    await mesh.agents.host("echo", echo)
    await mesh.plan()
    run = await mesh.submit({"name": "told", "steps": [step("a")]})
    await until(lambda: ("plan:completed", run) in names)
    assert sorted(names) == sorted(
        [
            ("plan:accepted", run),
            ("plan:started", run),
            ("step:started", f"{run}/a"),
            ("step:completed", f"{run}/a"),
            ("plan:completed", run),
        ]
    )


async def test_what_does_not_hold_is_refused_and_leaves_no_trace(mesh: PlanMesh) -> None:
    await mesh.agents.host("echo", echo)
    await mesh.plan()
    with pytest.raises(InvalidError, match="no agent nobody"):
        await mesh.submit({"name": "p", "steps": [step("a", agent="nobody")]})
    with pytest.raises(InvalidError, match="wants the input must"):
        await mesh.submit(
            {"name": "p", "inputs": {"must": {"required": True}}, "steps": [step("a")]}
        )
    with pytest.raises(InvalidError, match="did you mean must"):
        await mesh.submit({"name": "p", "inputs": {"must": {}}, "steps": [step("a")]}, musk=1)
    with pytest.raises(NotFoundError):
        await mesh.cancel("never-was")
    info = await mesh.bus.js.stream_info(subjects.STREAM_JOURNAL)
    assert info.state.messages == 0


async def test_a_failed_attempt_is_retried_and_the_failure_that_stays_fails_the_run(
    mesh: PlanMesh,
) -> None:
    tries = 0

    async def shaky(asked: Asked) -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise AgentFailureError(500, f"no luck {tries}")
        return "ok"

    async def broken(asked: Asked) -> Any:
        raise AgentFailureError(500, "never works")

    await mesh.agents.host("echo", shaky)
    await mesh.agents.host("broken", broken)
    await mesh.plan()
    retry = {"max": 3, "backoff": "10ms"}
    run = await mesh.submit({"name": "luck", "steps": [step("a", retry=retry)]})
    view = await mesh.ended(run)
    assert view.state is RunState.DONE
    assert view.steps[0].attempts == 3
    run = await mesh.submit(
        {
            "name": "sad",
            "steps": [
                step("a", agent="broken", retry={"max": 1, "backoff": 0}),
                step("b", after=("a",)),
            ],
        }
    )
    view = await mesh.ended(run)
    assert view.state is RunState.FAILED
    assert "never works" in (view.error or "")
    assert view.steps[0].attempts == 2
    assert view.steps[0].state is StepState.FAILED
    assert view.steps[1].state is StepState.CANCELLED


async def test_wrong_input_is_not_tried_again(mesh: PlanMesh) -> None:
    async def strict(asked: Asked) -> Any:
        raise AgentFailureError(400, "n: not a number")

    await mesh.agents.host("echo", strict)
    await mesh.plan()
    run = await mesh.submit({"name": "p", "steps": [step("a", retry={"max": 5, "backoff": 0})]})
    view = await mesh.ended(run)
    assert view.state is RunState.FAILED
    assert view.steps[0].attempts == 1


async def test_an_attempt_has_its_time_and_the_plan_has_its_own(mesh: PlanMesh) -> None:
    async def silent(asked: Asked) -> Any:
        await asyncio.Event().wait()

    await mesh.agents.host("echo", silent)
    await mesh.plan()
    run = await mesh.submit({"name": "slow", "steps": [step("a", timeout="1s")]})
    view = await mesh.ended(run)
    assert view.state is RunState.FAILED
    assert "echo/0 gave no complete answer" in (view.error or "")
    run = await mesh.submit({"name": "slow", "timeout": "1s", "steps": [step("a")]})
    view = await mesh.ended(run)
    assert view.state is RunState.FAILED
    assert view.error == "the plan took longer than 1 s"
    assert view.steps[0].state is StepState.CANCELLED


async def test_an_agent_that_is_not_ready_yet_is_waited_for(mesh: PlanMesh) -> None:
    await mesh.agents.host("echo", echo)
    await mesh.plan()
    run = await mesh.submit({"name": "p", "steps": [step("a", agent=None, capability="late")]})
    await mesh.reached(run, "step-started")
    await mesh.agents.host("late", echo, capability="late")
    view = await mesh.ended(run)
    assert view.state is RunState.DONE
    assert view.steps[0].attempts == 1
    assert view.steps[0].agent == "late"


async def test_an_output_larger_than_a_message_goes_to_the_object_store(mesh: PlanMesh) -> None:
    async def large(asked: Asked) -> Any:
        return "x" * (3 << 20) if asked.ids["step"] == "a" else len(asked.input["text"])

    await mesh.agents.host("echo", large)
    await mesh.plan()
    view = await mesh.done(
        {
            "name": "p",
            "steps": [
                step("a"),
                step("b", after=("a",), input={"text": "{{ steps.a.output[:9] }}"}),
            ],
            "output": "{{ steps.a.output }}",
        }
    )
    assert view.state is RunState.FAILED
    assert "gives more than" in (view.error or "")
    first, second = view.steps
    assert (first.output, second.output) == (None, 9)
    assert first.stored is not None
    assert await mesh.result(first.stored) == "x" * (3 << 20)


async def test_a_cancel_reaches_the_waiting_prompt(mesh: PlanMesh) -> None:
    calls: list[str] = []

    async def silent(asked: Asked) -> Any:
        calls.append(asked.ids["call"])
        await asyncio.Event().wait()

    await mesh.agents.host("echo", silent)
    withdrawn = await mesh.bus.nc.subscribe(subjects.withdraw("echo", "*"))
    await mesh.plan("n1")
    await mesh.plan("n2")
    run = await mesh.submit({"name": "p", "steps": [step("a"), step("b", after=("a",))]})
    await mesh.reached(run, "step-started")
    await mesh.cancel(run)
    view = await mesh.ended(run)
    assert view.state is RunState.CANCELLED
    assert view.error == "cancelled by tester"
    assert [one.state for one in view.steps] == [StepState.CANCELLED] * 2
    # The agent is told that nobody waits for its answer, by the id it was asked under.
    told = Withdrawal.model_validate_json((await withdrawn.next_msg(30)).data)
    assert [told.call] == calls
    with pytest.raises(ConflictError, match="already ended"):
        await mesh.cancel(run)


async def test_another_planner_goes_on_and_what_is_done_is_not_done_again(
    mesh: PlanMesh, until: Until
) -> None:
    gate = asyncio.Event()

    async def gated(asked: Asked) -> Any:
        if asked.ids["step"] == "b":
            await gate.wait()
        return asked.ids["step"]

    await mesh.agents.host("echo", gated)
    first = await mesh.plan("n1")
    run = await mesh.submit(
        {
            "name": "long",
            "steps": [step("a"), step("b", after=("a",)), step("c", after=("b",))],
            "output": "{{ steps.a.output }}{{ steps.b.output }}{{ steps.c.output }}",
        }
    )
    await until(lambda: len(mesh.agents.asked) == 2)
    first.cancel()
    await asyncio.wait([first])
    await mesh.plan("n2")
    await mesh.reached(run, "step-started", 3)
    gate.set()
    view = await mesh.ended(run)
    assert view.state is RunState.DONE
    assert view.output == "abc"
    assert view.node == "n2"
    entries = await mesh.entries(run)
    assert [(entry.kind, entry.step) for entry in entries if entry.kind != "step-completed"] == [
        ("accepted", None),
        ("started", None),
        ("step-started", "a"),
        ("step-started", "b"),
        ("resumed", None),
        ("step-retried", "b"),
        ("step-started", "b"),
        ("step-started", "c"),
        ("completed", None),
    ]
    keys = [asked.ids["key"] for _, asked in mesh.agents.asked]
    assert keys == [f"{run}/a", f"{run}/b", f"{run}/b", f"{run}/c"]
    assert view.steps[1].interruptions == 1
    # A step and what begins with its end are one message, with one sync.
    parts = [(e.kind, e.step) for e in entries if e.part]
    assert parts == [("step-started", "b"), ("step-started", "c")]


async def test_a_planner_that_vanished_is_replaced_when_its_lease_lapses(mesh: PlanMesh) -> None:
    gate = asyncio.Event()

    async def gated(asked: Asked) -> Any:
        await gate.wait()
        return "ok"

    await mesh.agents.host("echo", gated)
    await mesh.plan("n1")
    await mesh.plan("n2")
    run = await mesh.submit({"name": "p", "steps": [step("a")]})
    await mesh.reached(run, "step-started")
    owner = (await mesh.entries(run))[1].node
    # Its connection is gone without a word, as after a kill: the lease has to lapse.
    lost = next(bus for _, bus in mesh._planners if bus.inbox_prefix.endswith(f".{owner}"))
    await lost.nc.close()
    gate.set()
    view = await mesh.ended(run)
    assert view.state is RunState.DONE
    assert view.node != owner


async def test_a_restarted_agent_interrupts_the_attempt_which_is_no_failure(
    mesh: PlanMesh, until: Until
) -> None:
    tries = 0

    async def first_hangs(asked: Asked) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            await asyncio.Event().wait()
        return "ok"

    observed = Bucket(mesh.bus, subjects.BUCKET_OBSERVED)
    seen = ObservedAgent(
        name="echo", replica="0", runtime="python", owner="tester", state=AgentState.IDLE, pid=1
    )
    await observed.put("agents.echo.0", seen)
    await mesh.agents.host("echo", first_hangs)
    await mesh.plan()
    run = await mesh.submit({"name": "p", "steps": [step("a")]})
    await until(lambda: mesh.agents.asked)
    await observed.put("agents.echo.0", seen.model_copy(update={"state": AgentState.RUNNING}))
    await observed.put("agents.echo.0", seen.model_copy(update={"pid": 2}))
    view = await mesh.ended(run)
    assert view.state is RunState.DONE
    assert view.steps[0].attempts == 2
    retried = [entry for entry in await mesh.entries(run) if entry.kind == "step-retried"]
    assert [(one.error, one.interrupted) for one in retried] == [
        ("agent echo/0 was restarted while working", True)
    ]


async def test_an_agent_that_is_lost_again_and_again_is_a_failure_in_the_end(
    mesh: PlanMesh, until: Until
) -> None:
    async def hangs(_: Asked) -> Any:
        await asyncio.Event().wait()

    observed = Bucket(mesh.bus, subjects.BUCKET_OBSERVED)
    seen = ObservedAgent(
        name="echo", replica="0", runtime="python", owner="tester", state=AgentState.IDLE, pid=1
    )
    await observed.put("agents.echo.0", seen)
    await mesh.agents.host("echo", hangs)
    await mesh.plan()
    run = await mesh.submit({"name": "p", "steps": [step("a")]})
    for attempt in range(1, FREE_INTERRUPTIONS + 2):
        await until(lambda attempt=attempt: len(mesh.agents.asked) == attempt)
        await observed.put("agents.echo.0", seen.model_copy(update={"pid": attempt + 1}))
    view = await mesh.ended(run)
    assert view.state is RunState.FAILED
    assert (view.steps[0].attempts, view.steps[0].interruptions) == (
        FREE_INTERRUPTIONS + 1,
        FREE_INTERRUPTIONS,
    )
    assert "agent echo/0 was restarted while working" in (view.error or "")


async def test_a_killed_server_ends_no_run(mesh: PlanMesh, until: Until) -> None:
    gate = asyncio.Event()

    async def gated(asked: Asked) -> Any:
        await gate.wait()
        return "ok"

    await mesh.agents.host("echo", gated)
    await mesh.plan()
    run = await mesh.submit({"name": "p", "steps": [step("a"), step("b", after=("a",))]})
    await mesh.reached(run, "step-started")
    process = mesh.server.server.process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await until(lambda: not mesh.bus.connected)
    await mesh.server.restart()
    await until(lambda: mesh.bus.connected)
    gate.set()
    view = await mesh.ended(run)
    assert view.error is None
    assert view.state is RunState.DONE
