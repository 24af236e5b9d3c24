"""The screen in pictures: what is drawn at three sizes and in two themes is what was looked at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh, gpu, plan, sample
from tui_snapshots import MOMENT, compare, normal, stop_the_clock, told, words

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.schema.host import Driver, DriverState, Network
from sparkplug.schema.schedule import Schedule
from sparkplug.schema.topology import Topology, TopologyEdge

SIZES = [(80, 24), (120, 40), (200, 60)]
THEMES = ["neon", "daylight"]
#: What is drawn by what other pictures are drawn by: in the first theme alone.
IN_ONE_THEME = {"schedules"}
_DEADLINE_S = 60.0


async def fill(mesh: Mesh) -> None:
    """A mesh of which everything is known."""
    driver = Driver(state=DriverState.OK, version="580.95", cuda="13.0")
    hot = {"clock_event_reasons": ["software thermal slowdown"], "temperature_celsius": 83.0}
    for second in range(60):
        gpus = [
            gpu(
                index,
                utilization_percent=float((second * 7 + index * 13) % 101),
                power_watts=300.0 + (second * 11 + index * 29) % 400,
                **(hot if index == 3 else {}),
            )
            for index in range(8)
        ]
        mesh.samples.append(
            sample(
                "gpu-1",
                second + 1,
                time=MOMENT - timedelta(seconds=60 - second),
                driver=driver,
                gpus=gpus,
                network=Network(receive_bytes_per_second=12e6, transmit_bytes_per_second=3e6),
            )
        )
    minutes = {"research": 2, "writer": 11, "reviewer": 41, "indexer": 190, "scout": 3000}
    since = {name: MOMENT - timedelta(minutes=many) for name, many in minutes.items()}
    await mesh.node("gpu-1", version="0.2.0")
    await mesh.agent("research", "running", inflight=2, served=1234, state_since=since["research"])
    await mesh.agent("writer", "thinking", served=81, failed=1, state_since=since["writer"])
    await mesh.agent(
        "reviewer",
        "waiting-human",
        reason="which of the two drafts?",
        state_since=since["reviewer"],
    )
    await mesh.agent(
        "indexer",
        "error",
        reason="killed by the kernel: out of memory",
        restarts=3,
        state_since=since["indexer"],
    )
    await mesh.agent("scout", "idle", state_since=since["scout"])
    await mesh.agent(
        "claude", "idle", foreign=True, owner="ana", sdk="claude-code", state_since=since["scout"]
    )
    await mesh.journal("host-brief-1", "accepted", plan=plan("survey", "write", "check"))
    await mesh.journal("host-brief-1", "started", node="gpu-1")
    # Stored together: the server has one time for both, so that it took none.
    done = {"run": "host-brief-1", "kind": "step-completed", "step": "survey", "output": "fine"}
    await mesh.journal("host-brief-1", "step-started", step="survey", attempt=1, then=[done])
    await mesh.journal("host-brief-1", "step-started", step="write", attempt=1)
    nightly = {"name": "nightly", "plan": plan("survey", "write"), "cron": "0 3 * * *"}
    schedule = Schedule.model_validate({**nightly, "timezone": "Europe/Berlin", "missed": "skip"})
    await Bucket(mesh.bus, subjects.BUCKET_SCHEDULES).put("s.nightly", schedule)
    for name, subject, why in (
        ("agent:ready", "research/0", ""),
        ("gpu:throttled", "gpu-1/3", "software thermal slowdown"),
        ("agent:error", "indexer/0", "killed by the kernel: out of memory"),
    ):
        await mesh.event(name, subject, reason=why)
    mesh.logs["research"] = "".join(
        f"14:02:{second:02} looked at figure {second}\n" for second in range(30)
    )


async def speak(mesh: Mesh) -> None:
    """What is heard once a second only."""
    newest = mesh.samples[-1]
    await mesh.tell(newest)
    mesh.samples.pop()
    edges = [
        TopologyEdge(from_="research", to="writer", messages=420, rate_per_second=4.5),
        TopologyEdge(from_="writer", to="reviewer", messages=17, rate_per_second=0.2),
        TopologyEdge(from_="research", to="indexer", messages=3, errors=3),
    ]
    await mesh.topology(Topology(edges=edges, messages_per_second=4.7))


def views(seen: Centre) -> dict[str, tuple[Callable[[], Awaitable[object]], tuple[str, ...]]]:
    """The pictures: how to get there from the one before, and what is then to be seen."""

    async def run() -> None:
        seen.app.open_run("host-brief-1")

    async def why() -> None:
        await seen.press("escape", "escape")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)
        assert seen.app.pane is not None
        seen.app.pane.main.select("indexer/0/tester")
        await seen.press("w")

    def press(*keys: str) -> Callable[[], Awaitable[object]]:
        return lambda: seen.press(*keys)

    return {
        "overview": (press("1"), ("research", "gpu-1", "4.7")),
        "palette": (press("ctrl+p"), ("palette",)),
        "hosts": (press("escape", "2"), ("▸ hosts", "gpu-1")),
        "help": (press("question_mark"), ("help",)),
        "agents": (press("escape", "3", "g"), ("▸ agents", "indexer")),
        "deploy": (press("D"), ("example sentinel",)),
        "why": (why, ("why indexer", "reason")),
        "describe": (press("escape", "g", "j", "d"), ("pid",)),
        "logs": (press("escape", "l"), ("looked at figure",)),
        "run": (run, ("survey",)),
        "topology": (press("escape", "escape", "4"), ("▸ topology", "4.5/s", "reviewer")),
        "schedules": (press("6", "W"), ("nightly", "of times missed", "Tue 06 Jan 03:00:00")),
    }


async def difference(seen: Centre, name: str, patience: float) -> str | None:
    """How the screen differs from the picture, once it stands still; None where it does not.

    On a busy host it stands still before all of it is there: looked at again for so many seconds.
    """
    before, until = "", time.monotonic() + patience
    async with asyncio.timeout(_DEADLINE_S + patience):
        while True:
            await seen.pilot.pause()
            found = seen.app.export_screenshot(title="SparkPlug")
            if normal(found) == before:
                differs = compare(name, found)
                if differs is None or time.monotonic() > until:
                    return differs
            before = normal(found)
            await asyncio.sleep(0.25)


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_pictures_are_those_that_were_looked_at(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], theme: str
) -> None:
    stop_the_clock(monkeypatch)
    monkeypatch.chdir("/")  # what is deployed from it is shown
    await fill(mesh)
    found = []
    async with centre(size, theme=theme) as seen:
        store = seen.app.store
        await seen.until(lambda: store.view and len(store.view.history.get("gpu-1", ())) >= 60)
        await speak(mesh)
        await seen.until(lambda: store.view and store.view.topology)
        await seen.until(lambda: len(store.agents) == 6 and store.runs and store.view)
        await seen.until(lambda: store.view and len(store.view.events) == 3)
        for view, (go, shown) in views(seen).items():
            if view in IN_ONE_THEME and theme != THEMES[0]:
                continue
            await go()
            await seen.shows(*shown)
            patience = 0.0 if any(found) else _DEADLINE_S
            name = f"{view}-{theme}-{size[0]}x{size[1]}"
            found.append(await difference(seen, name, patience))
    differences = [text for text in found if text]
    assert not differences, "\n\n".join(differences)


def test_a_difference_is_told_row_beside_row() -> None:
    row = '<text class="terminal-r1" x="{x}" y="{y}" textLength="9">{text}</text>'
    kept = row.format(x=0, y=20, text="one") + row.format(x=48.8, y=20, text="&lt;two&gt;")
    seen = kept.replace("two", "three")
    assert words(kept) == ["one <two>"]
    answer = told("it", kept, seen)
    assert "one <two>" in answer
    assert "┃ one <three>" in answer
    assert "colours" in told("it", kept, kept.replace('-r1"', '-r2"'))
