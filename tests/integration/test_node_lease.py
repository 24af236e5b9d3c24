"""Leases of nodes and their epochs: who may write, who is gone, who takes over."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fakes.mesh_server import MeshServer
from fakes.node import eventually
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.cancellation import end
from sparkplug.bus.clock import clock_offset
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.leases import Lease, lease_clock
from sparkplug.node import lapses, node_lease
from sparkplug.node.company import Company
from sparkplug.node.desired import DesiredState
from sparkplug.node.handovers import Handovers
from sparkplug.node.lapses import Lapses
from sparkplug.node.node_lease import NodeLease, Standing
from sparkplug.node.observed import ObservedState, agent_key, node_key
from sparkplug.node.placement import Placement as Placing
from sparkplug.node.placer import Placer
from sparkplug.node.placing import Placed
from sparkplug.schema.agent import AgentState, Assignment, DesiredAgent, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec, Placement, Resources
from sparkplug.schema.errors import ConflictError
from sparkplug.schema.node import NodeState, ObservedNode
from sparkplug.schema.node_lease import KILL_AFTER_S, STOP_AFTER_S, TTL_S, LeaseTerm


def node(name: str, **changes: object) -> ObservedNode:
    fields = {"name": name, "host": name, "state": NodeState.READY, "version": "1", "pid": 1}
    return ObservedNode.model_validate({**fields, **changes})


def replica(on: str, **changes: object) -> ObservedAgent:
    fields = {"name": "a", "replica": "0", "runtime": "python", "owner": "o", "node": on}
    return ObservedAgent.model_validate({**fields, "state": AgentState.IDLE, **changes})


def wanted(**placement: object) -> DesiredAgent:
    spec = AgentSpec(name="a", entrypoint="m:f", placement=Placement.model_validate(placement))
    return DesiredAgent(spec=spec)


def count_of(state: DesiredState) -> Callable[[str], int]:
    """How many replicas an agent is to have."""
    return lambda name: state.specs[name].spec.first if name in state.specs else 0


def observed_bucket(bus: Bus) -> Bucket:
    return Bucket(bus, subjects.BUCKET_OBSERVED)


@contextlib.asynccontextmanager
async def leased(
    bus: Bus, path: Path, name: str = "n", holder: str = "h"
) -> AsyncIterator[NodeLease]:
    """A node's lease, held and renewed."""
    lease = NodeLease(bus, name, holder, path)
    task = asyncio.create_task(lease.run())
    try:
        await lease.joined()
        yield lease
    finally:
        await end(task)


async def test_what_was_written_under_an_old_epoch_is_refused_until_there_is_a_new_one(
    mesh_bus: Bus, tmp_path: Path
) -> None:
    bucket = observed_bucket(mesh_bus)
    async with leased(mesh_bus, tmp_path / "lease") as lease:
        observed = ObservedState(mesh_bus, lease.fence, lambda: None)
        observed.set(agent_key("a", "0"), replica("n"))
        assert await observed.flush()
        first = lease.epoch
        await bucket.raise_fence(subjects.node_lease("n"), first)
        observed.set(agent_key("a", "0"), replica("n", reason="late"))
        observed.set(node_key("n"), node("n", reason="late"))
        assert not await observed.flush()
        assert not await observed.flush()
        entry = await bucket.get(agent_key("a", "0"))
        assert entry is not None and b"late" not in (entry.value or b"")
        assert await bucket.get(node_key("n")) is None
        with pytest.raises(ConflictError):
            await bucket.put("nodes.n", b"x", fence=(subjects.node_lease("n"), first))
        lease.refused()
        assert await eventually(lambda: lease.epoch > first)
        assert await observed.flush(), "what is not of a replica is written under the new one"
        assert await bucket.get(node_key("n")) is not None
        entry = await bucket.get(agent_key("a", "0"))
        assert entry is not None and b"late" not in (entry.value or b"")


