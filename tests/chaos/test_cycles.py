"""A short round of `python -m tests.chaos.cycles`: agents that came and went leave nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.cycles import leaks, run_cycles
from fakes.node import Node


@pytest.mark.slow
async def test_agents_that_came_and_went_leave_nothing(node: Node, tmp_path: Path) -> None:
    before, after = await run_cycles(node, tmp_path, 60, warm=20)
    assert leaks(before, after) == [], f"{before.line()}\n{after.line()}"
