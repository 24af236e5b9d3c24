"""Arguments asked for on a form; the palette's preview, matches and order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.events import Key
from tui_centre import Centre, centre
from tui_mesh import Mesh

from sparkplug.actions.registry import ACTIONS
from sparkplug.tui.dialogs.arguments import Arguments, argument_model
from sparkplug.tui.fuzzy import marked, match
from sparkplug.tui.widgets.form.state import FormState


@pytest.fixture
async def seen(mesh: Mesh) -> AsyncIterator[Centre]:
    """A control centre with three agents on it."""
    for name in ("critic", "scribe", "sentinel"):
        await mesh.agent(name)
    async with centre((80, 24)) as found:
        await found.shows("critic", "sentinel")
        yield found


async def test_the_palette_says_what_will_be_done(seen: Centre) -> None:
    await seen.press("ctrl+p")
    await seen.type("stop agent cr")
    await seen.shows("▲ would stop critic; work in hand ends; asks first", "f4 all arguments")
    await seen.press("ctrl+u")
    await seen.type("start agent cr")
    await seen.shows("not now: it runs already")
    await seen.press("ctrl+u")
    await seen.type("scale agent cr")
    await seen.shows("needs replicas")
    await seen.press("enter")
    await seen.shows("replicas:")
    await seen.type("4")
    await seen.shows("would run 4 replicas of critic")
    await seen.press("escape")


async def test_f4_asks_for_all_arguments(seen: Centre, mesh: Mesh) -> None:
    await seen.press("n", "f4")
    await seen.until(lambda: isinstance(seen.app.screen, Arguments))
    await seen.shows("Scale agent", "no_wait", "timeout", "30s", "needs replicas")
    await seen.type("3")
    await seen.shows("would run 3 replicas of critic")
    await seen.press("down", "space", "f8")

    async def scaled() -> bool:
        return (await mesh.desired("critic")).spec.replicas == 3

    await seen.becomes(scaled)
    await seen.shows("scaled to 3")


async def test_what_is_handed_in_is_what_was_filled_in_then(seen: Centre, mesh: Mesh) -> None:
    await seen.press("n", "f4")
    await seen.until(lambda: isinstance(seen.app.screen, Arguments))
    await seen.type("4")
    await seen.shows("would run 4 replicas of critic")
    for key in ("f8", "backspace"):  # in one piece
        seen.app.post_message(Key(key, None))

    async def scaled() -> bool:
        return (await mesh.desired("critic")).spec.replicas == 4

    await seen.becomes(scaled)


async def test_more_than_one_missing_argument_opens_the_form(seen: Centre) -> None:
    await seen.press("colon")
    await seen.type("prompt")
    await seen.press("enter")
    await seen.until(lambda: len(seen.app.screen_stack) == 2)
    await seen.press("escape")
    await seen.press("2", "colon")  # nothing is selected there
    await seen.type("agents scale")
    await seen.press("enter")
    await seen.until(lambda: isinstance(seen.app.screen, Arguments))
    await seen.type("scr")
    await seen.until(lambda: "scribe" in seen.screen)
    await seen.press("tab", "tab")
    await seen.type("many")
    await seen.shows("✖ expected a whole number")
    await seen.press("ctrl+s")
    await seen.until(lambda: isinstance(seen.app.screen, Arguments))
    await seen.press("escape")
    await seen.until(lambda: len(seen.app.screen_stack) == 1)


async def test_paths_are_completed_on_a_form(seen: Centre, tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "one.yaml").write_text("name: one\n")
    await seen.press("ctrl+p")
    await seen.type("deploy agent")
    await seen.shows("Deploy agent …")
    await seen.press("f4")
    await seen.until(lambda: isinstance(seen.app.screen, Arguments))
    screen = seen.app.screen
    assert isinstance(screen, Arguments)
    form = screen._form
    form._edit.insert(f"{tmp_path}/ag")
    form._retype()
    await seen.until(lambda: form._offers.shown)
    await seen.press("tab")
    await seen.until(lambda: form._offers.shown)
    await seen.press("tab")
    assert form.state.given == {"path": f"{tmp_path}/agents/one.yaml"}


async def test_danger_on_a_form_asks_once_more(seen: Centre, mesh: Mesh) -> None:
    await seen.press("ctrl+p")
    await seen.type("stop agent cr")
    await seen.press("f4")
    await seen.until(lambda: isinstance(seen.app.screen, Arguments))
    await seen.shows("▲ would stop critic; work in hand ends; asks first")
    await seen.press("ctrl+s")
    await seen.shows("y yes")
    await seen.press("n")
    assert (await mesh.desired("critic")).run


def test_every_action_can_be_filled_in() -> None:
    for action in ACTIONS.values():
        model = argument_model(action)
        assert list(model.model_fields) == [argument.name for argument in action.arguments]
        state = FormState(model)
        for field, argument in zip(state.fields, action.arguments, strict=True):
            assert field.required is (argument.required and not argument.unless)
            if field.required:
                state.put(field.path, "7" if field.kind == "integer" else "x")
        assert state.submit() is not None
        assert set(state.given) == {a.name for a in action.arguments if a.required and not a.unless}
        assert action.preview(**state.given)


async def test_what_was_chosen_lately_and_what_failed_comes_first(mesh: Mesh) -> None:
    await mesh.agent("critic", "error", reason="gone")
    async with centre((80, 24)) as seen:
        await seen.shows("critic")
        await seen.press("ctrl+p")
        await seen.shows("Restart agent critic")
        first = ["Why is critic", "Follow logs", "Restart agent critic"]
        last = ["Start agent critic", "Describe critic"]
        words = seen.screen
        assert sorted([*first, *last], key=words.index) == [*first, *last]
        await seen.press("escape", "m")
        await seen.shows("Copy name")
        words = seen.screen
        assert sorted([*first, *last], key=words.index) == [*first, *last]
        await seen.press("escape")
        seen.app.history.choose("Theme mono")
        await seen.press("ctrl+p")
        await seen.type("theme")
        await seen.shows("Theme mono")
        words = seen.screen
        assert words.index("Theme mono") < words.index("Theme clarity")
        await seen.press("escape")


@pytest.mark.parametrize(
    ("typed", "text", "hit"),
    [
        ("res", "Restart agent", "Res"),
        ("ra", "Restart agent", "Ra"),
        ("rg", "Restart agent", "Rg"),
        ("AGENT", "Restart agent", "agent"),
        ("straße", "Die Straße", "Straße"),
        ("i", "İstanbul i", "i"),
        ("", "anything", ""),
    ],
)
def test_a_match_names_the_letters(typed: str, text: str, hit: str) -> None:
    found = match(typed, text)
    assert found is not None
    assert "".join(text[at] for at in found.at) == hit
    line = marked(text, found.at, "text")
    assert "".join(part for _, part in line) == text
    assert "".join(part for pen, part in line if pen == "title") == hit


def test_letters_out_of_order_do_not_match() -> None:
    assert match("tser", "rest") is None


async def test_the_palette_is_paged_through(seen: Centre) -> None:
    await seen.press("ctrl+p")
    await seen.shows("▸ Describe critic")
    await seen.press("pagedown")
    await seen.until(lambda: "▸ Describe critic" not in seen.screen)
    await seen.press("pageup")
    await seen.shows("▸ Describe critic")
