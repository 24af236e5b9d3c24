"""An action that is added to the registry is there in every face, and nowhere else told of."""

from __future__ import annotations

from typing import Any

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh

from sparkplug.actions.action import Action, ActionResult, Argument, Subject
from sparkplug.actions.registry import ACTIONS
from sparkplug.cli.parser import build_parser

_DONE: list[dict[str, Any]] = []


async def _wave(client: Any, **arguments: Any) -> ActionResult:
    _DONE.append(arguments)
    return ActionResult(f"waved at {arguments['agent']}")


def _why_not(subject: Subject | None) -> str | None:
    return "it would not see it" if subject and subject.name == "blind" else None


WAVE = Action(
    id="agents.wave",
    title="Wave at agent",
    help="wave at an agent",
    verb=("agents", "wave"),
    run=_wave,
    preview=lambda agent, **_: f"waves at {agent}",
    target="agent",
    arguments=(Argument("agent", "agent", "name of the agent", required=True),),
    key="W",
    applies=_why_not,
)


@pytest.fixture
def wave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ACTIONS, WAVE.id, WAVE)
    _DONE.clear()


async def _selected(seen: Centre, name: str) -> None:
    await seen.until(lambda: any(r.value.name == name for r in _rows(seen)))
    seen.app.pane.main.select(next(r.key for r in _rows(seen) if r.value.name == name))
    await seen.until(lambda: seen.app.subject and seen.app.subject.name == name)


def _rows(seen: Centre) -> list[Any]:
    listing = seen.app.pane.main
    return [listing.at(index) for index in range(listing.shown)]


async def test_it_is_in_every_place_of_the_screen(mesh: Mesh, wave: None) -> None:
    await mesh.agent("critic")
    await mesh.agent("blind")
    async with centre((300, 50), pane="agents") as seen:
        await _selected(seen, "critic")
        await seen.shows("W wave")
        await seen.press("question_mark")
        await seen.shows("Wave at agent critic", ":agents wave")
        await seen.press("escape", "W")
        await seen.until(lambda: _DONE == [{"agent": "critic"}])
        await seen.shows("waved at critic")
        await seen.press("ctrl+p")
        await seen.type("wave")
        await seen.shows("Wave at agent critic")
        await seen.press("enter")
        await seen.until(lambda: len(_DONE) == 2)
        await seen.press("colon")
        await seen.type("agents wa")
        await seen.press("tab")
        await seen.type("bl")
        await seen.press("tab", "enter")
        await seen.until(lambda: _DONE[2:] == [{"agent": "blind"}])
        await _selected(seen, "blind")
        assert "W wave" not in seen.screen
        await seen.press("W")
        await seen.shows("it would not see it")
        assert len(_DONE) == 3


async def test_it_is_in_the_menu_and_on_a_form_and_has_the_key_one_gives_it(
    mesh: Mesh, wave: None
) -> None:
    (mesh.server.folder / "config.toml").write_text('[tui.keymap]\n"agents.wave" = "f7"\n')
    await mesh.agent("critic")
    async with centre((120, 50), pane="agents") as seen:
        await _selected(seen, "critic")
        await seen.press("m")
        await seen.shows("Wave at agent critic", "f7")
        await seen.press("f7")
        await seen.until(lambda: _DONE == [{"agent": "critic"}])
        await seen.press("2", "ctrl+p")
        await seen.type("wave at")
        await seen.shows("Wave at agent …", "wave at an agent; needs agent")
        await seen.press("enter")
        await seen.shows("agent:", "critic")
        await seen.type("cri")
        await seen.shows("waves at critic")
        await seen.press("enter")
        await seen.until(lambda: len(_DONE) == 2)
    async with centre((120, 50), pane="agents", readonly=True) as seen:
        await _selected(seen, "critic")
        await seen.press("f7")
        await seen.shows("--readonly")
        await seen.press("m")
        await seen.shows("Copy name")
        assert "Wave" not in seen.screen
        await seen.press("escape", "question_mark")
        await seen.shows("Describe critic")
        assert "Wave" not in seen.screen
        assert len(_DONE) == 2


async def test_it_is_a_verb_with_help(wave: None, capsys: pytest.CaptureFixture[str]) -> None:
    args = build_parser(["agents", "wave", "critic"]).parse_args(["agents", "wave", "critic"])
    assert args.action_object is WAVE
    with pytest.raises(SystemExit):
        build_parser(["agents"]).parse_args(["agents", "--help"])
    assert "wave at an agent" in capsys.readouterr().out
