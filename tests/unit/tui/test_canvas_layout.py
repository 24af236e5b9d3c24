"""Layouts: no box on another, no edge through a box, every edge whole, the same every time."""

from __future__ import annotations

from itertools import combinations, pairwise
from random import Random

import pytest

from sparkplug.tui.cells import clean, joined
from sparkplug.tui.widgets.canvas import channels, order, ranks
from sparkplug.tui.widgets.canvas.across import nearest
from sparkplug.tui.widgets.canvas.free import lay_out_placed, place_boxes
from sparkplug.tui.widgets.canvas.layered import lay_out
from sparkplug.tui.widgets.canvas.model import (
    ZOOMS,
    Box,
    Drawing,
    Edge,
    Graph,
    Point,
    Rect,
    Way,
    Zoom,
)
from sparkplug.tui.widgets.canvas.picture import picture
from sparkplug.tui.widgets.canvas.raster import Raster


def made(random: Random, count: int, edges: int, way: Way = "right") -> Graph:
    """Boxes of many sizes, edges anywhere: cycles, pairs both ways, loops, labels."""
    boxes = []
    for at in range(count):
        lines = tuple((("text", "x" * random.randrange(14)),) for _ in range(random.randrange(4)))
        boxes.append(Box(f"b{at}", "n" * random.randrange(1, 12), lines))
    found = []
    for _ in range(edges):
        source, target = random.randrange(count), random.randrange(count)
        label = "9.9/s" if random.random() < 0.3 else ""
        found.append(Edge(f"b{source}", f"b{target}", label=label))
    return Graph(tuple(boxes), tuple(found), way)


def cells(route: tuple[Point, ...]) -> list[Point]:
    """Every cell of a route, in its order."""
    found = [route[0]]
    for (x, y), (to_x, to_y) in pairwise(route):
        assert (x == to_x) != (y == to_y), "it goes straight and turns at right angles"
        way = ((to_x > x) - (to_x < x), (to_y > y) - (to_y < y))
        while found[-1] != (to_x, to_y):
            found.append(Point(found[-1].x + way[0], found[-1].y + way[1]))
    return found


def beside(place: Rect, cell: Point) -> bool:
    """Whether a cell touches a side of a box."""
    x, y = cell
    return (x in (place.x - 1, place.right) and place.y <= y < place.bottom) or (
        y in (place.y - 1, place.bottom) and place.x <= x < place.right
    )


def check(graph: Graph, drawn: Drawing, *, led_around: bool = True) -> None:
    """What holds for every drawing."""
    assert set(drawn.places) == set(graph.by_id)
    assert set(drawn.routes) == set(graph.by_key)
    for (one, place), (other, there) in combinations(drawn.places.items(), 2):
        assert not place.meets(there), f"{one} {place} and {other} {there}"
    taken = {
        (x, y): name
        for name, place in drawn.places.items()
        for y in range(place.y, place.bottom)
        for x in range(place.x, place.right)
    }
    for key, route in drawn.routes.items():
        assert beside(drawn.places[key.source], route[0]), f"{key} does not begin at its box"
        assert beside(drawn.places[key.target], route[-1]), f"{key} does not end at its box"
        if led_around:
            through = [taken[cell] for cell in cells(route) if cell in taken]
            assert not through, f"{key} goes through {through}"
    for one, other in combinations(drawn.labels.values(), 2):
        assert not one.meets(other)
    for label in drawn.labels.values():
        assert not any(label.meets(place) for place in drawn.places.values())


