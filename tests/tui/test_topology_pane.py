"""Topology: a graph that fits for five, fifty and five hundred; rings; paths; messages, live."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh

from sparkplug.schema.tap import TappedMessage
from sparkplug.schema.topology import (
    EdgeBreaker,
    Topology,
    TopologyEdge,
    TopologyNode,
    WaitEdge,
    WaitRing,
)
from sparkplug.tui.panes.talk_graph import MOST_BOXES, MOST_PAIRS, Drawn, TalkGraph
from sparkplug.tui.panes.topology import TopologyPane
from sparkplug.tui.widgets.canvas.model import Key


def edge(one: str, other: str, messages: int = 1, **more: Any) -> TopologyEdge:
    return TopologyEdge(from_=one, to=other, messages=messages, **more)


def crowd(count: int, seed: int = 1) -> Topology:
    """So many agents of a few kinds, each of which speaks to three."""
    chance = random.Random(seed)
    kinds = ("writer", "reader", "judge", "scout", "coder")
    names = [f"{kinds[n % len(kinds)]}-{n:03}" for n in range(count)]
    edges = {
        (one, chance.choice(names)): chance.randrange(1, 500) for one in names for _ in range(3)
    }
    return Topology(
        nodes=[TopologyNode(name=name, kind="agent") for name in names],
        edges=[edge(*pair, many, rate_per_second=many / 10) for pair, many in edges.items()],
    )


FEW = Topology(
    nodes=[
        TopologyNode(name=name, kind=kind, queue_depth=depth, waiting=depth // 2)
        for name, kind, depth in (
            ("ana", "face", 0),
            ("research", "agent", 2),
            ("writer", "agent", 4),
            ("critic", "agent", 0),
            ("all", "group", 0),
        )
    ],
    edges=[
        edge("ana", "research", 12, rate_per_second=0.4, latency_p50_ms=80, latency_p95_ms=240),
        edge("research", "writer", 420, rate_per_second=14.2, inflight=4, latency_p95_ms=1900),
        edge("writer", "critic", 90, errors=30, rate_per_second=3.0),
        edge("research", "all", 5),
    ],
    messages_per_second=17.6,
    observer="gpu-1",
)


def everything(_: TopologyEdge) -> bool:
    return True


def draw(topology: Topology, talk: TalkGraph | None = None, **more: Any) -> Drawn:
    return (talk or TalkGraph()).draw(topology, more.pop("takes", everything), **more)


def pen_of(drawn: Drawn, one: str, other: str) -> tuple[str, str]:
    found = drawn.graph.by_key[Key(one, other)]
    return found.pen, found.weight


# What is drawn


def test_rates_and_errors_are_seen_on_the_edges_and_queues_on_the_boxes() -> None:
    drawn = draw(FEW)
    assert pen_of(drawn, "research", "writer") == ("active", "double")
    assert pen_of(drawn, "writer", "critic") == ("bad", "heavy")
    assert pen_of(drawn, "research", "all") == ("dim", "light")
    assert drawn.graph.by_id["writer"].note == "4"
    assert drawn.graph.by_id["all"].symbol == "◎"
    inside = {name: drawn.graph.by_id[name].inside[0][0][1] for name in ("all", "ana", "critic")}
    assert inside == {"all": "◎ group", "ana": "❯ idle", "critic": "idle"}
    assert drawn.graph.by_key[Key("writer", "critic")].label == "3.0/s ✖30"


@pytest.mark.parametrize("count", [5, 36, 50, 500])
def test_it_is_never_more_than_can_be_read(count: int) -> None:
    topology = crowd(count)
    drawn = draw(topology)
    assert len(drawn.graph.boxes) <= MOST_BOXES
    assert len(drawn.graph.edges) <= MOST_PAIRS
    names = {name for edge in topology.edges for name in (edge.from_, edge.to)}
    assert {name for members in drawn.boxes.values() for name in members} == names
    merged = sum(pair.messages for pair in drawn.pairs.values())
    if not drawn.quieter:
        assert merged == sum(edge.messages for edge in topology.edges)


def test_a_crowd_is_one_box_until_it_is_opened() -> None:
    talk = TalkGraph()
    drawn = draw(crowd(150), talk)
    assert sorted(drawn.crowds) == [f"{kind} ×30" for kind in sorted(_kinds())]
    talk.opened = "judge"
    inside = draw(crowd(150), talk)
    assert {"judge-002", "judge-147"} <= set(inside.graph.by_id)
    assert len(inside.graph.boxes) == 34


def _kinds() -> set[str]:
    return {"writer", "reader", "judge", "scout", "coder"}


def test_names_without_a_stem_leave_the_quiet_ones_in_one_box() -> None:
    names = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}x" for n in range(100)]
    edges = [edge(one, other, n) for n, (one, other) in enumerate(itertools.pairwise(names))]
    drawn = draw(Topology(edges=edges))
    assert len(drawn.graph.boxes) == MOST_BOXES
    (others,) = [name for name in drawn.boxes if name.startswith("others ×")]
    assert len(drawn.boxes[others]) == 100 - MOST_BOXES + 1
    assert names[-2] in drawn.graph.by_id, "it said most"


@pytest.mark.parametrize("count", [5, 50, 500])
def test_it_stays_where_it_is_while_counts_change(count: int) -> None:
    talk = TalkGraph()
    topology = crowd(count)
    before = draw(topology, talk)
    chance = random.Random(9)
    for found in topology.edges:
        found.messages += chance.randrange(5000)
        found.rate_per_second = chance.random() * 400
    after = draw(topology, talk)
    for zoom in ("full", "line", "dot"):
        assert after.graph.shape(zoom) == before.graph.shape(zoom)


def test_paths_through_what_is_selected_stand_out() -> None:
    topology = Topology(
        edges=[edge("a", "b"), edge("b", "c"), edge("c", "d"), edge("x", "c"), edge("x", "y")]
    )

    def faint(selected: Any) -> set[tuple[str, str]]:
        drawn = draw(topology, selected=selected)
        return {(e.source, e.target) for e in drawn.graph.edges if e.pen == "line"}

    assert faint("b") == {("x", "c"), ("x", "y")}
    assert faint("c") == {("x", "y")}
    assert faint(Key("x", "c")) == {("a", "b"), ("b", "c"), ("x", "y")}
    assert faint(None) == set()


def test_rings_of_waits_are_called_out() -> None:
    ring = WaitRing(
        agents=["research/0", "writer/0"],
        waits=[
            WaitEdge(from_="research/0", to="writer/0", action="write", seconds=4),
            WaitEdge(from_="writer/0", to="research/0", action="check", seconds=3),
        ],
    )
    topology = FEW.model_copy(deep=True)
    topology.edges.append(edge("writer", "research"))
    topology.rings = [ring]
    drawn = draw(topology)
    assert pen_of(drawn, "writer", "research") == ("bad", "double")
    assert drawn.graph.by_id["research"].symbol == "⊗"
    assert drawn.graph.by_key[Key("research", "writer")].label == "waits"
    topology.rings = [ring.model_copy(update={"certain": False})]
    assert pen_of(draw(topology), "writer", "research") == ("warn", "double")


def test_circuit_breakers_mark_the_edge_and_who_is_left_alone() -> None:
    topology = FEW.model_copy(deep=True)
    topology.edges[1].breaker = "open"
    drawn = draw(topology)
    assert pen_of(drawn, "research", "writer") == ("bad", "double")
    assert drawn.graph.by_key[Key("research", "writer")].label == "⊘ open"
    assert drawn.graph.by_id["writer"].symbol == "⊘"
    topology.edges[1].breaker = "half-open"
    assert pen_of(draw(topology), "research", "writer") == ("warn", "double")


# On the screen


def pane(seen: Centre) -> TopologyPane:
    found = seen.app.pane
    assert isinstance(found, TopologyPane)
    return found


async def shown(mesh: Mesh, seen: Centre, topology: Topology, words: str) -> None:
    """Tell the graph until the pane has it: what is told before it listens is not heard."""

    await seen.press("4")

    async def there() -> bool:
        await mesh.topology(topology)
        await seen.pilot.pause()
        return words in seen.screen

    await seen.becomes(there)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_graph_and_its_pairs(mesh: Mesh, size: tuple[int, int]) -> None:
    await mesh.agent("research", served=1)
    async with centre(size) as seen:
        await shown(mesh, seen, FEW, "writer")
        await seen.shows(
            "conversation", "pairs 4", "research", "critic", "18/s in 4 pairs among 5 participants"
        )
        await seen.press("j")
        await seen.until(lambda: pane(seen)._canvas.selected is not None)
        await seen.press("slash")
        await seen.type("critic")
        await seen.press("enter")
        await seen.until(lambda: len(pane(seen)._drawn.graph.boxes) == 2)
        await seen.press("escape")
        await seen.until(lambda: len(pane(seen)._drawn.graph.boxes) == 5)


async def test_a_deadlock_stands_below_the_graph(mesh: Mesh) -> None:
    await mesh.agent("research")
    topology = FEW.model_copy(deep=True)
    topology.rings = [
        WaitRing(
            agents=["research/0", "writer/0"],
            waits=[
                WaitEdge(from_="research/0", to="writer/0", action="write", seconds=4),
                WaitEdge(from_="writer/0", to="research/0", action="check\x1b[2J", seconds=3),
            ],
        )
    ]
    async with centre((100, 30)) as seen:
        await shown(mesh, seen, topology, "deadlock: research/0 → writer/0 → research/0")
        await seen.shows("waits 4.0s for writer/0 to write", "to check")
        assert "\x1b" not in seen.screen


async def test_a_circuit_breaker_stands_below_the_graph_and_in_the_pairs(mesh: Mesh) -> None:
    await mesh.agent("research")
    topology = FEW.model_copy(deep=True)
    topology.edges[1].breaker = "open"
    topology.breakers = [
        EdgeBreaker(from_="research/0", to="writer/1", state="open", failures=5),
        EdgeBreaker(from_="research/0", to="writer/2", state="half-open", failures=8),
    ]
    async with centre((180, 40)) as seen:
        await shown(mesh, seen, topology, "⊘ open: research/0 leaves writer/1 alone")
        await seen.shows("after 5 failures; 1 more")
        found = pane(seen)
        found._canvas.focus()
        found._canvas.select("critic")
        await seen.until(lambda: "leaves writer/1" not in seen.screen)
        found._canvas.select(Key("research", "writer"))
        await seen.shows("leaves writer/1 alone", "research → writer")
        found.main.focus()
        await seen.press("ctrl+z")
        await seen.until(lambda: len(found._drawn.graph.edges) == 2)


async def test_an_agent_on_the_graph_is_described_and_a_crowd_opened(mesh: Mesh) -> None:
    await mesh.agent("research", served=7)
    async with centre((120, 40)) as seen:
        await shown(mesh, seen, FEW, "writer")
        found = pane(seen)
        found._canvas.focus()
        found._canvas.select("research")
        await seen.until(lambda: seen.app.subject is not None)
        assert seen.app.subject is not None
        assert (seen.app.subject.kind, seen.app.subject.name) == ("agent", "research")
        await seen.shows("research  hears 0.4/s, says 14/s")
        await seen.press("d")
        await seen.until(lambda: len(seen.app.screen_stack) > 1)
        await seen.press("escape", "escape", "escape")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)
        await shown(mesh, seen, crowd(150), "judge ×30")
        found._canvas.focus()
        found._canvas.select("judge ×30")
        await seen.press("enter")
        await seen.until(lambda: "judge-002" in found._drawn.graph.by_id)
        await seen.shows("in judge")
        await seen.press("escape", "escape")
        await seen.until(lambda: "judge ×30" in found._drawn.graph.by_id)


async def test_the_messages_of_a_pair_are_read_live(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparkplug.client import tap as room

    asked: list[Any] = []
    more: list[Callable[[], None]] = []

    async def tap(client: Any, wanted: Any, **_: Any) -> Any:
        asked.append(wanted)
        go_on = asyncio.Event()
        more.append(go_on.set)
        yield TappedMessage(
            kind="request", from_="research", to="writer", text="a \x1b[31mdraft", bytes=9
        )
        await go_on.wait()
        yield TappedMessage(kind="answer", from_="writer", to="research", text="ready", skipped=3)
        await asyncio.Event().wait()

    monkeypatch.setattr(room, "tap", tap)
    await mesh.agent("research")
    async with centre((110, 30)) as seen:
        await shown(mesh, seen, FEW, "writer")
        pane(seen).main.select("research → writer")
        await seen.press("enter")
        await seen.shows("messages of research to writer", "a draft", "1 so far")
        assert (asked[0].from_, asked[0].to) == ("research", "writer")
        await seen.press("f")
        await seen.shows("held")
        await seen.press("f")
        more[0]()
        await seen.shows("3 more were not shown", "ready")
        await seen.press("escape")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)


async def test_nothing_is_drawn_while_it_is_not_in_sight(mesh: Mesh) -> None:
    await mesh.agent("research")
    async with centre((100, 30)) as seen:
        await shown(mesh, seen, FEW, "writer")
        found = pane(seen)
        await seen.press("1")
        drawn = found._drawn
        await mesh.topology(crowd(50))
        await mesh.agent("another")
        await seen.shows("another")
        assert found._drawn is drawn
