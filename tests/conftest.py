"""Shared by all tests. pytest puts this folder on the path, so that `fakes` can be imported."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.node import Node


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path for a state directory, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    try:
        yield folder / "state"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def node(home: Path) -> Iterator[Node]:
    """A node that is up, taken down afterwards; fails when anything of it is left."""
    running = Node(home)
    running.up()
    try:
        yield running
    finally:
        running.close()
