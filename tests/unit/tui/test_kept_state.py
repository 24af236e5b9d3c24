"""What is kept of a session for the next."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sparkplug.tui.state import MESHES, StateFile, read_state, state_file


def test_each_mesh_has_its_own_and_others_can_add(tmp_path: Path) -> None:
    path = state_file(tmp_path / "home")
    one, other = StateFile(path), StateFile(path)
    assert one.save("home", {"pane": "hosts"}) is None
    assert other.save("lab", {"pane": "agents"}) is None
    assert read_state(path, "home") == {"pane": "hosts"}
    assert read_state(path) == {"pane": "agents"}, "the mesh used last"
    assert read_state(path, "elsewhere") == {}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_is_kept_already_is_not_written_again(tmp_path: Path) -> None:
    path = state_file(tmp_path)
    kept = StateFile(path)
    kept.save("home", {"pane": "hosts"})
    path.unlink()
    kept.save("home", {"pane": "hosts"})
    assert not path.exists()
    kept.save("home", {"pane": "agents"})
    assert read_state(path, "home") == {"pane": "agents"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "[1]",
        '{"version": 2, "meshes": {"home": {"pane": "hosts"}}}',
        '{"version": 1, "meshes": []}',
        '{"version": 1, "last": 3, "meshes": {"home": 7}}',
        "\x00\xff",
    ],
)
def test_rubbish_is_as_nothing_and_is_written_over(tmp_path: Path, text: str) -> None:
    path = state_file(tmp_path)
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    assert read_state(path, "home") == read_state(path) == {}
    assert StateFile(path).save("home", {"pane": "hosts"}) is None
    assert read_state(path, "home") == {"pane": "hosts"}


def test_a_file_that_grew_too_large_is_not_read(tmp_path: Path) -> None:
    path = state_file(tmp_path)
    path.parent.mkdir()
    data = {"version": 1, "last": "home", "meshes": {"home": {"pane": "x" * (1 << 20)}}}
    path.write_text(json.dumps(data))
    assert read_state(path, "home") == {}


def test_meshes_of_long_ago_are_forgotten(tmp_path: Path) -> None:
    path = state_file(tmp_path)
    kept = StateFile(path)
    for number in range(MESHES + 3):
        kept.save(f"mesh-{number}", {"pane": "hosts"})
    assert read_state(path, "mesh-2") == {}
    assert read_state(path, "mesh-3") == {"pane": "hosts"}


def test_a_place_that_takes_no_file_is_told(tmp_path: Path) -> None:
    path = state_file(tmp_path)
    (tmp_path / "tui").write_text("a file")
    told = StateFile(path).save("home", {"pane": "hosts"})
    assert told is not None
    assert told.startswith("where you stand is not kept")


def test_meshes_kept_at_once_are_all_kept(tmp_path: Path) -> None:
    path = state_file(tmp_path)

    def session(mesh: str) -> None:
        kept = StateFile(path)
        for number in range(10):
            assert kept.save(f"{mesh}-{number}", {"pane": mesh}) is None

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(session, "abcd"))
    for mesh in "abcd":
        for number in range(10):
            assert read_state(path, f"{mesh}-{number}") == {"pane": mesh}
