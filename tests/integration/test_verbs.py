"""The verbs over a real server: what is wanted, its history, races, folders, waiting."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.bus.streams import SPEC_HISTORY, ensure_streams
from sparkplug.client import agents, applying, editing, events, spec_history, specs, waiting
from sparkplug.client.session import Client
from sparkplug.config import load_settings
from sparkplug.paths import Paths
from sparkplug.schema.agent import AgentState, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.errors import (
    ConflictError,
    DeadlineError,
    InvalidError,
    NotFoundError,
    SparkplugError,
)
from sparkplug.schema.node import NodeState, ObservedNode

SPEC = AgentSpec(name="echo", entrypoint="m:f")
FOLDER = Path("/agents")
DEADLINE_S = 60.0


@pytest.fixture
def client(mesh_bus: Bus, tmp_path: Path) -> Client:
    settings = load_settings(environ={"SPARKPLUG_HOME": str(tmp_path)})
    return Client(mesh_bus, Paths(tmp_path), settings, private=True)


async def observe(client: Client, state: AgentState, **more: object) -> None:
    """Write observed state as a node does."""
    fields = {"name": "echo", "replica": "0", "runtime": "python", "owner": "o", "node": "n"}
    agent = ObservedAgent.model_validate({**fields, "state": state, **more})
    key = f"agents.{agent.name}.{agent.replica}"
    await Bucket(client.bus, subjects.BUCKET_OBSERVED).put(key, agent)


async def test_the_history_says_who_when_why_and_what(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    await agents.scale(client, "echo", 3, agents.Why("Monday"))
    await agents.remove(client, "echo", agents.Why("no longer needed"))
    removed, scaled, deployed = await spec_history.history(client, "echo")
    assert (deployed.what, deployed.reason, deployed.changes) == ("deploy", "", [])
    assert (scaled.what, scaled.reason) == ("scale to 3", "Monday")
    assert scaled.changes == ["+replicas: 3"]
    assert scaled.changed_by == client.actor
    assert (removed.removal, removed.what, removed.reason) == (
        True,
        "remove",
        "no longer needed",
    )
    assert removed.revision > scaled.revision > deployed.revision
    told = {e.data["what"]: e.data.get("reason") for e in await events.read_events(client)}
    assert told == {"deploy": None, "scale to 3": "Monday", "remove": "no longer needed"}
    for hostile in ("nobody", "*", ">", "a b", "..", ""):
        with pytest.raises(NotFoundError):
            await spec_history.history(client, hostile)


async def test_undo_goes_back_and_again_ahead(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    with pytest.raises(NotFoundError, match="nothing else was wanted"):
        await spec_history.undo(client, "echo")
    changed = SPEC.model_copy(update={"concurrency": 2})
    await agents.deploy(client, changed, FOLDER, replace=True)
    await agents.restart(client, "echo")
    assert "+concurrency: 2" not in await spec_history.undo_diff(client, "echo")
    await spec_history.undo(client, "echo", why=agents.Why("too slow"))
    wanted = (await agents.desired(client))["echo"]
    assert (wanted.spec, wanted.generation, wanted.reason) == (SPEC, 4, "too slow")
    await spec_history.undo(client, "echo")
    assert (await agents.desired(client))["echo"].spec == changed
    first = (await spec_history.history(client, "echo"))[-1]
    await spec_history.undo(client, "echo", first.revision)
    assert (await agents.desired(client))["echo"].spec == SPEC
    with pytest.raises(ConflictError, match="already"):
        await spec_history.undo(client, "echo", first.revision)
    with pytest.raises(NotFoundError, match="no revision 4711"):
        await spec_history.undo(client, "echo", 4711)


@pytest.mark.parametrize("drain", [None, 3.0])
async def test_a_removal_is_undone_as_it_was(client: Client, drain: float | None) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    await agents.remove(client, "echo", agents.Why(drain=drain))
    await spec_history.undo(client, "echo")
    wanted = (await agents.desired(client))["echo"]
    assert (wanted.spec, wanted.run, wanted.drain) == (SPEC, True, None)
    assert wanted.generation > 1


async def test_as_many_revisions_are_kept_as_a_bucket_may_and_older_meshes_too(
    client: Client,
) -> None:
    info = await client.bus.js.stream_info(f"KV_{subjects.BUCKET_SPECS}")
    assert info.config.max_msgs_per_subject == SPEC_HISTORY == 64
    # As the release before made it, with something an operator changed.
    older = info.config.evolve(max_msgs_per_subject=16, max_bytes=7 << 20)
    await client.bus.js.update_stream(older)
    await agents.deploy(client, SPEC, FOLDER)
    await ensure_streams(client.bus, max_store=4 << 30, events_max=512 << 20, events_keep=86400.0)
    info = await client.bus.js.stream_info(f"KV_{subjects.BUCKET_SPECS}")
    assert (info.config.max_msgs_per_subject, info.config.max_bytes) == (64, 7 << 20)
    assert info.config.allow_msg_ttl
    for count in range(2, 40):
        await specs.change(
            client,
            "echo",
            "scale",
            lambda w, n=count: w.model_copy(
                update={"spec": w.spec.model_copy(update={"replicas": n})}
            ),
        )
    assert len(await spec_history.history(client, "echo")) == 39


async def test_an_edit_that_lost_the_race_is_shown_the_difference(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    text, revision = await editing.spec_text(client, "echo")
    assert text == "name: echo\nentrypoint: m:f\n"
    await agents.scale(client, "echo", 5)
    with pytest.raises(ConflictError) as lost:
        await editing.apply_text(client, "echo", text + "concurrency: 2\n", revision)
    assert "scale to 5" in lost.value.message
    assert client.actor in lost.value.message
    assert "+replicas: 5" in (lost.value.hint or "")
    assert (await agents.desired(client))["echo"].spec.concurrency == SPEC.concurrency
    text, revision = await editing.spec_text(client, "echo")
    assert await editing.apply_text(client, "echo", text + "concurrency: 2\n", revision)
    wanted = (await agents.desired(client))["echo"]
    assert (wanted.spec.replicas, wanted.spec.concurrency, wanted.generation) == (5, 2, 2)
    assert [one.generation for one in wanted.former] == [1]
    assert not await editing.apply_text(client, "echo", text + "concurrency: 2\n", revision + 1)
    await agents.remove(client, "echo")
    with pytest.raises(NotFoundError):
        await editing.apply_text(client, "echo", text, revision)


async def test_a_text_that_does_not_hold_is_told_with_its_place(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    _, revision = await editing.spec_text(client, "echo")
    with pytest.raises(InvalidError, match="3:11"):
        editing.check_text("name: echo\nentrypoint: m:f\nreplicas: many\n", "echo.yaml")
    with pytest.raises(InvalidError, match="keeps its name"):
        await editing.apply_text(client, "echo", "name: other\nentrypoint: m:f\n", revision)


async def test_simple_verbs_that_lose_a_race_are_shown_the_difference(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    results = await asyncio.gather(
        *(agents.scale(client, "echo", count) for count in (2, 3, 4, 5)), return_exceptions=True
    )
    lost = [r for r in results if isinstance(r, ConflictError)]
    assert lost
    assert all("+replicas: " in (error.hint or "") for error in lost)


def write(folder: Path, name: str, **more: object) -> Path:
    lines = [f"name: {name}", "entrypoint: m:f", *(f"{k}: {v}" for k, v in more.items())]
    file = folder / f"{name}.yaml"
    file.write_text("\n".join(lines) + "\n")
    return file


async def plan(client: Client, folder: Path, *prune: str) -> list[applying.Planned]:
    from sparkplug.schema.documents import load_agents

    return await applying.plan(client, load_agents(folder), prune=prune)


async def test_a_folder_is_applied_and_pruned(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    for name in ("one", "two", "three"):
        write(folder, name, labels="{team: a}")
    await agents.deploy(client, SPEC, FOLDER)  # carries no label: never pruned
    planned = await plan(client, folder)
    assert {one.name: one.outcome for one in planned} == dict.fromkeys(
        ("one", "two", "three"), "created"
    )
    assert set(await agents.desired(client)) == {"echo"}  # planning changes nothing
    await applying.apply(client, planned)
    assert {one.outcome for one in await plan(client, folder)} == {"unchanged"}
    write(folder, "two", labels="{team: a}", concurrency=3)
    (folder / "three.yaml").unlink()
    planned = await plan(client, folder, "team=a")
    assert {one.name: one.outcome for one in planned} == {
        "one": "unchanged",
        "two": "changed",
        "three": "removed",
    }
    assert "+concurrency: 3" in next(one for one in planned if one.name == "two").difference
    await applying.apply(client, planned, agents.Why("tidy"))
    there = await agents.desired(client)
    assert set(there) == {"echo", "one", "two"}
    assert (there["two"].generation, there["one"].generation) == (2, 1)
    with pytest.raises(InvalidError, match="label=value"):
        await plan(client, folder, "team")


async def test_nothing_of_a_folder_is_half_done(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    for name in ("a", "b", "d"):
        write(folder, name)
    await applying.apply(client, await plan(client, folder))
    write(folder, "a", concurrency=2)
    write(folder, "c")
    write(folder, "d", concurrency=2)
    planned = await plan(client, folder)
    await agents.scale(client, "d", 4)  # somebody else, after the plan was made
    with pytest.raises(ConflictError, match="nothing was applied: d was changed by") as lost:
        await applying.apply(client, planned)
    assert "+replicas: 4" in (lost.value.hint or "")
    there = await agents.desired(client)
    assert set(there) == {"a", "b", "d"}
    assert there["a"].spec.concurrency == 8
    assert there["a"].generation == 3  # its processes may have begun to change
    assert (there["d"].spec.replicas, there["d"].spec.concurrency) == (4, 8)


async def test_a_file_is_compared_with_what_is_wanted(client: Client, tmp_path: Path) -> None:
    file = write(tmp_path, "one")
    assert "+entrypoint: m:f" in await editing.diff_files(client, tmp_path)
    await applying.apply(client, await plan(client, file))
    assert await editing.diff_files(client, file) == ""
    assert await editing.diff_agent(client, "one") == ""
    write(tmp_path, "one", concurrency=3)
    (tmp_path / "other.yaml").write_text("steps: []\n")
    for text in (
        await editing.diff_files(client, file),
        await editing.diff_agent(client, "one"),
    ):
        assert text.splitlines()[-1] == "+concurrency: 3"
    first = (await spec_history.history(client, "one"))[0].revision
    await agents.scale(client, "one", 2)
    assert "+replicas: 2" in await editing.diff_revision(client, "one", first)
    file.unlink()
    with pytest.raises(NotFoundError, match="no file in"):
        await editing.diff_agent(client, "one")


async def test_waiting_follows_an_agent_until_it_is_so(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    waits = {
        state: asyncio.create_task(waiting.wait_for(client, "agent/echo", state, DEADLINE_S))
        for state in (None, "idle", "running", "stopped", "gone")
    }
    await observe(client, AgentState.STARTING)
    done, _ = await asyncio.wait(waits.values(), timeout=0.3)
    assert not done - {waits["stopped"]}
    await observe(client, AgentState.IDLE)
    assert await waits[None] == "agent/echo is ready"
    assert await waits["idle"] == "agent/echo is idle"
    await observe(client, AgentState.RUNNING, inflight=1)
    await waits["running"]
    await observe(client, AgentState.STOPPED)
    await waits["stopped"]
    await agents.remove(client, "echo")
    assert not waits["gone"].done()
    await Bucket(client.bus, subjects.BUCKET_OBSERVED).delete("agents.echo.0")
    assert await waits["gone"] == "agent/echo is gone"


async def test_waiting_ends_when_it_cannot_come_true(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    with pytest.raises(DeadlineError, match="no node has taken it after"):
        await waiting.wait_for(client, "agent/echo", "ready", 0.3)
    await observe(client, AgentState.ERROR, reason="no such module")
    with pytest.raises(SparkplugError, match="no such module"):
        await waiting.wait_for(client, "agent/echo", "ready", DEADLINE_S)
    for what, kind in (("agent/ecko", "agent"), ("host/nowhere", "host"), ("run/none", "run")):
        with pytest.raises(NotFoundError, match=kind):
            await waiting.wait_for(client, what, None, DEADLINE_S)
    for what, state in (("echo", None), ("cat/x", None), ("agent/echo", "redy"), ("agent/", None)):
        with pytest.raises(InvalidError):
            await waiting.wait_for(client, what, state, DEADLINE_S)


async def test_waiting_for_a_host(client: Client) -> None:
    node = ObservedNode(name="h", host="h", state=NodeState.STARTING, version="0", pid=1)
    bucket = Bucket(client.bus, subjects.BUCKET_OBSERVED)
    await bucket.put("nodes.h", node)
    ready = asyncio.create_task(waiting.wait_for(client, "host/h", None, DEADLINE_S))
    await bucket.put("nodes.h", node.model_copy(update={"state": NodeState.READY}))
    assert await ready == "host/h is ready"
