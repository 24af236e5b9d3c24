"""Getting about: out with escape, back and ahead, breadcrumbs, and why."""

from __future__ import annotations

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh, gpu, sample

from sparkplug.schema.host import Driver, DriverState


def head(seen: Centre) -> str:
    return seen.screen.splitlines()[0]


def cursor(seen: Centre) -> str:
    pane = seen.app.pane
    assert pane is not None
    return pane.main.row.key.split("/")[0] if pane.main.row else ""


async def settled(seen: Centre) -> None:
    await seen.until(lambda: seen.app._way is None)
    await seen.pilot.pause()


async def test_back_and_ahead_through_panes_rows_filters_and_pages(mesh: Mesh) -> None:
    for name in ("critic", "scribe", "sentinel"):
        await mesh.agent(name)
    async with centre((120, 30)) as seen:
        await seen.press("3", "slash")
        await seen.type("s[ce]")
        await seen.press("enter", "j")
        await seen.until(lambda: cursor(seen) == "sentinel")
        await seen.press("d")
        await seen.shows("▸ sentinel ▸ describe", "entrypoint: m:f")
        await seen.press("escape", "2")
        await seen.shows("▸ hosts")
        await seen.press("left_square_bracket")
        await seen.shows("▸ agents", "agents 2 of 3 /s[ce]")
        assert cursor(seen) == "sentinel"
        await seen.press("left_square_bracket")
        await seen.shows("▸ overview")
        await seen.press("left_square_bracket")
        await seen.shows("there is no earlier place")
        await seen.press("right_square_bracket")
        await seen.shows("▸ agents", "agents 2 of 3 /s[ce]")
        await seen.press("right_square_bracket")
        await seen.shows("▸ hosts")


async def test_pages_are_places(mesh: Mesh) -> None:
    await mesh.agent("critic")
    mesh.logs["critic"] = "first line\n"
    async with centre((120, 30)) as seen:
        await seen.press("l")
        await seen.shows("first line", "▸ overview ▸ critic ▸ logs")
        await seen.press("left_square_bracket")
        await seen.until(lambda: "first line" not in seen.screen)
        await settled(seen)
        assert len(seen.app.screen_stack) == 1
        await seen.press("right_square_bracket")
        await seen.shows("first line")
        await settled(seen)
        await seen.press("left_square_bracket", "3")
        await settled(seen)
        await seen.press("w")
        await seen.shows("why critic")
        await seen.press("left_square_bracket")
        await seen.shows("agents 1", "rep")
        await seen.press("right_square_bracket")
        await seen.shows("why critic")


async def test_escape_goes_out_one_step_at_a_time(mesh: Mesh) -> None:
    await mesh.agent("critic")
    await mesh.tell(sample("gpu-1"))
    async with centre((120, 30)) as seen:
        await seen.press("2", "slash")
        await seen.type("gpu")
        await seen.press("enter", "enter")
        app = seen.app
        await seen.until(lambda: app.focused is not None and app.focused.id == "hosts-detail")
        await seen.press("escape")
        assert app.pane is not None
        assert app.focused is app.pane.main
        assert app.pane.main.wanted.text == "gpu"
        await seen.press("escape")
        assert app.pane.main.wanted.text == ""
        assert app.pane.id == "hosts"
        await seen.press("escape")
        await seen.shows("▸ overview")


@pytest.mark.parametrize("size", [(80, 24), (160, 40)])
async def test_breadcrumbs_lead_where_they_say(mesh: Mesh, size: tuple[int, int]) -> None:
    await mesh.agent("critic")
    mesh.logs["critic"] = "first line\n"
    async with centre(size) as seen:
        await seen.press("3", "l")
        await seen.shows("first line", "agents ▸ critic ▸ logs")
        await seen.pilot.click(offset=(head(seen).index("critic") + 1, 0))
        await seen.shows("agents ▸ critic ▸ describe", "entrypoint: m:f")
        await settled(seen)
        await seen.pilot.click(offset=(head(seen).index("agents") + 1, 0))
        await seen.shows("rep")
        await settled(seen)
        assert len(seen.app.screen_stack) == 1
        assert "describe" not in head(seen)
        await seen.pilot.click(offset=(head(seen).index("critic") + 1, 0))
        await seen.shows("entrypoint: m:f")
        await settled(seen)
        await seen.pilot.click(offset=(2, 0))
        await seen.shows("▸ overview", "conversation")


