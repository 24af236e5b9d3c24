"""Shared by all tests. pytest puts this folder on the path, so that `fakes` can be imported."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.node import Node
from fakes.outbound import Outbound


@pytest.fixture(scope="session")
def outbound() -> Iterator[Outbound]:
    """The guard against connections to the outside."""
    with tempfile.TemporaryDirectory(prefix="sp-outbound-") as folder:
        guard = Outbound(Path(folder))
        guard.refuse()
        yield guard


@pytest.fixture(autouse=True)
def nothing_goes_outside(outbound: Outbound) -> Iterator[None]:
    """A test that tries to reach the outside, itself or by what it started, fails."""
    yield
    attempts = outbound.attempts()
    assert not attempts, f"something tried to reach the outside: {attempts}"


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


@pytest.fixture(scope="module")
def node_of_file() -> Iterator[Node]:
    """A node for all tests of a file, taken down after the last; see `shared_node`."""
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    running = Node(folder / "state")
    try:
        running.up()
        yield running
    finally:
        running.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def shared_node(node_of_file: Node) -> Node:
    """The file's node, up and without agents, for a test that leaves it fit for the next."""
    node_of_file.clear()
    return node_of_file