def shared(drawn: Drawing) -> set[tuple[object, object]]:
    """Pairs of edges that run along the same cells, though they have no end in common."""
    along: dict[tuple[int, int, bool], set[object]] = {}
    for key, route in drawn.routes.items():
        for a, b in pairwise(route):
            for x in range(min(a.x, b.x), max(a.x, b.x) + 1):
                for y in range(min(a.y, b.y), max(a.y, b.y) + 1):
                    along.setdefault((x, y, a.x == b.x), set()).add(key)
    return {
        (one, other)
        for keys in along.values()
        for one, other in combinations(sorted(keys), 2)  # type: ignore[type-var]
        if not set(one[:2]) & set(other[:2])  # type: ignore[index]
    }


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("zoom", ZOOMS)
def test_layouts_hold_for_any_graph(seed: int, zoom: Zoom) -> None:
    random = Random(seed)
    count = random.randrange(1, 26)
    way: Way = "down" if seed % 2 else "right"
    graph = made(random, count, random.randrange(2 * count), way)
    drawn = lay_out(graph.shape(zoom))
    check(graph, drawn)
    assert lay_out(graph.shape(zoom)) == drawn, "the same graph has the same places"
    assert shared(drawn) == set(), "edges that have nothing in common have cells of their own"


@pytest.mark.parametrize("seed", range(40))
def test_a_new_box_moves_the_others_little(seed: int) -> None:
    random = Random(seed)
    count = random.randrange(2, 20)
    graph = made(random, count, random.randrange(1, 2 * count))
    before = lay_out(graph.shape("full"))
    assert lay_out(graph.shape("full"), before).places.keys() == before.places.keys()
    near = f"b{random.randrange(count)}"
    more = Graph(
        (*graph.boxes, Box("new", "new")),
        (*graph.edges, random.choice([Edge(near, "new"), Edge("new", near)])),
    )
    after = lay_out(more.shape("full"), before)
    check(more, after)
    still = {name for name, rank in before.ranks.items() if after.ranks[name] == rank}
    assert still == set(before.ranks), "they stay in their layers"
    for name in before.ranks:
        down = abs(after.places[name].y - before.places[name].y)
        assert down <= 8, f"{name} went from {before.places[name]} to {after.places[name]}"
    without = Graph(graph.boxes[1:], graph.edges)
    check(without, lay_out(without.shape("full"), before))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("zoom", ZOOMS)
def test_boxes_that_were_put_stay_there(seed: int, zoom: Zoom) -> None:
    random = Random(seed)
    graph = made(random, random.randrange(2, 16), random.randrange(20))
    spots = [Point(x * 24, y * 9) for x in range(5) for y in range(5)]
    random.shuffle(spots)
    boxes = tuple(
        Box(box.id, box.title, box.lines, place=Point(at.x + random.randrange(4), at.y))
        for box, at in zip(graph.boxes, spots, strict=False)
    )
    graph = Graph(boxes, graph.edges)
    assert graph.placed
    drawn = lay_out_placed(graph, zoom)
    check(graph, drawn)
    if zoom == "full":
        assert all(drawn.places[box.id][:2] == box.place for box in boxes)
    assert lay_out_placed(graph, zoom) == drawn


def test_edges_out_of_the_way_of_a_moved_box_stay() -> None:
    spots = {"a": Point(0, 0), "b": Point(40, 0), "c": Point(0, 20), "d": Point(40, 20)}
    boxes = tuple(Box(name, name, place=place) for name, place in spots.items())
    graph = Graph(boxes, (Edge("a", "b"), Edge("c", "d")))
    before = lay_out_placed(graph, "full")
    moved = Graph(
        tuple(Box(b.id, b.title, place=Point(20, 20) if b.id == "a" else b.place) for b in boxes),
        graph.edges,
    )
    after = lay_out_placed(moved, "full", before)
    check(moved, after)
    (upper, lower) = graph.by_key
    assert after.routes[upper] != before.routes[upper]
    assert after.routes[lower] != before.routes[lower], "the box is in its way now"
    back = lay_out_placed(graph, "full", after)
    assert back.routes[lower] == after.routes[lower], "nothing is in the way of where it is"


def test_boxes_that_leave_no_way_have_the_edge_beneath_them() -> None:
    spots = [Point(x * 7, y * 3) for x in range(3) for y in range(3)]
    boxes = tuple(Box(f"b{at}", "x", width=5, place=place) for at, place in enumerate(spots))
    graph = Graph(boxes, (Edge("b4", "b0"), Edge("b0", "b4")))
    check(graph, lay_out_placed(graph, "full"), led_around=False)
    assert place_boxes(graph, "full")["b4"] == Rect(7, 3, 7, 3)


