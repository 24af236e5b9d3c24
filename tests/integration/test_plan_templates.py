"""The shipped plans: each holds, and does what it says with small agents."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fakes.mesh import AgentFailureError, Asked, HostedAgents
from fakes.mesh_server import started
from fakes.planners import PlanMesh
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.client.plan_files import find_plan, plan_names
from sparkplug.plans.teams import TEAM_LABEL
from sparkplug.schema.agent import DesiredAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.run import RunState, RunView

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def researcher(asked: Asked) -> Any:
    return "water boils at 100 degrees [book]"


async def writer(asked: Asked) -> Any:
    if "Your last draft" in asked.text:
        return f"a better text: {'needs a title' in asked.text}"
    return f"a text of {len(asked.text.splitlines())} lines"


async def reviewer(asked: Asked) -> Any:
    return "approved, well done" if "better" in asked.text else "it needs a title"


async def reader(asked: Asked) -> Any:
    if "broken" in asked.text:
        raise AgentFailureError(500, "cannot read it")
    return f"summary of {asked.text.split()[-1]}"


def judge(choice: str) -> Any:
    async def answer(asked: Asked) -> Any:
        if choice == "!":
            raise AgentFailureError(500, "asleep")
        return f" {choice}\n"

    return answer


def specialist(name: str, agrees: bool) -> Any:
    async def answer(asked: Asked) -> Any:
        if asked.text.startswith("Check"):
            return "AGREE: so it is" if agrees else "DISAGREE: not so"
        return f"{name} found something"

    return answer


async def sentinel(asked: Asked) -> Any:
    bad = asked.input["host"] == "hot"
    return {"host": asked.input["host"], "findings": [{"rule": "gpu-hot"}] if bad else []}


async def scribe(asked: Asked) -> Any:
    if asked.action is None:
        return f"done: {asked.text.splitlines()[0]}"
    return {"text": f"{asked.input['survey']['host']} is hot"}


async def critic(asked: Asked) -> Any:
    return {"text": f"checked: {asked.input['brief']}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PlanMesh]:
    folder: Path = tmp_path_factory.mktemp("templates")
    async with started(folder) as server:
        agents = HostedAgents(await server.connect("agents"))
        await agents.resolve()
        for name, behaviour, capability in (
            ("researcher", researcher, "research"),
            ("writer", writer, "writing"),
            ("reviewer", reviewer, "review"),
            ("reader", reader, "reading"),
            ("judge-1", judge("red"), "judging"),
            ("judge-2", judge("blue"), "judging"),
            ("judge-3", judge("red"), "judging"),
            ("judge-4", judge("!"), "judging"),
            ("juror-1", judge("1"), "jury"),
            ("juror-2", judge("2"), "jury"),
            ("lawyer", specialist("lawyer", True), "law"),
            ("doctor", specialist("doctor", False), "medicine"),
            ("sentinel", sentinel, ""),
            ("scribe", scribe, ""),
            ("critic", critic, ""),
            ("researcher-ann", scribe, ""),
            ("writer-ann", scribe, ""),
        ):
            await agents.host(name, behaviour, capability)
        found = PlanMesh(server, await server.connect("face"), agents)
        await found.plan()
        yield found
        await found.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                await agents.close()


async def ran(mesh: PlanMesh, name: str, **inputs: Any) -> RunView:
    plan = find_plan(name, await mesh.agents.names())
    view = await mesh.done(plan.model_dump(by_alias=True, exclude_defaults=True), **inputs)
    assert view.error is None
    assert view.state is RunState.DONE
    return view


async def test_every_shipped_plan_is_run_here() -> None:
    text = Path(__file__).read_text()
    assert all(f'"{name}"' in text for name in plan_names())


async def test_host_brief(mesh: PlanMesh) -> None:
    view = await ran(mesh, "host-brief", host="h1")
    assert view.output == "checked: h1 is hot"


async def test_research_write_review(mesh: PlanMesh) -> None:
    view = await ran(mesh, "research-write-review", topic="water")
    assert view.output == {
        "text": "a better text: True",
        "review": "approved, well done",
        "approved": True,
    }
    assert len(view.steps[1].items) == 2


async def test_map_reduce_files(mesh: PlanMesh) -> None:
    files = ["a.txt", "broken.txt", "c.txt"]
    view = await ran(mesh, "map-reduce-files", files=files)
    assert [(f["file"], f["read"]) for f in view.output["files"]] == [
        ("a.txt", True),
        ("broken.txt", False),
        ("c.txt", True),
    ]
    assert view.output["files"][2]["text"] == "summary of c.txt"


async def test_fan_out_vote(mesh: PlanMesh) -> None:
    view = await ran(mesh, "fan-out-vote", question="which?", options=["blue", "red"])
    assert (view.output["winner"], view.output["valid"]) == ("red", 3)
    assert view.output["votes"] == [
        {"option": "blue", "votes": 1},
        {"option": "red", "votes": 2},
    ]
    view = await ran(mesh, "fan-out-vote", question="which?", options=["x", "y"])
    assert view.output["winner"] is None and view.output["tied"] == []
    # What two say as often nobody has decided; numbers are counted as what was said.
    tied = await ran(mesh, "fan-out-vote", question="which?", options=[1, 2, 3], voters="jury")
    assert (tied.output["winner"], tied.output["tied"]) == (None, [1, 2])
    alone = {"options": [1, 3], "voters": "jury", "quorum": 1}
    view = await ran(mesh, "fan-out-vote", question="which?", **alone)
    assert (view.output["winner"], view.output["tied"]) == (1, [])
    assert (await ran(mesh, "fan-out-vote", question="?", options=[])).output["winner"] is None


async def test_multi_specialist_analysis(mesh: PlanMesh) -> None:
    needs = ["law", "medicine", "magic"]
    view = await ran(mesh, "multi-specialist-analysis", problem="why?", needs=needs)
    assert view.output["confidence"] == 0.5
    assert [one["name"] for one in view.output["specialists"]] == ["doctor", "lawyer"]
    assert all(one["seconds"] >= 0 and one["tokens"] == 0 for one in view.output["specialists"])


async def test_agent_team_session(mesh: PlanMesh) -> None:
    bucket = Bucket(mesh.bus, subjects.BUCKET_SPECS)
    spec = AgentSpec(name="scribe", entrypoint="scribe.agent:handle", replicas=2)
    await bucket.put("scribe", DesiredAgent(spec=spec, folder="/agents"))
    made: dict[str, DesiredAgent] = {}

    async def watch() -> None:
        async for change in bucket.watch():
            if change.entry is not None and change.entry.value is not None:
                made[change.entry.key] = DesiredAgent.model_validate_json(change.entry.value)

    watching = asyncio.create_task(watch())
    override = {"replicas": 1, "env": {"TONE": "kind"}}
    for _ in range(2):  # what was removed can be started again
        view = await ran(
            mesh, "agent-team-session", user="ann", request="write a poem", override=override
        )
        assert view.output == "done: write a poem"
    watching.cancel()
    for name in ("researcher-ann", "writer-ann"):
        assert made[name].folder == "/agents"
        assert made[name].spec.labels == {TEAM_LABEL: "session-ann"}
        assert (made[name].spec.replicas, made[name].spec.env) == (1, {"TONE": "kind"})
    assert set(await bucket.read_all(DesiredAgent)) == {"scribe"}


async def test_nightly_gpu_health(mesh: PlanMesh) -> None:
    view = await ran(mesh, "nightly-gpu-health", hosts=["cool", "hot"])
    assert view.output == {
        "well": False,
        "findings": [{"rule": "gpu-hot"}],
        "briefs": [{"text": "hot is hot"}],
    }
    view = await ran(mesh, "nightly-gpu-health", hosts=["cool"])
    assert (view.output["well"], view.output["briefs"]) == (True, [])
