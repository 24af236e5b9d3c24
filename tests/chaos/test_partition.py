"""Hosts that are cut off, or die: no agent ever has two owners, and none is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.hosts import HostNode, ThreeHosts, may_have_namespaces
from fakes.node import wait_until
from fakes.recorder import WITNESS, Ownership, Recorder

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(600)]

_CUT_S = 30.0
_DEADLINE_S = 60.0

#: Writes as a node does whose epoch is over, and tells what the server answers.
_LATE_WRITE = """
import asyncio, sys
from nats.js.errors import APIError
from sparkplug.bus import subjects
from sparkplug.client.session import Client
from sparkplug.config import load_settings
from sparkplug.paths import Paths

async def main(key, node, epoch):
    prefix = f"$KV.{subjects.BUCKET_OBSERVED}."
    headers = {
        "Nats-Expected-Last-Subject-Sequence": epoch,
        "Nats-Expected-Last-Subject-Sequence-Subject": f"{prefix}f.{subjects.node_lease(node)}",
    }
    settings = load_settings()
    async with await Client.connect(url=None, paths=Paths.find(), settings=settings) as client:
        try:
            await client.bus.js.publish(prefix + key, b"late", headers=headers)
        except APIError as error:
            print("refused", error.err_code)
        else:
            print("taken")