def test_layers_are_the_longest_path_and_cycles_lead_back() -> None:
    pairs = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "a"), ("x", "x2")]
    assert ranks.layers(["a", "b", "c", "x", "x2"], pairs) == {
        "a": 0,
        "b": 1,
        "c": 2,
        "x": 0,
        "x2": 1,
    }
    assert ranks.components(["a", "x", "b", "x2", "c"], pairs) == [["a", "b", "c"], ["x", "x2"]]


def test_crossings_are_counted_and_taken_out() -> None:
    ids = ["a", "b", "c", "d", "e", "f"]
    graph = Graph(
        tuple(Box(name) for name in ids), (Edge("a", "f"), Edge("b", "e"), Edge("c", "d"))
    )
    found = order.build(ids, list(graph.by_key), ranks.layers(ids, [k[:2] for k in graph.by_key]))
    place = [0] * len(found.nodes)
    for layer in found.layers:
        for at, node in enumerate(layer):
            place[node] = at
    assert order.crossings(found, place) == 3
    order.sort(found)
    for layer in found.layers:
        for at, node in enumerate(layer):
            place[node] = at
    assert order.crossings(found, place) == 0


def test_positions_are_as_near_as_they_may_be() -> None:
    assert nearest([0, 10, 20], [1, 1, 1], [0, 3, 6]) == [0, 10, 20]
    assert nearest([5, 5, 5], [1, 100, 1], [0, 3, 6]) == [2, 5, 8]
    random = Random(5)
    for _ in range(200):
        count = random.randrange(1, 9)
        offsets = [0]
        for _ in range(count - 1):
            offsets.append(offsets[-1] + random.randrange(1, 5))
        wanted = [random.randrange(30) for _ in range(count)]
        found = nearest(wanted, [random.choice([0.25, 1, 8]) for _ in wanted], offsets)
        gaps = [b - a for a, b in pairwise(found)]
        assert all(
            gap >= least for gap, least in zip(gaps, map(_less, pairwise(offsets)), strict=True)
        )


def _less(pair: tuple[int, int]) -> int:
    return pair[1] - pair[0]


def test_trunks_that_each_have_to_come_first_are_parted() -> None:
    one = channels.Net((1, False), {1}, {2})
    other = channels.Net((2, False), {2}, {1})
    assert channels.tracks([one, other]) == 3
    bent, plain = (one, other) if one.second >= 0 else (other, one)
    assert bent.track < plain.track < bent.second
    assert bent.bend not in (1, 2)
    chain = [channels.Net((n, False), {n}, {n + 1}) for n in range(5)]
    channels.tracks(chain)
    assert [net.track for net in chain] == sorted((n.track for n in chain), reverse=True)


# Pictures


def boxes(names: str) -> tuple[Box, ...]:
    return tuple(Box(name, name, symbol="o", pen="ok") for name in names.split())


def drawn(graph: Graph, zoom: Zoom = "full") -> list[str]:
    lines = picture(graph, 200, 50, (zoom,))
    assert lines is not None
    return joined(lines).split("\n")


DIAMOND = (Edge("a", "b"), Edge("a", "c"), Edge("b", "d"), Edge("c", "d"))
TALK = (
    Edge("ask", "write", label="4.5/s", weight="heavy"),
    Edge("write", "read", label="20/s", weight="double"),
    Edge("read", "ask", label="1/s"),
)
ACROSS = (
    *(Edge(source, target) for source in ("a1", "a2") for target in ("b1", "b2")),
    Edge("a2", "c"),
    Edge("a2", "a2"),
)

