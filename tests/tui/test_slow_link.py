"""Over a slow link: keys are answered, frames are left out and never queued, the newest shows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tui_mesh import Mesh, sample
from tui_terminal import Terminal, opening

from fakes.slow_link import over_slow_link

_REPAINTS = 150
_CHANGES = 40


@pytest.fixture
def far(home: Path) -> Iterator[Terminal]:
    """The control centre, 200 ms and 50 kB/s away."""
    seen = Terminal((120, 40), command=over_slow_link(opening()))
    yield seen
    seen.close()


def test_what_is_typed_is_answered_and_leaving_leaves(far: Terminal) -> None:
    far.shows("overview", "no mesh runs here")
    far.send("\x10")
    far.shows("❯", "Show agents")
    far.send("hosts")
    far.shows("❯ hosts", "Show hosts")
    far.send("\r")
    far.shows("▸ hosts")
    assert far.quit() == 0
    assert "\x1b[?1049l" in far.sent, "what it wrote last has come"


def test_a_key_is_not_behind_frames_that_were_asked_for_before(far: Terminal) -> None:
    far.shows("overview", "no mesh runs here")
    far.settle(1.0)
    before = len(far.sent)
    far.send("\x0c")
    far.until(lambda: len(far.sent) - before > 2000, "written anew, all of the screen")
    far.settle(1.0)
    frame = len(far.sent) - before
    before = len(far.sent)
    far.send("\x0c" * _REPAINTS)
    far.send("3")
    far.shows("▸ agents")
    written = len(far.sent) - before
    assert written < _REPAINTS * frame / 5, f"{written} bytes of {_REPAINTS} frames of {frame}"


async def test_the_dashboard_keeps_up_with_a_mesh_that_changes_faster(
    mesh: Mesh, home: Path
) -> None:
    """So slow a link that it could not carry every frame; the newest one shows all the same."""
    names = [f"agent-{number:02}" for number in range(28)]
    for name in names:
        await mesh.agent(name)
    seen = Terminal((120, 40), command=over_slow_link(opening("pane='agents'"), rate=3000))
    try:
        await asyncio.to_thread(seen.shows, "agent-27")
        chance = random.Random(5)
        reading = asyncio.create_task(asyncio.to_thread(seen.drain, 6.0))
        for number in range(_CHANGES):
            for name in names:
                state = chance.choice(("running", "thinking", "degraded", "waiting-gpu"))
                await mesh.agent(name, state, served=chance.randrange(99999), pid=number + 1000)
        await mesh.tell(sample("gpu-1"))
        for name in names:
            await mesh.agent(name, "waiting-human", served=77777)
        await reading
        await asyncio.to_thread(
            seen.until,
            lambda: seen.text.count("waiting-human") >= 28 and seen.text.count("77777") >= 28,
            "the newest state",
        )
    finally:
        seen.close()
