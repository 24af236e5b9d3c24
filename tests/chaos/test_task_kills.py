"""A short round of `python -m tests.chaos --tasks …`: every task ends, none is twice in hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.task_kills import PARTS, TaskArena
from fakes.node import Node


@pytest.mark.slow
async def test_every_task_ends_whoever_is_killed(node: Node, tmp_path: Path) -> None:
    arena = TaskArena(node, tmp_path / "recorder")
    arena.begin()
    await arena.run(400, kills=5, pause=0.6, seed=7, length=0.08)
    print(arena.report())
    assert set(arena.kills) == set(PARTS)
    assert arena.faults() == []
    assert len(arena.accepted) == 400
    assert any(len(made) > 1 for made in arena.tries().values()), "nothing was cut off"
