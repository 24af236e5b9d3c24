"""Placing: a table of cases, and what holds of every placing whatever happens."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sparkplug.node.placing import Candidate, Placed, place
from sparkplug.schema.agent import Assignment, DesiredAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.host import GpuState
from sparkplug.schema.node import GpuRoom, NodeOrder

GIB = 1 << 30


def agent(name: str, **spec: Any) -> DesiredAgent:
    return DesiredAgent(spec=AgentSpec(name=name, entrypoint="a:b", **spec))


def wanted(*agents: DesiredAgent) -> dict[str, DesiredAgent]:
    return {a.spec.name: a for a in agents}


def gpu(uuid: str, free: float | None = 80, **more: Any) -> GpuRoom:
    free_bytes = None if free is None else int(free * GIB)
    return GpuRoom(
        uuid=uuid, index=int(uuid[-1]), total_bytes=80 * GIB, free_bytes=free_bytes, **more
    )


def node(name: str, *gpus: GpuRoom, **more: Any) -> Candidate:
    return Candidate(name, gpus=gpus, **more)


def where(placed: Placed) -> dict[str, str]:
    return {key: given.node for key, given in placed.assignments.items()}


def gpus_of(placed: Placed) -> dict[str, list[str]]:
    return {key: given.gpus for key, given in placed.assignments.items()}


def shared(memory: str = "16GiB") -> dict[str, Any]:
    return {"gpus": 1, "gpu_memory": memory}


THREE = [node("a"), node("b"), node("c")]


def test_replicas_spread_over_hosts_and_pack_onto_few() -> None:
    spread = place(wanted(agent("x", replicas=4)), {}, THREE)
    assert sorted(where(spread).values()) == ["a", "a", "b", "c"]
    packed = place(wanted(agent("x", replicas=4, placement={"strategy": "pack"})), {}, THREE)
    assert set(where(packed).values()) == {"a"}


def test_replicas_of_one_agent_avoid_each_other_before_they_avoid_load() -> None:
    busy = place(wanted(agent("busy", replicas=5, placement={"hosts": "a"})), {}, THREE)
    placed = place(wanted(*_agents(busy), agent("x", replicas=3)), busy.assignments, THREE)
    assert {where(placed)[f"x.{n}"] for n in range(3)} == {"a", "b", "c"}


def _agents(placed: Placed) -> list[DesiredAgent]:
    replicas = len(placed.assignments)
    return [agent("busy", replicas=replicas, placement={"hosts": "a"})]


@pytest.mark.parametrize(
    ("placement", "nodes", "expected", "reason"),
    [
        ({"hosts": "b"}, THREE, "b", ""),
        ({"hosts": ["b", "c"]}, [node("a"), node("c")], "c", ""),
        ({"hosts": "z"}, [node("a")], None, "a is not among its hosts (z)"),
        ({"labels": {"gpu": "h100"}}, [node("a")], None, "a has no label gpu=h100"),
        (
            {"labels": {"gpu": "h100"}},
            [node("a"), node("b", labels={"gpu": "h100"})],
            "b",
            "",
        ),
        ({}, [], None, "no node is up"),
        (
            {},
            [node("a", order=NodeOrder(name="a", cordoned=True, reason="disk", changed_by="ana"))],
            None,
            "a is cordoned by ana: disk",
        ),
    ],
)
def test_hosts_labels_and_cordons(
    placement: dict[str, Any], nodes: list[Candidate], expected: str | None, reason: str
) -> None:
    placed = place(wanted(agent("x", placement=placement)), {}, nodes)
    assert where(placed).get("x.0") == expected
    assert placed.unplaced.get(("x", "0"), "") == reason
    assert not placed.waiting_gpu


def test_a_gpu_without_memory_asked_for_is_its_own() -> None:
    one = node("a", gpu("G-0"), gpu("G-1"))
    placed = place(wanted(agent("x", replicas=3, resources={"gpus": 1})), {}, [one])
    assert sorted(gpus_of(placed).values()) == [["G-0"], ["G-1"]]
    assert placed.waiting_gpu == {("x", "2")}
    assert "GPU 0 is x/0's alone" in placed.unplaced["x", "2"]


def test_replicas_with_gpu_memory_share_a_gpu_until_it_is_full() -> None:
    one = node("a", gpu("G-0", 40))
    placed = place(wanted(agent("x", replicas=3, resources=shared())), {}, [one])
    assert list(gpus_of(placed).values()) == [["G-0"], ["G-0"]]
    assert placed.unplaced["x", "2"] == (
        "a has 0 free GPUs with 16GiB free, 1 asked for (GPU 0 has 8GiB free)"
    )
    assert placed.waiting_gpu == {("x", "2")}


def test_a_shared_gpu_is_not_given_to_one_that_wants_it_alone() -> None:
    specs = wanted(agent("a", resources=shared()), agent("b", resources={"gpus": 1}))
    placed = place(specs, {}, [node("n", gpu("G-0"))])
    assert "is shared by a/0" in placed.unplaced["b", "0"]


def test_what_is_promised_counts_until_it_is_allocated_and_then_no_more() -> None:
    specs = wanted(agent("x", replicas=2, resources=shared("30GiB")))
    first = place(wanted(agent("x", resources=shared("30GiB"))), {}, [node("a", gpu("G-0", 50))])
    # Nothing allocated yet: 50 free, 30 promised.
    waits = place(specs, first.assignments, [node("a", gpu("G-0", 50))])
    assert waits.waiting_gpu == {("x", "1")}
    # A foreign process ended, and all that was promised is allocated: 31 of what is left is free.
    held = gpu("G-0", 31, held={"x/0": 30 * GIB})
    assert not place(specs, first.assignments, [node("a", held)]).unplaced
    # It allocated but ten: twenty are still to come.
    part = gpu("G-0", 49, held={"x/0": 10 * GIB})
    assert place(specs, first.assignments, [node("a", part)]).waiting_gpu == {("x", "1")}


def test_foreign_processes_count_by_what_they_use() -> None:
    nodes = [node("a", gpu("G-0", 8), gpu("G-1", 60))]
    assert gpus_of(place(wanted(agent("x", resources=shared())), {}, nodes)) == {"x.0": ["G-1"]}


@pytest.mark.parametrize(
    ("room", "why"),
    [
        (gpu("G-0", state=GpuState.LOST), "is lost"),
        (gpu("G-0", None, state=GpuState.ERROR), "is error"),
        (gpu("G-0", None), "does not tell its memory"),
        (gpu("G-0", 15.95), "has 15.9GiB free"),
    ],
)
def test_a_gpu_that_is_bad_or_full_is_no_candidate(room: GpuRoom, why: str) -> None:
    placed = place(wanted(agent("x", resources=shared())), {}, [node("a", room)])
    assert why in placed.unplaced["x", "0"]
    assert placed.waiting_gpu


def test_a_gpu_that_a_removed_agent_still_holds_is_not_given_away() -> None:
    room = gpu("G-0", 10, held={"old/0": 70 * GIB})
    placed = place(wanted(agent("x", resources={"gpus": 1})), {}, [node("a", room)])
    assert "is still held by old/0" in placed.unplaced["x", "0"]


def test_packed_replicas_take_the_fullest_gpu_and_spread_ones_the_emptiest() -> None:
    nodes = [node("a", gpu("G-0", 70), gpu("G-1", 20))]
    pack = agent("x", resources=shared(), placement={"strategy": "pack"})
    assert gpus_of(place(wanted(pack), {}, nodes)) == {"x.0": ["G-1"]}
    assert gpus_of(place(wanted(agent("x", resources=shared())), {}, nodes)) == {"x.0": ["G-0"]}


def test_two_gpus_are_two() -> None:
    nodes = [node("a", gpu("G-0", 70)), node("b", gpu("G-0", 70), gpu("G-1", 20))]
    specs = wanted(agent("x", resources={"gpus": 2, "gpu_memory": "16GiB"}))
    placed = place(specs, {}, nodes)
    assert (where(placed), sorted(gpus_of(placed)["x.0"])) == ({"x.0": "b"}, ["G-0", "G-1"])
    assert "has 1 free GPUs with 16GiB free, 2 asked for" in placed.choices["x.0"].elsewhere["a"]


def test_a_lost_gpu_moves_its_replica_and_one_that_does_not_answer_does_not() -> None:
    nodes = [node("a", gpu("G-0"), gpu("G-1"))]
    specs = wanted(agent("x", resources={"gpus": 1}))
    first = place(specs, {}, nodes)
    assert gpus_of(first) == {"x.0": ["G-0"]}
    silent = [node("a", gpu("G-0", None, state=GpuState.ERROR), gpu("G-1"))]
    assert gpus_of(place(specs, first.assignments, silent)) == {"x.0": ["G-0"]}
    # A daemon that has just started has not read its GPUs yet.
    assert gpus_of(place(specs, first.assignments, [node("a")])) == {"x.0": ["G-0"]}
    lost = [node("a", gpu("G-0", None, state=GpuState.LOST), gpu("G-1"))]
    assert gpus_of(place(specs, first.assignments, lost)) == {"x.0": ["G-1"]}
    only = [node("a", gpu("G-0", None, state=GpuState.LOST))]
    assert place(specs, first.assignments, only).assignments["x.0"].leaving == "GPU 0 of a is lost"
    waits = place(specs, first.assignments, only, released={"x.0"})
    assert waits.waiting_gpu == {("x", "0")}


def drain(name: str, **more: Any) -> NodeOrder:
    return NodeOrder(name=name, cordoned=True, draining=True, **more)


def test_a_drained_replica_is_placed_elsewhere_only_once_it_has_stopped() -> None:
    specs = wanted(agent("x"))
    first = place(specs, {}, [node("a"), node("b")])
    assert where(first) == {"x.0": "a"}
    nodes = [node("a", order=drain("a")), node("b")]
    leaving = place(specs, first.assignments, nodes)
    assert where(leaving) == {"x.0": "a"}
    assert leaving.assignments["x.0"].leaving == "a is draining"
    again = place(specs, leaving.assignments, nodes)
    assert again.assignments == leaving.assignments
    moved = place(specs, leaving.assignments, nodes, released={"x.0"})
    assert where(moved) == {"x.0": "b"}
    assert not moved.assignments["x.0"].leaving


def test_a_drain_that_is_called_off_leaves_all_where_it_is() -> None:
    specs = wanted(agent("x"))
    given = {"x.0": Assignment(agent="x", replica=0, node="a", leaving="a is draining")}
    placed = place(specs, given, [node("a"), node("b")])
    assert where(placed) == {"x.0": "a"}
    assert not placed.assignments["x.0"].leaving


def test_pinned_replicas_stay_on_a_drained_host_unless_they_are_to_stop() -> None:
    specs = wanted(agent("x", placement={"hosts": "a"}))
    first = place(specs, {}, [node("a"), node("b")])
    stays = place(specs, first.assignments, [node("a", order=drain("a")), node("b")])
    assert not stays.assignments["x.0"].leaving
    nodes = [node("a", order=drain("a", stop_pinned=True)), node("b")]
    leaves = place(specs, first.assignments, nodes)
    assert leaves.assignments["x.0"].leaving
    assert place(specs, first.assignments, nodes, released={"x.0"}).unplaced


def test_one_that_may_run_on_one_of_two_hosts_moves_to_the_other() -> None:
    specs = wanted(agent("x", placement={"hosts": ["a", "b"]}))
    first = place(specs, {}, [node("a"), node("b"), node("c")])
    nodes = [node("a", order=drain("a")), node("b"), node("c")]
    assert where(place(specs, first.assignments, nodes, released={"x.0"})) == {"x.0": "b"}


def test_a_cordon_moves_nothing() -> None:
    specs = wanted(agent("x", replicas=2))
    first = place(specs, {}, [node("a"), node("b")])
    nodes = [node("a", order=NodeOrder(name="a", cordoned=True)), node("b")]
    assert place(specs, first.assignments, nodes).assignments == first.assignments


def test_load_says_how_many_replicas_there_are() -> None:
    specs = wanted(agent("x", replicas=2, scale={"min": 2, "max": 5}))
    assert len(place(specs, {}, THREE).assignments) == 2
    assert len(place(specs, {}, THREE, counts={"x": 4}).assignments) == 4


def _world(chance: random.Random) -> tuple[dict[str, DesiredAgent], list[Candidate]]:
    nodes = []
    for name in "abcd"[: chance.randint(1, 4)]:
        gpus = tuple(
            gpu(f"G-{name}{number}", chance.choice([0, 10, 40, 80]))
            for number in range(chance.randint(0, 4))
        )
        order = NodeOrder(name=name, cordoned=chance.random() < 0.3, draining=chance.random() < 0.5)
        labels = {"zone": chance.choice("xy")}
        nodes.append(Candidate(name, labels, gpus, order if chance.random() < 0.5 else None))
    agents = []
    for number in range(chance.randint(1, 6)):
        gpus_asked = chance.choice([0, 0, 1, 1, 2])
        memory = chance.choice([0, 8, 16, 30]) * GIB if gpus_asked else 0
        placement: dict[str, Any] = {"strategy": chance.choice(["spread", "pack"])}
        if chance.random() < 0.3:
            placement["hosts"] = chance.choice("abcd")
        if chance.random() < 0.2:
            placement["labels"] = {"zone": chance.choice("xy")}
        agents.append(
            agent(
                f"agent-{number}",
                replicas=chance.randint(0, 4),
                resources={"gpus": gpus_asked, "gpu_memory": memory},
                placement=placement,
            )
        )
    return wanted(*agents), nodes


def _check(specs: dict[str, DesiredAgent], nodes: list[Candidate], placed: Placed) -> None:
    """Nothing is promised twice, nor more than there is; nothing lies where it must not."""
    rooms = {room.uuid: room for n in nodes for room in n.gpus}
    on: dict[str, list[Assignment]] = {}
    for key, given in placed.assignments.items():
        spec = specs[given.agent].spec
        assert key == f"{given.agent}.{given.replica}"
        assert len(set(given.gpus)) == len(given.gpus)
        if not given.leaving:
            assert len(given.gpus) == spec.resources.gpus
            assert given.gpu_memory == spec.resources.gpu_memory
            at = next(n for n in nodes if n.name == given.node)
            assert set(given.gpus) <= {room.uuid for room in at.gpus}
            assert not spec.placement.named or given.node in spec.placement.named
            assert spec.placement.labels.items() <= dict(at.labels).items()
        for uuid in given.gpus:
            on.setdefault(uuid, []).append(given)
    for uuid, sharing in on.items():
        if any(not given.gpu_memory for given in sharing):
            assert len(sharing) == 1, uuid
        free = rooms[uuid].free_bytes
        assert free is not None
        assert sum(given.gpu_memory for given in sharing) <= free


@pytest.mark.parametrize("seed", range(300))
def test_no_placing_ever_over_commits_moves_needlessly_or_differs(seed: int) -> None:
    chance = random.Random(seed)
    specs, nodes = _world(chance)
    placed = place(specs, {}, nodes)
    _check(specs, nodes, placed)
    count = sum(a.spec.replicas for a in specs.values())
    assert len(placed.assignments) + len(placed.unplaced) == count
    assert set(placed.choices) == {f"{n}.{r}" for n, r in placed.unplaced} | set(placed.assignments)
    shuffled = chance.sample(nodes, len(nodes))
    mixed = dict(chance.sample(sorted(specs.items()), len(specs)))
    assert place(mixed, {}, shuffled) == placed
    # Others come, some go, hosts are cordoned: who can stay stays.
    later, _ = _world(chance)
    both = {**{f"other-{k}": _named(v, f"other-{k}") for k, v in later.items()}, **specs}
    again = place(both, placed.assignments, nodes)
    _check(both, nodes, again)
    cordons = {n.name for n in nodes if n.order and n.order.cordoned and n.order.draining}
    for key, given in placed.assignments.items():
        if given.node not in cordons:
            assert again.assignments[key] == given, key
    fewer = {name: spec for name, spec in both.items() if chance.random() < 0.6}
    calm = place(fewer, again.assignments, nodes)
    _check(fewer, nodes, calm)
    assert place(fewer, calm.assignments, nodes).assignments == calm.assignments


def _named(desired: DesiredAgent, name: str) -> DesiredAgent:
    return desired.model_copy(update={"spec": desired.spec.model_copy(update={"name": name})})
