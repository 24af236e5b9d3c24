"""The tree: folding, the cursor that stays, filters, many nodes, what is described with it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

from textual.app import ComposeResult
from textual.pilot import Pilot
from tui_centre import centre
from tui_mesh import Mesh

from sparkplug.tui.cells import plain
from sparkplug.tui.filter import EVERYTHING, Filter
from sparkplug.tui.looks import Looks
from sparkplug.tui.screen.writer import PaintedApp
from sparkplug.tui.themes import Terminal, load_themes
from sparkplug.tui.widgets.data_tree import data_nodes, value_text
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.tree import Tree
from sparkplug.tui.widgets.tree_nodes import Node


class Held(Looks, PaintedApp):
    """A tree and what it posted."""

    def __init__(self, tree: Tree) -> None:
        super().__init__(themes=load_themes()[0], terminal=Terminal())
        self.theme = "neon"
        self.nodes = tree
        self.copied: list[str] = []
        self.chosen: list[str] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(self.themes["neon"].variables) if hasattr(self, "themes") else {}

    def compose(self) -> ComposeResult:
        yield self.nodes

    def on_mount(self) -> None:
        self.nodes.focus()

    def on_tree_copied(self, event: Tree.Copied) -> None:
        self.copied.append(event.text)

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        self.chosen.append(event.row.key)

    @property
    def text(self) -> str:
        return "\n".join(strip.text for strip in self.screen._compositor.render_strips())


@contextlib.asynccontextmanager
async def opened(
    nodes: Sequence[Node], size: tuple[int, int] = (60, 20), open_to: int = 0
) -> AsyncIterator[tuple[Held, Pilot[Any]]]:
    tree = Tree("tree", empty="nothing here", text_of=value_text)
    app = Held(tree)
    async with app.run_test(size=size) as pilot:
        tree.set_nodes(nodes, open_to=open_to)
        await pilot.pause()
        yield app, pilot


_SPEC = {
    "name": "critic",
    "resources": {"gpus": 2, "memory": {"least": "16GiB"}},
    "env": {"A": "1"},
    "capabilities": ["review", {"to": ["de"]}],
}


async def test_branches_fold_and_the_cursor_goes_up_and_down() -> None:
    async with opened(data_nodes(_SPEC)) as (app, pilot):
        tree = app.nodes
        assert tree.shown == 4
        await pilot.press("down", "right")
        assert tree.shown == 6
        await pilot.press("right", "down", "right", "right")
        assert tree.path == ("resources", "memory", "least")
        assert "└─ least: 16GiB" in app.text
        await pilot.press("left")
        assert tree.path == ("resources", "memory")
        await pilot.press("left", "left", "left")
        assert tree.path == ("resources",)
        assert tree.shown == 4
        await pilot.press("space")
        assert tree.shown == 6
        await pilot.press("minus")
        assert tree.shown == 4
        await pilot.press("asterisk")
        assert tree.shown == 7
        await pilot.press("left", "right")
        assert tree.shown == 7, "what was open below is open again"
        await pilot.press("enter")
        assert app.chosen == ["resources"]


async def test_values_and_paths_are_copied() -> None:
    async with opened(data_nodes(_SPEC), open_to=9) as (app, pilot):
        app.nodes.select("capabilities\x1f[1]\x1fto\x1f[0]")
        await pilot.press("y", "Y")
        await pilot.pause()
        assert app.copied == ["de", "capabilities[1].to[0]"]
        app.nodes.select("env")
        await pilot.press("y")
        await pilot.pause()
        assert app.copied[-1] == '{\n  "A": "1"\n}'


async def test_children_are_made_when_they_are_looked_at() -> None:
    made: list[str] = []

    def below() -> list[Node]:
        made.append("once")
        return [Node("x", (("text", "inside"),))]

    async with opened([Node("lazy", (("text", "lazy"),), None, below)]) as (app, pilot):
        assert made == []
        await pilot.press("right", "left", "right")
        await pilot.pause()
        assert made == ["once"]
        assert "inside" in app.text


async def test_a_hundred_thousand_nodes() -> None:
    drawn = 0

    def below() -> list[Node]:
        return [Node(str(n), (("text", f"node {n}"),), n) for n in range(100_000)]

    async with opened([Node("many", (("text", "many"),), None, below)]) as (app, pilot):
        tree = app.nodes
        inner = tree._line_at

        def counted(index: int) -> Any:
            nonlocal drawn
            drawn += 1
            return inner(index)

        tree._line_at = counted  # type: ignore[method-assign]
        await pilot.press("right", "end")
        await pilot.pause()
        assert tree.shown == 100_001
        assert "node 99999" in app.text
        assert drawn < 500, "only what is in sight is laid out"
        tree.wanted = Filter("node 4217$")
        await pilot.pause()
        assert tree.shown == 2
        tree.wanted = EVERYTHING
        assert tree.shown == 100_001


async def test_a_filter_keeps_what_is_above_and_below_a_match() -> None:
    async with opened(data_nodes(_SPEC)) as (app, pilot):
        tree = app.nodes
        tree.wanted = Filter("16gib")
        await pilot.pause()
        assert [tree.at(i).key for i in range(tree.shown)] == [
            "resources",
            "resources\x1fmemory",
            "resources\x1fmemory\x1fleast",
        ]
        tree.wanted = Filter("memory")
        await pilot.press("end", "right")
        await pilot.pause()
        assert "least: 16GiB" in app.text
        tree.wanted = Filter("no such thing")
        await pilot.pause()
        assert "nothing matches /no such thing" in app.text
        tree.wanted = EVERYTHING
        await pilot.pause()
        assert "env:" in app.text


def _random_nodes(rng: random.Random, depth: int = 0) -> list[Node]:
    keys = rng.sample("abcdefgh", rng.randrange(1, 6))
    return [
        Node(
            key,
            (("text", f"{key}{rng.randrange(3)}"),),
            key,
            _random_nodes(rng, depth + 1) if depth < 3 and rng.random() < 0.6 else (),
        )
        for key in keys
    ]


async def test_the_cursor_stays_on_its_node_and_the_screen_is_what_is_there() -> None:
    rng = random.Random(17)
    async with opened(_random_nodes(rng), (40, 12), open_to=4) as (app, pilot):
        tree = app.nodes
        for step in range(150):
            before = tree.path
            if rng.random() < 0.5:
                nodes = _random_nodes(rng)
                tree.set_nodes(nodes)
                reachable = {tree._places[i].path for i in range(tree.shown)}
                if before in reachable:
                    assert tree.path == before
                elif before[:1] in reachable:
                    assert tree.path == before[: len(tree.path)]
            else:
                keys = ["up", "down", "left", "right", "space", "asterisk", "minus", "end", "home"]
                await pilot.press(rng.choice(keys))
            if step % 10 == 0:
                tree.wanted = rng.choice([EVERYTHING, Filter("1"), Filter("!2"), Filter("^a")])
            await pilot.pause()
            shown = app.text.splitlines()[1:-1]
            for y in range(min(tree.page, tree.shown - tree.top)):
                assert plain(tree._line_at(tree.top + y)) in shown[y]
            assert sum("▸" in line for line in shown) == (1 if tree.shown else 0)


async def test_the_mouse_folds_and_chooses() -> None:
    async with opened(data_nodes(_SPEC)) as (app, pilot):
        await pilot.click(app.nodes, offset=(3, 2))
        await pilot.pause()
        assert app.nodes.shown == 6
        await pilot.click(app.nodes, offset=(20, 5))
        await pilot.pause()
        assert app.nodes.path == ("env",) or app.nodes.path == ("resources", "memory")


async def test_hostile_and_deep_values_shift_nothing() -> None:
    evil = "\x1b[2J\u202e日本\n\tx" * 2000
    deep: Any = "end"
    for _ in range(200):
        deep = {evil[:20]: deep}
    async with opened(data_nodes({evil: evil, "deep": deep, "list": [evil, [evil]]})) as (
        app,
        pilot,
    ):
        await pilot.press("end", "asterisk", "home", "down", "asterisk", "end")
        await pilot.pause()
        for line in app.text.splitlines():
            assert line.isprintable()
        assert {s.cell_length for s in app.screen._compositor.render_strips()} == {60}


async def test_an_agent_is_described_as_a_tree(mesh: Mesh) -> None:
    await mesh.agent("critic", reason="because", actions={"review": {"type": "object"}})
    async with centre((80, 40)) as seen:
        await seen.shows("critic")
        await seen.press("d")
        await seen.shows("critic/0", "reason", "because", "actions:", "entrypoint: m:f")
        await seen.press("slash")
        await seen.type("owner")
        await seen.press("enter")
        await seen.until(lambda: "entrypoint" not in seen.screen)
        await seen.press("end", "y")
        await seen.until(lambda: seen.app.clipboard == "tester")
        await seen.press("enter")
        await seen.until(lambda: len(seen.app.screen_stack) == 3)
        await seen.press("q", "escape")
        await seen.shows("entrypoint: m:f")
        await mesh.agent("critic", "thinking")
        await seen.shows("◐ thinking")
        await seen.press("escape")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)