BOXES = """
         ╭ b ╮    ╭ d ╮
      ╭─▶│   │─┬─▶│   │
      │  ╰───╯ │  ╰───╯
      │        │
╭ a ╮ │  ╭ c ╮ │
│   │─┴─▶│   │─╯
╰───╯    ╰───╯
"""
IN_LINES = """
      ╭─▶ o b ─┬─▶ o d
 o a ─┴─▶ o c ─╯
"""
DOTS = """
  ╭─▶o─┬─▶o
o─┴─▶o─╯
"""
DOWN = """
        ╭ a ╮
        │   │
        ╰───╯
  ╭───────┤
  ▼       ▼
╭ b ╮   ╭ c ╮
│   │   │   │
╰───╯   ╰───╯
  │╭──────╯
  ▼▼
╭ d ╮
│   │
╰───╯
"""
CYCLE = """
                        ╭ write ╮           ╭ read ╮
              ┏ 4.5/s ━▶│       │═══ 20/s ═▶│      │
╭ ask ╮       ┃         ╰───────╯  ╭────────│      │
│     │━━━━━━━┛                    │        ╰──────╯
│     │◀─ 1/s ─────────────────────╯
╰─────╯
"""
TRUNKS = """
            ╭ b1 ╮
       ╭─┬─▶│    │
       │ │  ╰────╯
       │ │
╭ a1 ╮ │ │  ╭ b2 ╮
│    │─┴─┼─▶│    │
╰────╯   │  ╰────╯
         │
╭ a2↻╮   │  ╭ c ╮
│    │───┴─▶│   │
╰────╯      ╰───╯
"""


@pytest.mark.parametrize(
    ("names", "edges", "way", "zoom", "picture"),
    [
        ("a b c d", DIAMOND, "right", "full", BOXES),
        ("a b c d", DIAMOND, "right", "line", IN_LINES),
        ("a b c d", DIAMOND, "right", "dot", DOTS),
        ("a b c d", DIAMOND, "down", "full", DOWN),
        ("ask write read", TALK, "right", "full", CYCLE),
        ("a1 a2 b1 b2 c", ACROSS, "right", "full", TRUNKS),
    ],
)
def test_pictures(names: str, edges: tuple[Edge, ...], way: Way, zoom: Zoom, picture: str) -> None:
    assert drawn(Graph(boxes(names), edges, way), zoom) == picture.strip("\n").split("\n")


def test_edges_that_have_nothing_in_common_cross_as_bridges() -> None:
    spots = {"a": Point(0, 4), "b": Point(30, 4), "c": Point(14, 0), "d": Point(14, 8)}
    crossed = tuple(Box(name, name, place=place) for name, place in spots.items())
    graph = Graph(crossed, (Edge("a", "b"), Edge("c", "d")))
    lines = Raster(graph, lay_out_placed(graph, "full"), "full").lines()
    text = joined(lines)
    assert "┼" not in text
    assert text.count("▶") + text.count("▼") == 2


def test_what_is_selected_is_heavy_and_marked() -> None:
    graph = Graph(boxes("a b"), (Edge("a", "b"),))
    raster = Raster(graph, lay_out(graph.shape("full")), "full")
    assert "┏" not in joined(raster.lines())
    raster.select("a")
    assert "┏▸a ┓" in joined(raster.lines())
    (key,) = graph.by_key
    changed = raster.select(key)
    assert "━━▶" in joined(raster.lines())
    assert "╭ a ╮" in joined(raster.lines())
    assert raster.drawing.places["a"] in changed
    assert raster.select(key) == []


def test_the_cells_that_change_are_told_and_no_others() -> None:
    graph = Graph(boxes("a b c d"), DIAMOND)
    raster = Raster(graph, lay_out(graph.shape("full")), "full")
    before = joined(raster.lines()).split("\n")
    other = tuple(
        Box(b.id, b.title, ((("bad", "x"),),), pen="bad") if b.id == "c" else b for b in graph.boxes
    )
    told = raster.take(Graph(other, DIAMOND))
    assert told == [raster.drawing.places["c"]]
    after = joined(raster.lines()).split("\n")
    for y, (old, new) in enumerate(zip(before, after, strict=True)):
        for x, (one, two) in enumerate(zip(old, new, strict=True)):
            assert one == two or told[0].holds(x, y)
    assert before != after
    assert raster.take(Graph(other, DIAMOND)) == []


