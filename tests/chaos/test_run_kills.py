"""A sample of what `make chaos` does to runs, one of each that can be killed."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from chaos.run_kills import MOMENTS, VICTIMS, RunArena
from fakes.node import Node


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunArena]:
    folder = tmp_path_factory.mktemp("runs")
    node = Node(folder / "s")
    node.up()
    found = RunArena(node, folder / "agents", random.Random(7))
    found.begin()
    yield found
    node.close()


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "moment"), [(v, MOMENTS[n % 3]) for n, v in enumerate(VICTIMS)])
def test_a_run_ends_right_whatever_is_killed(arena: RunArena, victim: str, moment: str) -> None:
    case = arena.try_one(victim, moment)
    assert case.problems == []
