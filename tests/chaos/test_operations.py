"""A short round of random operations under kills; `tests/chaos/soak.py` does it for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.operations import Operations
from chaos.witnesses import Records
from fakes.node import Node


@pytest.mark.slow
async def test_what_is_observed_is_what_is_wanted(node: Node, tmp_path: Path) -> None:
    operations = Operations(node, tmp_path)
    await operations.run(160, clients=4, kills=4)
    assert await operations.converged() == "", operations.report()
    assert Records.read(tmp_path).seconds() == []
    assert await operations.left_over() == []
    assert operations.lies() == []
    assert operations.done["deploy"] and operations.done["prompt"], operations.report()
    assert operations.kills["daemon"] and operations.kills["nats-server"]
