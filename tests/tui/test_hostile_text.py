"""Hostile text in every name and text a mesh can carry: drawn as text, and nothing shifts.

What the app shows is written cell by cell and read back from an emulated terminal, as a person
would see it: rows have the width of the terminal, borders stand where they stood before.
"""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from rich.color import ColorSystem
from textual._compositor import LayoutUpdate
from textual.events import Paste
from textual.widgets import Input
from tui_centre import Centre, centre
from tui_emulator import Emulator
from tui_mesh import Mesh, gpu, plan, sample

from sparkplug.schema.agent import AgentState, ObservedAgent
from sparkplug.schema.host import Driver, DriverState, GpuProcess, Process, Xid
from sparkplug.schema.node_services import ProcessesReply
from sparkplug.schema.topology import Topology, TopologyEdge
from sparkplug.tui.dialogs.processes import Processes
from sparkplug.tui.screen.writer import Terminal as Shown

_MEGABYTE = 1 << 20
_PASTED = 2000
#: What text can do to a terminal, or to one who counts its cells.
HOSTILE = {
    "escapes": "\x1b[2J\x1b[31mred\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x1b\\\x9b5Am\x1bcend",
    "unended": "\x1b]8;;http://evil\x1b[38;5;",
    "controls": "a\x00b\x07c\x08d\x7fe\x85f\x9cg\tt\rcr\x0bvt",
    "lines": "one\ntwo\r\nthree\u2028four\u2029five",
    "wide": "漢字テスト" * 8,
    "emoji": "👩\u200d🚀👨\u200d👩\u200d👧\u200d👦🏳️\u200d🌈❤️1️⃣🇩🇪👍🏽",
    "joined": "\u200d\u200da\u200db\ufe0f\u200b\u2060\ufeff",
    "combining": "e" + "\u0301\u0323\u0489" * 60 + "z",
    "right to left": "\u202egpj.exe\u202c שלום עולם \u2067مرحبا\u2069 end",
    "surrogates": "\ue000\ufffe\U000e0041\U0010ffff",
    "markup": "[bold red]x[/] [@click=app.quit]quit[/] {{ 1 }} \\[",
    "megabyte": "x" * _MEGABYTE,
    "wide megabyte": "漢\u0301" * (_MEGABYTE // 4),
}
SIZES = [(80, 24), (130, 44)]
_BORDER = re.compile("[╭╮╰╯│]")
#: What moves a cursor or changes a terminal, had it come through.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def seen_by(found: Centre) -> Emulator:
    """The screen as a terminal has it, after it was written cell by cell."""
    app = found.app
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    assert isinstance(update, LayoutUpdate)
    width, height = update.region.size
    for row, strips in enumerate(update.strips):
        assert sum(strip.cell_length for strip in strips) == width, f"row {row}"
    shown, terminal = Shown(), Emulator(width, height)
    shown.take(update, ColorSystem.TRUECOLOR)
    written = shown.frame((0, 0))
    sequences = set(re.findall(r"\x1b(?!\[[\d;]*[HCm]|\])[^m]{0,6}", written))
    assert not sequences, f"nothing but places and pens is written: {sequences}"
    assert "\x1b]0" not in written
    assert "\x1b]52" not in written
    terminal.feed(written)
    return terminal


def check(found: Centre, what: str) -> None:
    """Every row is whole: no control, and each border is where the frame has it."""
    terminal = seen_by(found)
    rows = terminal.display
    for y, row in enumerate(rows):
        assert not _FORBIDDEN.search(row), f"{what}, row {y}: {row!r}"
    for top, left, bottom, right in boxes(terminal):
        where = f"{what}, box at {left},{top}:\n" + "\n".join(rows)
        for y in range(top + 1, bottom):
            assert terminal.buffer[y][left].data == "│", f"left, row {y}, {where}"
            assert terminal.buffer[y][right].data == "│", f"right, row {y}, {where}"


def boxes(terminal: Emulator) -> list[tuple[int, int, int, int]]:
    """Boxes by their corners: top, left, bottom, right."""
    cells = terminal.buffer
    found = []
    for y in range(terminal.lines):
        for x in range(terminal.columns):
            if cells[y][x].data != "╭":
                continue
            right = next((r for r in range(x, terminal.columns) if cells[y][r].data == "╮"), None)
            bottom = next((b for b in range(y, terminal.lines) if cells[b][x].data == "╰"), None)
            if right is not None and bottom is not None:
                found.append((y, x, bottom, right))
    return found


async def fill(mesh: Mesh, evil: str) -> None:
    """Put a text into everything that a mesh can carry it in."""
    # A message has its limit (1 MiB in a mesh), and what one text can be in many fields is shared.
    short = evil[: _MEGABYTE // 16]
    await mesh.agent("aaa", "error", reason=evil[: _MEGABYTE // 2])
    await mesh.agent("bbb", "waiting-human", reason=short, runtime=short, capabilities=[short])
    await mesh._observed().put("agents.ccc.0", _observed(short))
    await mesh.agent("claude", "idle", foreign=True, sdk=short, description=short)
    await mesh.node("gpu-1", reason=short, version=short, labels={short: short})
    driver = Driver(state=DriverState.OK, version=short, reason=short)
    process = GpuProcess(pid=7, used_bytes=1, name=short, user=short, agent=short)
    xid = Xid(gpu=0, uuid=short, xid=79, meaning=short)
    one = gpu(0, name=short, clock_event_reasons=[short], processes=[process])
    two = gpu(1, name=short)
    await mesh.tell(
        sample("gpu-1", driver=driver, gpus=[one, two], xids=[xid], mounts_not_answering=[short])
    )
    edge = TopologyEdge(from_=short, to=short, messages=1, rate_per_second=2.0)
    await mesh.topology(Topology(edges=[edge], messages_per_second=2.0))
    await mesh.event("agent:error", short, reason=short, error=short, deep={short: [short]})
    await mesh.journal("run-1", "accepted", plan=plan("survey", "write"))
    await mesh.journal("run-1", "started", node=short)
    await mesh.journal("run-1", "step-failed", step="survey", error=short)
    await mesh.journal("run-1", "failed", error=short, output={"markdown": f"# {short}\n\n{short}"})
    mesh.logs["aaa"] = f"{evil}\nlast line\n"


def _observed(short: str) -> Any:
    return ObservedAgent(
        name=short,
        replica=short[:2000],
        runtime=short,
        owner=short,
        host=short,
        state=AgentState.RUNNING,
        description=short,
        gpus=[short],
        instance=short,
        subject=short,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
async def test_every_pane_and_dialog_stands(mesh: Mesh, kind: str) -> None:
    evil, size = HOSTILE[kind], SIZES[list(HOSTILE).index(kind) % len(SIZES)]
    await fill(mesh, evil)
    async with centre(size) as seen:
        await seen.until(lambda: seen.app.store.runs and seen.app.store.view.events)
        await seen.until(lambda: seen.app.store.hosts and seen.app.store.hosts[0].sample)
        steps = {
            "overview": ("1",),
            "run": ("tab", "enter"),
            "run, raw": ("o",),
            "hosts": ("escape", "2"),
            "host": ("enter", "G"),
            "agents": ("escape", "3", "g"),
            "agent of evil name": ("G", "k"),
            "describe it": ("d",),
            "describe, end": ("G",),
            "describe an error": ("escape", "g", "d"),
            "logs": ("escape", "l"),
            "palette": ("escape", "ctrl+p"),
            "help": ("escape", "question_mark"),
            "notices": ("escape",),
        }
        for what, keys in steps.items():
            await seen.press(*keys)
            await seen.pilot.pause()
            check(seen, f"{kind}: {what}")


async def test_processes_and_what_is_typed(mesh: Mesh) -> None:
    """What a host's processes are called, and what a person pastes."""
    await mesh.agent("aaa")
    async with centre((80, 24)) as seen:
        for kind, evil in HOSTILE.items():
            process = Process(pid=1, ppid=0, name=evil, state="S", user=evil, command=evil)
            reply = ProcessesReply(host="gpu-1", processes=[process])
            seen.app.push_screen(Processes(evil[:200], reply))
            await seen.pilot.pause()
            check(seen, f"{kind}: processes")
            await seen.press("escape", "colon")
            await seen.until(lambda: isinstance(seen.app.focused, Input))
            seen.app.focused.post_message(Paste(evil[:_PASTED]))
            await seen.pilot.pause()
            check(seen, f"{kind}: the line")
            await seen.press("escape")
            await seen.until(lambda: not isinstance(seen.app.focused, Input))


async def test_random_hostile_names_shift_nothing(mesh: Mesh) -> None:
    """Pieces of all of it, in any order, in names and reasons that change."""
    chance = random.Random(11)
    pieces = [text[:40] for text in HOSTILE.values()]
    await mesh.agent("aaa")
    async with centre((100, 30)) as seen:
        for number in range(30):
            text = "".join(chance.choice(pieces)[: chance.randint(1, 12)] for _ in range(6))
            record = _observed(text)
            await mesh._observed().put("agents.evil.0", record)
            await mesh.agent("aaa", "error", reason=text)
            await seen.until(lambda text=text: any(a.name == text for a in seen.app.store.agents))
            await seen.press(chance.choice("123"))
            await seen.pilot.pause()
            check(seen, f"number {number}: {text!r}")
