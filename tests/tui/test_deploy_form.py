"""The deploy form: begun from files, examples and copies, checked as one types, saved, deployed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh

from sparkplug.actions import agent_files
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.agent_text import read_agent_text
from sparkplug.tui.dialogs.deploy import Deploy


@pytest.fixture
async def seen(mesh: Mesh) -> AsyncIterator[Centre]:
    """A control centre on Agents, with one agent."""
    await mesh.agent("critic")
    async with centre((160, 40), pane="agents") as found:
        await found.shows("critic")
        yield found


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module."""
    found = tmp_path_factory.mktemp("mine")
    (found / "mine.py").write_text("async def handle(ctx, request):\n    return 'hello'\n")
    return found


async def opened(seen: Centre) -> Deploy:
    """The form."""
    await seen.press("D")
    await seen.until(lambda: isinstance(seen.app.screen, Deploy))
    screen = seen.app.screen
    assert isinstance(screen, Deploy)
    await seen.until(lambda: screen._examples)
    return screen


def put(screen: Deploy, **texts: str) -> None:
    """Type into fields by their names."""
    for name, text in texts.items():
        screen.form.state.put((name.rstrip("_"),), text)
    screen.form.changed()


async def test_it_is_checked_while_one_types_and_deployed(
    seen: Centre, mesh: Mesh, folder: Path
) -> None:
    screen = await opened(seen)
    await seen.shows("nothing can be deployed yet", "name is needed", "example sentinel")
    await seen.press("tab", "tab")
    await seen.type("critic")
    await seen.shows("✖ is taken")
    await seen.press("backspace", "backspace", "backspace", "backspace", "backspace", "backspace")
    await seen.type("mine")
    put(screen, folder=str(folder), entrypoint="other:handle")
    await seen.shows("▲ no other.py in")
    put(screen, entrypoint="mine:wrong")
    await seen.shows("▲ mine.py has no wrong; it has handle")
    put(screen, entrypoint="mine:handle", replicas="2")
    await seen.until(lambda: "▲" not in seen.screen)
    await seen.shows("name: mine", "replicas: 2", "entrypoint: mine:handle", f"modules in {folder}")
    await seen.press("f8")

    async def wanted() -> bool:
        found = await mesh.all_desired()
        return "mine" in found and found["mine"].spec.replicas == 2

    await seen.becomes(wanted)
    assert (await mesh.desired("mine")).folder == str(folder)


async def test_where_it_would_go_is_told(
    seen: Centre, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(client: Any, spec: AgentSpec, folder: str) -> str:
        return f"{spec.name}/0 goes to gpu-1: it has room\n{spec.name}/1 waits"

    monkeypatch.setattr(agent_files, "check_spec", check)
    screen = await opened(seen)
    put(screen, name="mine", folder=str(folder), entrypoint="mine:handle")
    await seen.shows("mine/0 goes to gpu-1: it has room", "mine/1 waits")


async def test_what_was_written_is_there_when_one_comes_back(seen: Centre, folder: Path) -> None:
    screen = await opened(seen)
    await seen.press("escape")  # what is offered goes first
    put(screen, name="mine", folder=str(folder))
    await seen.press("escape")
    await seen.until(lambda: seen.app.screen is not screen)
    screen = await opened(seen)
    await seen.shows("as it was left")
    assert screen.form.state.given["name"] == "mine"


async def test_it_begins_from_examples_copies_and_files(
    seen: Centre, mesh: Mesh, folder: Path
) -> None:
    screen = await opened(seen)
    put(screen, from_="example sentinel")
    await seen.shows("name: sentinel", "entrypoint: sentinel:Sentinel")
    put(screen, from_="copy of critic")
    await seen.shows("name: critic-2", "entrypoint: m:f")
    (folder / "one.yaml").write_text("name: one\nentrypoint: mine:handle\nconcurrency: 3\n")
    put(screen, from_=f"{folder}/one.yaml")
    await seen.shows("name: one", "concurrency: 3", f"modules in {folder}")
    (folder / "two.yaml").write_text("name: two\nentrypoint: mine:handle\nconcurrency: none\n")
    put(screen, from_=f"{folder}/two.yaml")
    await seen.shows("two.yaml:3:14")
    (folder / "two.yaml").write_text("name: two\nentrypoint: mine:handle\n")
    put(screen, from_=str(folder))
    await seen.shows("2 agents", "one", "two")
    await seen.press("ctrl+s")

    async def both() -> bool:
        return {"one", "two"} <= set(await mesh.all_desired())

    await seen.becomes(both)


async def test_it_is_saved_and_replaces_no_file_unasked(seen: Centre, folder: Path) -> None:
    screen = await opened(seen)
    put(screen, name="mine", folder=str(folder), entrypoint="mine:handle", env="A=1")
    await seen.shows("name: mine")
    await seen.press("f5")
    await seen.shows("save to:")
    await seen.press("enter")
    file = folder / "mine.yaml"
    await seen.until(file.exists)
    assert read_agent_text(file.read_text()).env == {"A": "1"}
    put(screen, replicas="3")
    await seen.shows("replicas: 3")
    await seen.press("f5")
    await seen.shows("save to:")
    await seen.press("enter")
    await seen.shows("replace the file?")
    await seen.press("n")
    await seen.until(lambda: seen.app.screen is screen)
    assert read_agent_text(file.read_text()).replicas == 1
    await seen.press("f5", "enter")
    await seen.shows("replace the file?")
    await seen.press("y")
    await seen.until(lambda: read_agent_text(file.read_text()).replicas == 3)
    assert sorted(p.name for p in folder.iterdir()) == ["mine.py", "mine.yaml"]


async def test_the_smallest_screen_has_form_or_preview(mesh: Mesh, folder: Path) -> None:
    await mesh.agent("critic")
    async with centre((80, 24), pane="agents") as seen:
        screen = await opened(seen)
        put(screen, name="mine", folder=str(folder), entrypoint="mine:handle")
        await seen.shows("entrypoint", "f6 preview")
        assert "what will be deployed" not in seen.screen
        await seen.press("f6")
        await seen.shows("what will be deployed", "name: mine", "f6 form")
        await seen.press("escape")
        await seen.shows("f6 preview", "runtime")
