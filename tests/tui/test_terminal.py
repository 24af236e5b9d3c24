"""The control centre on a real terminal: the first frame, leaving, what it sends, what it loads."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from tui_mesh import Mesh, sample
from tui_terminal import Terminal, opening

from sparkplug.tui.commands import PANES

_HEAVY = {
    "nats",
    "pydantic",
    "synadia_ai",
    "langgraph",
    "torch",
    "chromadb",
    "mem0",
    "crewai",
    "httpx",
    "ruamel",
    "psutil",
    "markdown_it",
    "pygments",
}
#: The pen and the cursor are put away after each frame.
_END = "\x1b[m\x1b[H"
_SGR = re.compile(r"\x1b\[([\d;:]*)m")


@pytest.fixture
def terminal(home: Path) -> Iterator[type[Terminal]]:
    """Terminals that end with the test."""
    opened: list[Terminal] = []

    class Opened(Terminal):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[arg-type]
            opened.append(self)

    yield Opened
    for one in opened:
        one.close()


def test_without_a_mesh_it_opens_says_so_and_q_leaves(terminal: type[Terminal]) -> None:
    seen = terminal()
    seen.shows("overview", "? help", "q quit")
    seen.shows("no mesh runs here")
    assert seen.quit() == 0
    assert "\x1b[?1049l" in seen.sent, "the terminal is given back"


def test_the_first_frame_is_whole(terminal: type[Terminal]) -> None:
    seen = terminal()
    seen.shows("needs you", "q quit")
    first = next(frame for frame in seen.sent.split(_END) if "filter" in frame)
    assert "needs you" in first
    assert "connecting" in first


def test_a_terminal_that_tells_no_size_is_taken_for_one_of_80_columns(
    terminal: type[Terminal],
) -> None:
    seen = terminal()
    unsized = terminal(command=["sh", "-c", f"stty cols 0 rows 0; exec {shlex.join(opening())}"])
    seen.shows("1 overview", "q quit")
    last = seen.text.splitlines()[-1]
    unsized.until(lambda: last in unsized.text, "the same footer")


def test_the_footer_is_there_again_and_as_wide_as_the_screen(terminal: type[Terminal]) -> None:
    seen = terminal()
    seen.shows("no mesh runs here", "q quit")
    seen.send(":")
    seen.lacks("q quit")
    seen.send("nothing\x7f\r")
    seen.shows("no command nothin")
    seen.shows("q quit")
    seen.resize(160, 24)
    seen.shows("q quit", "3 agents", "6 workflows")


@pytest.mark.parametrize("pane", PANES)
def test_the_first_frame_loads_textual_and_little_else(home: Path, pane: str) -> None:
    code = f"""
import json, sys
from sparkplug.tui.app import SparkplugApp
from sparkplug.tui.themes import load_themes
import asyncio
class First(SparkplugApp):
    def _begin(self):
        self.frame = [name if name.startswith("sparkplug.") else name.partition(".")[0]
                      for name in sys.modules]
app = First(load_themes()[0], pane={pane!r})
async def run():
    async with app.run_test() as pilot:
        while not hasattr(app, "frame"):
            await pilot.pause()
asyncio.run(run())
print(json.dumps(app.frame))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "textual" in loaded
    assert loaded & _HEAVY == set()
    later = ("canvas", "plot", "form", "log_view")
    ours = tuple(f"sparkplug.tui.widgets.{name}" for name in later)
    if pane == "overview":
        assert [name for name in loaded if name.startswith(ours)] == [], "drawn once it has a mesh"


