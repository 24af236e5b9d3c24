"""Entrypoints looked for without running any code."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkplug.client.entrypoints import doubt_entrypoint, entrypoint_names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Modules of several kinds; running any of them would fail."""
    (tmp_path / "plain.py").write_text(
        "import json as js\nraise SystemExit(1)\nasync def handle(ctx, request): ...\n"
        "class Agent: ...\ngraph = None\ntyped: int = 3\nif True:\n    inner = 1\n_hidden = 2\n"
    )
    (tmp_path / "stars.py").write_text("from plain import *\n")
    (tmp_path / "lazy.py").write_text("def __getattr__(name): ...\n")
    (tmp_path / "broken.py").write_text("def (\n")
    (tmp_path / "team.yaml").write_text("agents: {}\ntasks: {}\n")
    (tmp_path / "agent.yaml").write_text("name: x\n")
    (tmp_path / "pack" / "deep").mkdir(parents=True)
    (tmp_path / "pack" / "__init__.py").write_text("agent = 1\n")
    (tmp_path / "pack" / "deep" / "inner.py").write_text("agent = 1\n")
    return tmp_path


@pytest.mark.parametrize(
    "entrypoint",
    [
        *("plain:handle", "plain:Agent", "plain:Agent.method", "plain:graph", "plain:typed"),
        *("plain:inner", "plain:js", "stars:anything", "lazy:anything", "broken:anything"),
        *("pack:agent", "pack.deep.inner:agent", "json:loads", "", "plain", "plain:", "team.yaml"),
    ],
)
def test_nothing_is_doubtful(folder: Path, entrypoint: str) -> None:
    assert doubt_entrypoint(entrypoint, str(folder)) == ""


@pytest.mark.parametrize(
    ("entrypoint", "told"),
    [
        ("nothere:handle", "no nothere.py in"),
        ("pack.nothere:agent", "no pack/nothere.py in"),
        ("plain:nothing", "plain.py has no nothing; it has handle, Agent, graph, typed"),
        ("crews/none.yaml", "no crews/none.yaml in"),
        ("pack:nothing", "__init__.py has no nothing; it has agent"),
    ],
)
def test_what_is_not_there_is_told(folder: Path, entrypoint: str, told: str) -> None:
    assert told in doubt_entrypoint(entrypoint, str(folder))


def test_a_folder_that_is_not_here_and_another_interpreter(folder: Path) -> None:
    assert "no folder" in doubt_entrypoint("plain:handle", str(folder / "gone"))
    assert doubt_entrypoint("nothere:handle", str(folder), ".venv/bin/python") == ""


def test_names_are_offered(folder: Path) -> None:
    found = entrypoint_names(str(folder), "")
    assert found == ["broken:", "lazy:", "pack:", "plain:", "stars:", "team.yaml"]
    assert entrypoint_names(str(folder), "plain:h") == [
        *("plain:handle", "plain:Agent", "plain:graph", "plain:typed")
    ]
    assert entrypoint_names(str(folder / "gone"), "x") == []
    assert entrypoint_names(str(folder), "gone:") == []


@pytest.mark.parametrize("folder", ["~nobody-here/x", "/" + "x" * 5000, "/\0", "~", "\u202e"])
def test_no_folder_however_odd_raises(folder: str) -> None:
    assert doubt_entrypoint("nothere:handle", folder)
    assert isinstance(entrypoint_names(folder, ""), list)
    assert entrypoint_names(folder, "nothere:") == []
