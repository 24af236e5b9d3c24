"""What forms, trees and the palette's matching cost: figures of single steps, off the screen."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.figures import Figure, p50
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.tui.filter import EVERYTHING, Filter
from sparkplug.tui.fuzzy import match
from sparkplug.tui.screen.collecting import Collecting
from sparkplug.tui.widgets.form import draw
from sparkplug.tui.widgets.form.state import FormState
from sparkplug.tui.widgets.tree import Tree
from sparkplug.tui.widgets.tree_nodes import Node

_NODES = 100_000
_TIMES = 5
_TITLES = 2000


def _ms(step: Callable[[int], object], times: int = _TIMES) -> float:
    """The median of some runs, in milliseconds."""
    took = []
    for turn in range(times):
        began = time.perf_counter()
        step(turn)
        took.append((time.perf_counter() - began) * 1000)
    return p50(took)


def _form() -> float:
    state = FormState(AgentSpec, AgentSpec(name="critic", entrypoint="m:f"))

    def letter(turn: int) -> None:
        state.put(("description",), "x" * (turn + 1), merge=True)
        at = draw.sizes(list(state.fields), 100)
        for field in state.rows():
            draw.field_line(state, field, at, focused=None)

    return _ms(letter, 200)


def _tree() -> tuple[float, float]:
    tree = Tree()
    nodes = [Node(str(n), (("text", f"node {n}"),), n) for n in range(_NODES)]
    tree.set_nodes([Node("all", (("text", "all"),), None, lambda: nodes)])

    opened = []
    for _ in range(_TIMES):
        opened.append(_ms(lambda _turn: tree.action_unfold(), 1))
        tree.action_fold()
    tree.action_unfold()

    def narrow(_turn: int) -> None:
        tree.wanted = Filter("9$")
        tree.wanted = EVERYTHING

    return p50(opened), _ms(narrow, 3) / 2


def _match() -> float:
    titles = [f"Restart agent worker-{n}" for n in range(_TITLES)]
    return _ms(lambda _turn: [match("rsw19", title) for title in titles])


def run() -> list[Figure]:
    """All figures of this file, with garbage collected as it is under a screen."""
    collecting = Collecting()
    collecting.begin()
    collecting.loaded()
    opened, filtered = _tree()
    return [
        Figure("form: a letter in an agent file, checked and laid out", _form(), "ms", 5),
        Figure("tree: unfold 100,000 nodes", opened, "ms", 100),
        Figure("tree: filter 100,000 nodes", filtered, "ms", 500),
        Figure(f"palette: match {_TITLES} entries", _match(), "ms", 20),
    ]