async def test_hints_of_the_footer_can_be_clicked(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((160, 30)) as seen:
        foot = seen.screen.splitlines()[-1]
        await seen.pilot.click(offset=(foot.index("agents"), 29))
        await seen.shows("▸ agents", "rep")


async def test_why_an_agent_failed(mesh: Mesh) -> None:
    await mesh.agent("critic", "error", reason="killed by the kernel: out of memory", restarts=3)
    await mesh.agent("scribe")
    await mesh.event("agent:error", "critic/0", reason="exit 137")
    async with centre((100, 30)) as seen:
        await seen.shows("agent:error")
        await seen.press("w")
        await seen.shows(
            "why critic",
            "killed by the kernel: out of memory",
            "3; policy on-failure, 5 within 10m",
            "agent:error exit 137",
        )
        await seen.press("escape", "j", "w")
        await seen.shows(
            "why scribe", "nothing is known to be wrong with it", "no event of trouble"
        )
        await mesh.agent("scribe", "waiting-gpu", reason="needs 2 GPUs")
        await seen.shows("needs 2 GPUs", "it waits for GPUs to be free")


async def test_why_a_host_is_slow(mesh: Mesh) -> None:
    await mesh.agent("critic")
    hot = gpu(3, clock_event_reasons=["hardware slowdown"], ecc_uncorrected_volatile=2)
    driver = Driver(state=DriverState.OK, version="580.1")
    async with centre((100, 30), pane="hosts") as seen:
        await mesh.tell(sample("gpu-1", driver=Driver(state=DriverState.NO_DRIVER)))
        await seen.shows("38%")
        await seen.press("w")
        await seen.shows("why gpu-1", "nothing is known to be wrong with it")
        await mesh.tell(sample("gpu-1", 2, driver=driver, gpus=[hot]))
        await seen.shows("clocks are low: hardware slowdown", "2 uncorrected memory errors")


async def test_the_log_of_the_process_before(mesh: Mesh) -> None:
    await mesh.agent("critic")
    mesh.logs["critic"] = "first line\n"
    async with centre((100, 30)) as seen:
        await seen.press("p")
        await seen.shows("logs critic/0, the process before", "▸ logs before")
        await seen.press("p")
        await seen.until(lambda: head(seen).rstrip().count("▸ logs before") == 0)


async def test_control_c_does_not_quit(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 30)) as seen:
        await seen.press("ctrl+c")
        await seen.shows("q quits")
        assert seen.app.is_running


async def test_where_one_is_goes_before_how_much_there_is(mesh: Mesh) -> None:
    await mesh.node("gpu-1", simulated=True)
    await mesh.agent("research")
    async with centre((80, 24), pane="agents") as seen:
        await seen.shows("1 host")
        await seen.press("w")
        await seen.shows("agents ▸ research ▸ why", "mesh home", "SIMULATED")
        assert "1 host" not in seen.screen.splitlines()[0]


async def test_from_a_page_one_goes_on_as_from_a_pane(mesh: Mesh) -> None:
    for name in ("critic", "scribe"):
        await mesh.agent(name)
    mesh.logs["critic"] = "first line\n"
    async with centre((120, 30)) as seen:
        await seen.press("3", "d")
        await seen.shows("▸ critic ▸ describe")
        await seen.press("2")
        await seen.shows("▸ hosts")
        await seen.press("left_square_bracket", "left_square_bracket")
        await settled(seen)
        await seen.press("escape", "3", "l")
        await seen.shows("first line")
        await seen.press("colon")
        await seen.type("top")
        await seen.shows("topology")
        await seen.press("escape")
        await seen.until(lambda: seen.app.query_one("#panes") is not None)
        await seen.shows("first line", "▸ logs")
        await seen.press("colon")
        await seen.type("tasks")
        await seen.press("enter")
        await seen.until(lambda: "▸ tasks" in head(seen))
        await seen.press("3", "d")
        await seen.shows("▸ critic ▸ describe")
        await seen.press("ctrl+p")
        await seen.type("show hosts")
        await seen.press("enter")
        await seen.until(lambda: "▸ hosts" in head(seen))


async def test_the_palette_takes_another_name_than_the_selected_one(mesh: Mesh) -> None:
    for name in ("critic", "scribe"):
        await mesh.agent(name)
    async with centre((120, 30)) as seen:
        await seen.press("3", "ctrl+p")
        await seen.type("rst scr")
        await seen.shows("Restart agent scribe", "would replace the processes of scribe")
        await seen.press("enter")
        await seen.shows("y yes")
        await seen.press("n", "ctrl+p")
        await seen.type("xyzzy")
        await seen.shows("nothing matches xyzzy")
