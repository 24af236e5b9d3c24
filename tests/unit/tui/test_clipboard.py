"""Copying: what is written to the terminal, and what tmux makes of it."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from sparkplug.tui import clipboard


def test_what_is_copied_cannot_act() -> None:
    assert clipboard.safe("a\x1b[2J\x1b]52;c;x\x07b\r\n\tc\x00\x9b1m") == "ab\n\tc"


def test_the_sequence_carries_the_text() -> None:
    text = "grüße 漢字\n" * 100
    written = clipboard.sequence(text, {"TERM": "xterm"})
    match = re.fullmatch(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", written)
    assert match
    assert base64.b64decode(match[1]).decode() == text
    in_screen = clipboard.sequence(text, {"TERM": "screen", "STY": "1.pts"})
    pieces = re.findall(r"\x1bP(.*?)\x1b\\", in_screen, re.DOTALL)
    assert "".join(pieces) == written
    assert max(map(len, pieces)) <= 768
    before_ssh = clipboard.sequence(text, {"TERM": "tmux-256color"})
    assert before_ssh.startswith(written)
    assert before_ssh[len(written) :].replace("\x1b\x1b", "\x1b").startswith("\x1bPtmux;\x1b]52")


def test_a_notice_says_how_much() -> None:
    assert clipboard.told("abc") == ("copied 3 characters", "ok")
    assert clipboard.told("a\nb") == ("copied 2 lines", "ok")
    assert clipboard.told("x" * 80_000)[1] == "warn"


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[list[str]]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    command = ["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]
    env = {k: v for k, v in os.environ.items() if k not in ("TMUX", "TMUX_PANE")}
    subprocess.run([*command, "new-session", "-d", "cat"], check=True, env=env)
    try:
        yield command
    finally:
        subprocess.run([*command, "kill-server"], check=False)


@pytest.mark.parametrize("setting", ["external", "on"])
def test_tmux_takes_it_and_sends_it_on(tmux: list[str], setting: str) -> None:
    subprocess.run([*tmux, "set", "-g", "set-clipboard", setting], check=True)
    env = {**os.environ, "TERM": "xterm-256color"}
    env.pop("TMUX", None)
    client = pexpect.spawn(tmux[0], [*tmux[1:], "attach"], env=env, timeout=10)
    pane = ["display", "-p", "#{socket_path},#{pid},0 #{pane_id}"]
    found = subprocess.run([*tmux, *pane], check=True, capture_output=True, text=True).stdout
    socket, pane_id = found.split()
    text = "line one\nläne two"
    until = time.monotonic() + 60
    while not subprocess.run(
        [*tmux, "list-clients"], check=True, capture_output=True, text=True
    ).stdout:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert clipboard.give_to_tmux(text, {**os.environ, "TMUX": socket, "TMUX_PANE": pane_id})
    shown = subprocess.run([*tmux, "show-buffer"], check=True, capture_output=True)
    assert shown.stdout.decode() == text
    client.expect_exact(base64.b64encode(text.encode()))
    client.close(force=True)


def test_no_tmux_is_no_trouble(tmp_path: Path) -> None:
    assert not clipboard.give_to_tmux("x", {})
    gone = {"TMUX": f"{tmp_path}/gone,1,0", "PATH": os.environ["PATH"]}
    assert not clipboard.give_to_tmux("x", gone)