HOSTILE = [
    "\x1b[31mred\x1b[0m\x07",
    "日本語テキスト",
    "e\u0301\u0301\u200b\u200d",
    "\u202eright to left\u202c",
    "line\none\ttwo",
    "x" * 1_000_000,
    "👩‍👩‍👧 family",
    "",
]


@pytest.mark.parametrize("zoom", ZOOMS)
def test_hostile_names_shift_nothing(zoom: Zoom) -> None:
    from rich.cells import cell_len

    from sparkplug.tui.cells import length

    hostile = tuple(
        Box(f"h{at}", text, ((("text", text),),), note=text, symbol=text[:1] or "•")
        for at, text in enumerate(HOSTILE)
    )
    chain = tuple(
        Edge(a.id, b.id, label=text)
        for (a, b), text in zip(pairwise(hostile), HOSTILE, strict=False)
    )
    graph = Graph(hostile, chain)
    drawing = lay_out(graph.shape(zoom))
    check(graph, drawing)
    raster = Raster(graph, drawing, zoom)
    for item in (None, "h1", next(iter(graph.by_key))):
        raster.select(item)
        for y, line in enumerate(raster.lines()):
            runs = raster.row(y)
            for one, other in pairwise(runs):
                assert one.x + one.cells <= other.x
            assert length(line) == sum(cell_len(text) for _, text in line)
            assert all(text == clean(text) for _, text in line)
    assert drawing.bounds.width < 8 * 80


def test_any_part_of_a_row_is_as_wide_as_asked() -> None:
    from rich.cells import cell_len
    from rich.style import Style

    random = Random(3)
    graph = made(random, 12, 20)
    wide = tuple(Box(b.id, "日本" + b.title, b.lines) for b in graph.boxes)
    graph = Graph(wide, graph.edges)
    raster = Raster(graph, lay_out(graph.shape("full")), "full")
    pens = dict.fromkeys(("text", "bold", "dim", "line", "focus"), Style())
    bounds = raster.bounds
    for y in range(bounds.y - 1, bounds.bottom + 1):
        whole = "".join(
            s.text for s in raster.segments(bounds.x - 5, y, bounds.width + 10, pens, Style())
        )
        assert cell_len(whole) == bounds.width + 10
        for _ in range(20):
            x, width = random.randrange(-4, bounds.width), random.randrange(1, 30)
            part = "".join(s.text for s in raster.segments(x, y, width, pens, Style()))
            assert cell_len(part) == width


def test_a_picture_is_no_larger_than_its_room() -> None:
    graph = Graph(tuple(Box(name, name, width=9) for name in "abcd"), DIAMOND)
    full, line = (lay_out(graph.shape(zoom)).bounds for zoom in ("full", "line"))
    for width, height, rows in (
        (full.width, full.height, 7),
        (full.width - 1, full.height, 2),
        (full.width, full.height - 1, 2),
        (line.width, line.height, 2),
    ):
        lines = picture(graph, width, height)
        assert lines is not None
        assert len(lines) == rows
    assert picture(graph, line.width - 1, 50) is None
    assert picture(graph, 200, 1) is None
    for width in range(1, 40):
        for height in range(1, 10):
            lines = picture(graph, width, height)
            if lines is not None:
                assert len(lines) <= height
                assert max(map(len, joined(lines).split("\n"))) <= width
    assert picture(Graph(), 10, 10) is None


def test_edges_that_lead_nowhere_and_second_ones_count_for_nothing() -> None:
    graph = Graph(boxes("a b"), (Edge("a", "b"), Edge("a", "b"), Edge("a", "x"), Edge("b", "b")))
    assert list(graph.by_key) == [("a", "b", "")]
    assert graph.loops == {"b"}
    assert drawn(graph)[0] == "╭ a ╮   ╭ b↻╮"