async def test_a_live_mesh_is_drawn_and_quiet(mesh: Mesh, terminal: type[Terminal]) -> None:
    await mesh.agent("research", "thinking")
    await mesh.tell(sample("gpu-1"))
    seen = terminal((160, 50))
    await asyncio.to_thread(seen.shows, "◐ research", "mesh home · 1 host")
    seen.child.send("\x10")  # ctrl+p
    await asyncio.to_thread(seen.shows, "Restart agent research")
    seen.child.send("\x1b")
    await asyncio.to_thread(seen.lacks, "Restart agent")
    seen.child.send(":hosts\r")
    await asyncio.to_thread(seen.shows, "▸ hosts", "16 cores")
    await asyncio.to_thread(seen.read, 1.0)
    minute, idle = -1, [1]
    while minute != int(time.time() // 60):  # the header's clock is written once a minute
        minute = int(time.time() // 60)
        idle = [await asyncio.to_thread(seen.read, 1.0) for _ in range(4)]
    assert sum(idle[1:]) == 0, "with nothing changing, nothing is sent"
    assert await asyncio.to_thread(seen.quit) == 0


async def test_what_is_in_sight_round_a_dialog_goes_on(
    mesh: Mesh, terminal: type[Terminal]
) -> None:
    await mesh.agent("research", "thinking")
    await mesh.tell(sample("gpu-1"))
    seen = terminal((140, 36), "pane='agents'")
    await asyncio.to_thread(seen.shows, "research", "mesh home · 1 host", "agents 1")
    seen.child.send("\x10")  # ctrl+p
    await asyncio.to_thread(seen.shows, "Restart agent research")
    await mesh.agent("writer", "idle")
    await asyncio.to_thread(seen.shows, "Restart agent research", "agents 2")
    seen.child.send("\x1b")
    await asyncio.to_thread(seen.lacks, "Restart agent")
    seen.child.send("d")
    await asyncio.to_thread(seen.shows, "▸ describe")
    server = mesh.server.server.process
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.to_thread(seen.shows, "▸ describe", " ! lost, ")
    await mesh.server.restart()
    await asyncio.to_thread(seen.lacks, " ! lost, ")
    await asyncio.to_thread(seen.shows, "▸ describe", "mesh home")


def test_a_killed_or_hung_up_one_leaves_nothing(terminal: type[Terminal]) -> None:
    for number in (signal.SIGKILL, signal.SIGHUP, signal.SIGTERM):
        seen = terminal()
        seen.shows("overview")
        seen.child.kill(number)
        seen.child.expect(pexpect.EOF)
        seen.child.close()
        assert not seen.child.isalive()


def test_rubbish_presses_no_key_and_ends_nothing(terminal: type[Terminal]) -> None:
    shown = terminal((100, 30))
    shown.shows("overview", "? help")
    for rubbish in (
        b"\xff\xfe\x80 \xc3",
        b"\x1b[200~pasted \x1b\x1b[31m?qqq\x1b[0m?qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq\x1b[201~",
        b"\x1b]11;rgb:???q/???q/???q\x1b\\\x1b[?62;3;7c",
        b"\x1b[99999999999;5u\x1b[48;5;20;0;0t\x1b[48;0;0;0;0t",
        b"\x1b[<0;500;500M\x1b[<32;9999999999;1M\x1b[<0;500;500m\x1b[<65;300;2M\x1b[<0;0;0M",
        b"\x1b[O\x1b[I\x1b[O\x1b[<0;230;12",
    ):
        os.write(shown.child.child_fd, rubbish)
    shown.send("\x1b[M!!!3")
    shown.shows("▸ agents")
    assert "in this box" not in shown.text
    assert shown.quit() == 0


def test_wrong_options_are_told_in_words(terminal: type[Terminal]) -> None:
    for options, words in (('pane="nine"', "no pane nine"), ('theme="none"', "no theme none")):
        seen = terminal(options=options)
        seen.child.expect(words)
        seen.child.expect(pexpect.EOF)
        seen.child.close()
        assert seen.child.exitstatus == 2


def test_without_a_terminal_it_says_so(home: Path) -> None:
    done = subprocess.run(opening(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr


@pytest.mark.parametrize(
    ("env", "allowed"),
    [
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, r"[0-9]|2[0-9]|39|49"),
        ({"TERM": "xterm"}, r"[0-9]|2[0-9]|[34][0-79]|9[0-7]|10[0-7]"),
        ({"TERM": "linux"}, r"[0-9]|2[0-9]|[34][0-79]|9[0-7]|10[0-7]"),
    ],
)
def test_only_colours_the_terminal_has_are_sent(
    terminal: type[Terminal], env: dict[str, str], allowed: str
) -> None:
    seen = terminal(env=env)
    seen.shows("overview", "no mesh runs here")
    seen.child.send("\x10")
    seen.shows("Show agents")
    seen.child.send("\x1b")
    seen.lacks("Show agents")
    assert seen.quit() == 0
    codes = {code for found in _SGR.findall(seen.sent) for code in found.split(";") if code}
    assert {code for code in codes if not re.fullmatch(allowed, code)} == set()
    assert "7" in codes, "the row under the cursor is reversed"
    assert seen.text.isascii() is (env["TERM"] == "linux") or "╭" not in seen.text