asyncio.run(main(*sys.argv[1:]))
"""


class Mesh:
    """Three hosts, the agents put on them, and what the agents recorded themselves."""

    def __init__(self, hosts: ThreeHosts, folder: Path) -> None:
        self.hosts = hosts
        self.folder = folder
        self.recorders: dict[str, Recorder] = {}
        self.figures: list[str] = []

    def deploy(self, name: str, **placement: object) -> None:
        folder = self.folder / name
        path = self.a.write_agent(
            folder,
            name,
            WITNESS,
            restart={"max": 0, "backoff": "100ms"},
            placement=placement or {"hosts": "any"},
        )
        self.a.cli("agents", "deploy", str(path))
        self.recorders[name] = Recorder(folder)

    @property
    def a(self) -> HostNode:
        return self.hosts.nodes["a"]

    def owner(self, name: str) -> Ownership | None:
        """The process that owns an agent now, alone."""
        owners = [one for one in self.recorders[name].owners() if self.hosts.host_of(one.pid)]
        return owners[-1] if owners else None

    def host(self, name: str) -> str:
        owner = self.owner(name)
        return self.hosts.host_of(owner.pid) if owner is not None else ""

    def row(self, name: str) -> dict[str, object]:
        rows = [row for row in self.a.json("agents", "list") if row["name"] == name]
        return rows[0] if rows else {}

    def node_row(self, name: str) -> dict[str, object]:
        rows = [row for row in self.a.json("status")["nodes"] if row["name"] == name]
        return rows[0] if rows else {}

    def serve(self, *names: str) -> bool:
        """Whether these agents, or all, are ready, as is told and as they record it."""
        names = names or tuple(self.recorders)
        if not all(map(self.host, names)):
            return False
        rows = {row["name"]: row["state"] for row in self.a.json("agents", "list")}
        return all(rows.get(name) == "idle" for name in names)

    def doubles(self) -> dict[str, list[str]]:
        found = {name: recorder.doubles() for name, recorder in self.recorders.items()}
        return {name: times for name, times in found.items() if times}

    def note(self, text: str) -> None:
        self.figures.append(text)

    def events(self, name: str, subject: str, node: str = "") -> int:
        """How many were told; with a node, of those that are told because that one is gone."""
        lines = self.a.json("events", "--since", "10m")
        told = [e for e in lines if e["name"] == name and e["subject"] == subject]
        return sum(1 for e in told if not node or e["data"].get("node") == node)


def took(condition: Callable[[], object], since: float, deadline: float = _DEADLINE_S) -> float:
    """Seconds from `since` until it held; fails the test when it never did."""
    assert wait_until(condition, deadline)
    return time.monotonic() - since


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    if not may_have_namespaces():
        pytest.skip("may not make network namespaces here")
    folder = tmp_path_factory.mktemp("hosts")
    hosts = ThreeHosts(folder)
    try:
        hosts.up()
        mesh = Mesh(hosts, folder)
        for number in range(6):
            mesh.deploy(f"free{number}")
        mesh.deploy("pinned", hosts="c")
        mesh.deploy("waiting", hosts="c", partition="stop")
        yield mesh
        print("\n".join(mesh.figures))
    finally:
        hosts.close()


def test_a_host_that_is_cut_off_lets_go_before_others_take(mesh: Mesh) -> None:
    c = mesh.hosts.nodes["c"]
    moving = [name for name in mesh.recorders if name.startswith("free") and mesh.host(name) == "c"]
    staying = [n for n in mesh.recorders if n.startswith("free") and n not in moving]
    assert moving, "some are on the host that is cut off"
    before = {name: mesh.owner(name) for name in mesh.recorders}
    epoch = json.loads(c.paths.lease.read_text())["epoch"]
    cut = time.monotonic()
    mesh.hosts.cut("c")
    said = took(lambda: c.run_file("node.json").get("state") == "cut-off", cut)
    mesh.note(f"cut: c says that it is cut off after {said:.1f} s")
    again = took(lambda: all(mesh.host(name) in ("a", "b") for name in moving), cut)
    mesh.note(f"cut: {len(moving)} movable agents run elsewhere after {again:.1f} s")
    for name in moving:
        old, new = mesh.recorders[name].owners()[-2:]
        assert old.until < new.since
        mesh.note(f"cut: {name} ended {old.until - cut:.1f} s, began {new.since - cut:.1f} s")
    shown = c.cli("status", check=False)
    assert shown.returncode == 5
    assert "cut off from the mesh since" in shown.stdout
    assert "pinned/0" in shown.stdout
    assert mesh.node_row("c")["state"] == "stale"
    assert "may run on" in str(mesh.row("pinned")["reason"])
    assert "waits for it" in str(mesh.row("waiting")["reason"])
    late = subprocess.run(
        mesh.a.command("-c", _LATE_WRITE, f"agents.{moving[0]}.0", "c", str(epoch)),
        env=mesh.a.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert late.stdout.split() == ["refused", "10071"], late
    assert wait_until(lambda: time.monotonic() - cut > _CUT_S, _CUT_S + 5)
    assert mesh.hosts.host_of(before["pinned"].pid) == "c", "a pinned one runs on"  # type: ignore[union-attr]
    assert mesh.owner("waiting") is None
    healed = time.monotonic()
    mesh.hosts.heal("c")
    whole = took(lambda: mesh.serve("waiting", "pinned"), healed)
    mesh.note(f"cut: whole {whole:.1f} s after the link came back")
    assert mesh.node_row("c")["state"] == "ready"
    for name in [*staying, "pinned"]:
        assert mesh.owner(name).pid == before[name].pid, "undisturbed"  # type: ignore[union-attr]
    assert mesh.serve(*moving)
    assert all(mesh.host(name) in ("a", "b") for name in moving)
    assert mesh.doubles() == {}
    assert mesh.events("host:stale", "c") == 1
    # Where a host is busy one that is only silent for a while is told so, too.
    assert mesh.events("agent:lost", f"{moving[0]}/0", node="c") == 1


def test_a_server_that_is_killed_moves_and_stops_nothing(mesh: Mesh) -> None:
    before = {name: mesh.owner(name).pid for name in mesh.recorders}  # type: ignore[union-attr]
    server = int(mesh.a.run_file("nats.json")["pid"])
    os.kill(server, signal.SIGKILL)
    assert wait_until(lambda: mesh.a.run_file("nats.json").get("pid") != server)
    assert wait_until(mesh.serve)
    assert {name: mesh.owner(name).pid for name in mesh.recorders} == before  # type: ignore[union-attr]
    assert mesh.doubles() == {}


def test_a_daemon_that_is_killed_has_a_new_epoch_and_loses_nothing(mesh: Mesh) -> None:
    b = mesh.hosts.nodes["b"]
    before = {name: mesh.owner(name).pid for name in mesh.recorders}  # type: ignore[union-attr]
    assert "b" in map(mesh.host, mesh.recorders)
    epoch = json.loads(b.paths.lease.read_text())["epoch"]
    os.kill(int(b.run_file("node.json")["pid"]), signal.SIGKILL)
    assert wait_until(lambda: json.loads(b.paths.lease.read_text())["epoch"] > epoch)
    assert wait_until(lambda: mesh.node_row("b").get("state") == "ready")
    assert wait_until(mesh.serve)
    assert {name: mesh.owner(name).pid for name in mesh.recorders} == before  # type: ignore[union-attr]


def test_the_host_of_the_server_dies_and_returns(mesh: Mesh) -> None:
    others = [mesh.hosts.nodes[name] for name in "bc"]
    killed = time.monotonic()
    mesh.a.kill_all()
    said = took(
        lambda: all(node.run_file("node.json").get("state") == "cut-off" for node in others), killed
    )
    mesh.note(f"server's host dies: the others say so after {said:.1f} s")
    pinned = mesh.owner("pinned")
    free = [name for name in mesh.recorders if name != "pinned"]
    assert wait_until(lambda: not any(map(mesh.host, free))), "movable ones ended"
    mesh.a.up()
    # The server's own file is written once it takes connections.
    returned = time.monotonic() - (time.time() - (mesh.a.paths.run / "nats.json").stat().st_mtime)
    back = took(
        lambda: all(node.run_file("node.json").get("state") == "ready" for node in others), returned
    )
    serving = took(lambda: all(map(mesh.host, mesh.recorders)), returned)
    mesh.note(
        f"server's host returns: the others are back {back:.1f} s after its server is, "
        f"all agents run after {serving:.1f} s"
    )
    assert wait_until(mesh.serve)
    assert mesh.owner("pinned") == pinned or mesh.owner("pinned").pid == pinned.pid  # type: ignore[union-attr]
    assert mesh.doubles() == {}


def test_a_daemon_that_hangs_keeps_no_agent_beyond_its_lease(mesh: Mesh) -> None:
    b = mesh.hosts.nodes["b"]
    moving = [name for name in mesh.recorders if mesh.host(name) == "b"]
    assert moving
    daemon = int(b.run_file("node.json")["pid"])
    hung = time.monotonic()
    os.kill(daemon, signal.SIGSTOP)
    try:
        again = took(lambda: all(mesh.host(name) in ("a", "c") for name in moving), hung)
        mesh.note(f"daemon hangs: {len(moving)} agents run elsewhere after {again:.1f} s")
    finally:
        os.kill(daemon, signal.SIGCONT)
    assert wait_until(lambda: mesh.node_row("b").get("state") == "ready")
    assert wait_until(mesh.serve)
    assert all(mesh.host(name) != "b" for name in moving)
    assert mesh.doubles() == {}


def test_a_host_that_dies_has_its_agents_placed_elsewhere_once(mesh: Mesh) -> None:
    b = mesh.hosts.nodes["b"]
    moving = [name for name in mesh.recorders if mesh.host(name) == "b"]
    if not moving:
        mesh.deploy("late", hosts=["b", "c"])
        moving = [name for name in mesh.recorders if mesh.host(name) == "b"]
    assert moving
    known = {name: len(mesh.recorders[name].owners()) for name in mesh.recorders}
    died = time.monotonic()
    b.kill_all()
    again = took(lambda: all(mesh.host(name) for name in moving), died)
    mesh.note(f"host dies: {len(moving)} agents run elsewhere after {again:.1f} s")
    assert wait_until(lambda: mesh.serve(*moving))
    b.up()
    assert wait_until(lambda: mesh.node_row("b").get("state") == "ready")
    mesh.deploy("fresh", hosts="b")
    assert wait_until(lambda: mesh.host("fresh") == "b"), "it takes what is given to it now"
    assert all(mesh.host(name) != "b" for name in moving), "and runs nothing of before"
    assert {name: len(mesh.recorders[name].owners()) for name in known} == {
        name: count + (name in moving) for name, count in known.items()
    }
    assert mesh.doubles() == {}
