"""The history kept across sessions."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sparkplug.tui.history import LINES, History


def kept(home: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads((home / "tui" / "history.json").read_text())
    return found


def test_two_sessions_add_to_it(tmp_path: Path) -> None:
    one, other = History(), History()
    home = tmp_path / "state"
    assert one.open(home) is None
    assert other.open(home) is None
    for history, line in ((one, "hosts"), (other, "agents"), (one, "theme neon"), (one, "hosts")):
        history.say(line)
        assert history.save(line, None) is None
    assert other.save(None, "Show hosts") is None
    assert kept(home) == {"lines": ["agents", "theme neon", "hosts"], "recent": ["Show hosts"]}
    path = home / "tui" / "history.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    again = History()
    again.say("said before it was read")
    again.open(home)
    assert again.lines == ["agents", "theme neon", "hosts", "said before it was read"]
    assert again.recent == ["Show hosts"]


def test_it_is_capped_and_holds_only_lines(tmp_path: Path) -> None:
    history = History()
    history.open(tmp_path)
    for number in range(LINES + 5):
        history.say(f"line {number}")
    history.say("x" * 5000)
    history.say("\x1b[2J")
    assert len(history.lines) == LINES
    assert history.lines[-1] == f"line {LINES + 4}"


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"lines": 3}', "[" * 100_000, "\ud800"], ids=str.__len__
)
def test_a_broken_file_is_told_and_written_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tui" / "history.json"
    path.parent.mkdir()
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    history = History()
    assert "history.json" in (history.open(tmp_path) or "")
    assert history.lines == []
    assert history.save("hosts", None) is None
    assert kept(tmp_path)["lines"] == ["hosts"]


def test_what_is_no_line_in_a_file_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "tui" / "history.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"lines": [1, None, "a\x1b[2J", "", "hosts", "hosts"]}))
    history = History()
    assert history.open(tmp_path) is None
    assert history.lines == ["hosts"]


def test_where_it_cannot_be_written_it_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    history = History()
    assert "history" in (history.open(tmp_path / "state") or "the history")
    assert "the history is not kept" in (history.save("hosts", None) or "")
    assert history.save("hosts", None) is None


def test_sessions_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    def session(name: str) -> None:
        history = History()
        history.open(tmp_path)
        for number in range(20):
            assert history.save(f"{name} {number}", None) is None

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(session, "abcd"))
    kept = History()
    kept.open(tmp_path)
    assert sorted(kept.lines) == sorted(f"{name} {n}" for name in "abcd" for n in range(20))


def test_it_is_kept_again_once_it_can_be(tmp_path: Path) -> None:
    history = History()
    history.open(tmp_path)
    (tmp_path / "tui").write_text("in the way")
    assert history.save("hosts", None)
    (tmp_path / "tui").unlink()
    assert history.save("agents", None) is None
    kept = History()
    kept.open(tmp_path)
    assert kept.lines == ["agents"]
