"""A short poll under kills; `python -m tests.chaos.votes` holds a long one."""

from __future__ import annotations

import pytest

from chaos.votes import poll


@pytest.mark.slow
async def test_every_decision_is_right_by_another_count() -> None:
    found = await poll(agents=6, votes=12, seconds=6.0, seed=11)
    assert found["wrong"] == []
    assert found["decisions"] == 2