async def test_an_earlier_process_of_ours_is_succeeded_and_another_host_is_not(
    mesh_server: MeshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = await mesh_server.connect()
    async with leased(bus, tmp_path / "lease") as lease:
        first = lease.epoch
    async with leased(bus, tmp_path / "lease") as lease:
        assert lease.epoch > first, "a process of its own has an epoch of its own"
        monkeypatch.setattr(node_lease, "_NAME_DEADLINE_S", 0.5)
        with pytest.raises(ConflictError, match="another host is in this mesh as n"):
            async with leased(bus, tmp_path / "other", holder="stranger"):
                pass
        assert not await Lease(bus, subjects.node_lease("n"), "stranger", 9).acquire()
        assert lease.epoch


async def test_the_term_is_counted_from_the_request_and_stands_while_our_server_is_down(
    mesh_server: MeshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lease"
    seen: list[Standing] = []
    down = True
    for name, value in (("CUT_OFF_AFTER_S", 0.3), ("STOP_AFTER_S", 0.6), ("KILL_AFTER_S", 0.9)):
        monkeypatch.setattr(node_lease, name, value)
    monkeypatch.setattr(node_lease, "RENEW_EVERY_S", 0.1)
    bus = await mesh_server.connect()
    lease = NodeLease(bus, "n", "h", path, server_down=lambda: down)
    lease.on_standing(seen.append)
    before = lease_clock()
    task = asyncio.create_task(lease.run())
    await lease.joined()
    process = mesh_server.server.process
    assert process is not None
    import os
    import signal

    os.kill(process.pid, signal.SIGSTOP)
    try:
        assert lease.kill_at is not None and lease.kill_at >= before + 0.9
        stopped = lease_clock()
        await eventually(lambda: (lease.kill_at or 0.0) > stopped + 2.0)
        assert Standing.ENDING not in seen, "nobody can take anything while the server is down"
        down = False
        await eventually(lambda: seen[-1:] == [Standing.OVER])
        assert lease.cut_off is not None
    finally:
        os.kill(process.pid, signal.SIGCONT)
    await eventually(lambda: seen[-1] is Standing.HELD)
    assert lease.cut_off is None
    await end(task)


async def test_a_node_whose_lease_lapsed_is_gone_once(
    mesh_bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lapses, "TTL_S", 0)
    bucket = observed_bucket(mesh_bus)
    state = DesiredState(mesh_bus)
    events = EventLog(mesh_bus, "m", "node m")
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(events, "emit", lambda name, subject, **_: told.append((name, subject)))
    old = await bucket.raise_fence(subjects.node_lease("gone"))
    await bucket.put(agent_key("a", "0"), replica("gone"))
    state.specs["a"] = wanted()
    state.assignments["a.0"] = Assignment(agent="a", replica=0, node="gone", epoch=old)
    state.nodes[node_key("gone")] = node("gone", epoch=old)
    state.nodes[node_key("down")] = node("down", state=NodeState.STOPPED, epoch=1)
    async with leased(mesh_bus, tmp_path / "lease", "here") as lease:
        state.nodes[node_key("here")] = node("here", epoch=lease.epoch)
        judge = Lapses(mesh_bus, state, events)
        assert await judge.judge()
        assert not await judge.judge()
    assert told == [("host:stale", "gone"), ("agent:lost", "a/0")]
    assert state.nodes[node_key("here")].state is NodeState.READY
    assert state.nodes[node_key("gone")].state is NodeState.STALE
    with pytest.raises(ConflictError):
        await bucket.put(node_key("gone"), node("gone"), fence=(subjects.node_lease("gone"), old))
    lost = (await bucket.read_all(ObservedAgent, "agents.>"))[agent_key("a", "0")]
    assert (lost.state, lost.reason) == (AgentState.STALE, "gone is gone; it is started elsewhere")


async def test_one_that_is_silent_is_looked_at_again_until_its_lease_has_lapsed(
    mesh_bus: Bus,
) -> None:
    state = DesiredState(mesh_bus)
    state.nodes[node_key("x")] = node("x", epoch=1)
    lease = Lease(mesh_bus, subjects.node_lease("x"), "h", 60)
    assert await lease.acquire()
    judge = Lapses(mesh_bus, state, EventLog(mesh_bus, "m", "node m"))
    judge._since = state.heard["x"] = lease_clock() - 2 * TTL_S
    assert not await judge.judge()
    await lease.release()
    assert await judge.judge()


async def test_one_that_comes_back_in_that_moment_is_not_gone(
    mesh_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lapses, "TTL_S", 0)
    bucket = observed_bucket(mesh_bus)
    state = DesiredState(mesh_bus)
    old = await bucket.raise_fence(subjects.node_lease("back"))
    state.nodes[node_key("back")] = node("back", epoch=old)
    judge = Lapses(mesh_bus, state, EventLog(mesh_bus, "m", "node m"))
    asked = judge._leases.get

    async def returns(key: str) -> object:
        found = await asked(key)
        await bucket.raise_fence(key)
        return found

    monkeypatch.setattr(judge._leases, "get", returns)
    assert not await judge.judge()
    assert state.nodes[node_key("back")].state is NodeState.READY


@pytest.mark.parametrize(
    ("placement", "alone", "stays"),
    [
        ({}, False, ""),
        ({"hosts": ["x", "y"]}, False, ""),
        ({"hosts": "y"}, False, ""),
        ({}, True, "it was alone in this mesh"),
        ({"hosts": "x"}, False, "pinned there, so it may run on"),
        ({"hosts": ["x"], "partition": "stop"}, False, "waits for it"),
        ({"hosts": "any", "partition": "keep"}, False, "its placement says keep"),
    ],
)
async def test_what_stays_with_a_host_that_is_gone(
    mesh_bus: Bus, placement: dict[str, object], alone: bool, stays: str
) -> None:
    state = DesiredState(mesh_bus)
    state.specs["a"] = wanted(**placement)
    state.nodes[node_key("x")] = node("x", state=NodeState.STALE, alone=alone, epoch=1)
    state.nodes[node_key("y")] = node("y", epoch=7)
    current = Assignment(agent="a", replica=0, node="x", epoch=1)
    state.assignments["a.0"] = current
    given = Assignment(agent="a", replica=0, node="y")
    why = lapses.why_it_stays(state, current)
    assert stays in why and bool(stays) == bool(why)
    held = await Handovers(mesh_bus, state, count_of(state)).hold_back(Placed({"a.0": given}, {}))
    expected = current if stays else given.model_copy(update={"epoch": 7})
    assert held.assignments == {"a.0": expected}


async def test_a_host_that_lives_lets_go_before_another_is_given(mesh_bus: Bus) -> None:
    bucket = observed_bucket(mesh_bus)
    state = DesiredState(mesh_bus)
    state.specs["a"] = wanted()
    state.nodes[node_key("x")] = node("x", epoch=3)
    state.nodes[node_key("y")] = node("y", epoch=4)
    state.assignments["a.0"] = Assignment(agent="a", replica=0, node="x", epoch=3)
    given = Placed({"a.0": Assignment(agent="a", replica=0, node="y")}, {})
    handovers = Handovers(mesh_bus, state, count_of(state))
    asked = (await handovers.hold_back(given)).assignments["a.0"]
    assert asked.node == "x" and asked.leave and handovers.pending
    state.assignments["a.0"] = asked
    await bucket.put(agent_key("a", "0"), replica("x", state=AgentState.STOPPED, left="earlier"))
    assert (await handovers.hold_back(given)).assignments["a.0"] == asked
    await bucket.put(agent_key("a", "0"), replica("x", state=AgentState.STOPPED, left=asked.leave))
    moved = (await handovers.hold_back(given)).assignments["a.0"]
    assert (moved.node, moved.epoch, moved.leave) == ("y", 4, "")
    assert not handovers.pending
    for state_of_x in (NodeState.STOPPING, NodeState.JOINING):
        state.nodes[node_key("x")] = node("x", epoch=3, state=state_of_x)
        state.assignments["a.0"] = Assignment(agent="a", replica=0, node="x", epoch=3)
        kept = await handovers.hold_back(given)
        assert kept.assignments["a.0"].node == "x" and not kept.assignments["a.0"].leave
    state.nodes[node_key("x")] = node("x", epoch=3, state=NodeState.STOPPED)
    assert (await handovers.hold_back(given)).assignments["a.0"].node == "y"


async def test_what_fits_nowhere_when_its_host_is_gone_waits_with_the_reason(
    mesh_bus: Bus, tmp_path: Path
) -> None:
    bucket = observed_bucket(mesh_bus)
    state = DesiredState(mesh_bus)
    spec = AgentSpec(name="a", entrypoint="m:f", resources=Resources(gpus=1))
    await Bucket(mesh_bus, subjects.BUCKET_SPECS).put("a", DesiredAgent(spec=spec))
    given = Assignment(agent="a", replica=0, node="x", gpus=["GPU-1"], epoch=1)
    await Bucket(mesh_bus, subjects.BUCKET_ASSIGNMENTS).put("a.0", given)
    await bucket.put(agent_key("a", "0"), replica("x"))
    gone = node("x", state=NodeState.STALE, gpus=["GPU-1"], epoch=1)
    await bucket.put(node_key("x"), gone)
    async with leased(mesh_bus, tmp_path / "lease", "y") as lease:
        await bucket.put(node_key("y"), node("y", epoch=lease.epoch))
        observed = ObservedState(mesh_bus, lease.fence, lease.refused)
        events = EventLog(mesh_bus, "y", "node y")
        placing = Placing(mesh_bus, "y", state, events, list)
        placer = Placer(mesh_bus, "y", "o", state, observed, events, placing)
        loops = (state, observed, placing, placer)
        tasks = [asyncio.create_task(one.run()) for one in loops]

        async def waits() -> ObservedAgent | None:
            found = await bucket.read_all(ObservedAgent, "agents.>")
            agent = found.get(agent_key("a", "0"))
            return agent if agent and agent.state is AgentState.WAITING_GPU else None

        waiting = await eventually(waits)
        assert "GPU" in waiting.reason and waiting.node is None
        await end(*tasks)


async def test_one_wanted_again_waits_until_it_has_ended_where_it_was(mesh_bus: Bus) -> None:
    bucket = observed_bucket(mesh_bus)
    state = DesiredState(mesh_bus)
    state.specs["a"] = wanted()
    state.nodes = {node_key(name): node(name, epoch=1) for name in "xy"}
    given = Placed({"a.0": Assignment(agent="a", replica=0, node="y")}, {})
    handovers = Handovers(mesh_bus, state, count_of(state))
    await bucket.put(agent_key("a", "0"), replica("x", pid=7, state=AgentState.STOPPING))
    assert (await handovers.hold_back(given)).assignments == {}
    assert handovers.pending
    await bucket.delete(agent_key("a", "0"))
    assert "a.0" in (await handovers.hold_back(given)).assignments


async def test_one_that_is_alone_keeps_its_agents_and_says_so_first(
    mesh_bus: Bus, tmp_path: Path
) -> None:
    path = tmp_path / "lease"
    bucket = observed_bucket(mesh_bus)
    state = DesiredState(mesh_bus)
    following = asyncio.create_task(state.run())

    def term() -> LeaseTerm:
        return LeaseTerm.model_validate_json(path.read_bytes())

    async with leased(mesh_bus, path) as lease:
        renewed = (term().stop_at or 0.0) - STOP_AFTER_S
        assert term().kill_at == pytest.approx(renewed + KILL_AFTER_S)
        assert renewed + TTL_S > lease_clock()
        observed = ObservedState(mesh_bus, lease.fence, lease.refused)
        company = Company("n", lease)
        task = asyncio.create_task(
            company.run(state, observed, lambda: node("n", alone=company.alone, epoch=lease.epoch))
        )
        writing = asyncio.create_task(observed.run())
        await eventually(lambda: lease.alone)
        assert term().kill_at is None
        entry = await bucket.get(node_key("n"))
        assert entry is not None and b'"alone":true' in (entry.value or b"")
        await bucket.put(node_key("m"), node("m"))
        await eventually(lambda: not lease.alone)
        assert term().kill_at is not None

        async def taken_back() -> bool:
            entry = await bucket.get(node_key("n"))
            return entry is not None and b'"alone":false' in (entry.value or b"")

        assert await eventually(taken_back)
        await end(task, writing)
    await end(following)


async def test_a_clock_that_is_off_is_measured(
    mesh_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert abs(await clock_offset(mesh_bus)) < 10
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + 90.0)
    assert await clock_offset(mesh_bus) == pytest.approx(90.0, abs=10)
