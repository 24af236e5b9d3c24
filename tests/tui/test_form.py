"""The form on a screen: typed, pasted, clicked, undone, at any size, with hostile values."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr
from textual.app import ComposeResult
from textual.events import Paste
from textual.pilot import Pilot

from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.settings import SettingsDocument
from sparkplug.tui.looks import Looks
from sparkplug.tui.screen.writer import PaintedApp
from sparkplug.tui.themes import Terminal, load_themes
from sparkplug.tui.widgets.form.form import Form, offers_from

_NAMES = {" ": "space", "-": "minus", "_": "underscore", ":": "colon", ",": "comma"}


class Held(Looks, PaintedApp):
    """A form and what it posted."""

    def __init__(self, form: Form, theme: str = "neon") -> None:
        super().__init__(themes=load_themes()[0], terminal=Terminal())
        self.theme = theme
        self.form = form
        self.values: list[BaseModel] = []
        self.left = 0

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(self.themes["neon"].variables) if hasattr(self, "themes") else {}

    def compose(self) -> ComposeResult:
        yield self.form

    def on_mount(self) -> None:
        self.form.focus()

    def on_form_submitted(self, event: Form.Submitted) -> None:
        self.values.append(event.value)

    def on_form_left(self) -> None:
        self.left += 1

    @property
    def text(self) -> str:
        return "\n".join(strip.text for strip in self.screen._compositor.render_strips())


class Seen:
    """A form under test."""

    def __init__(self, app: Held, pilot: Pilot[Any]) -> None:
        self.app, self.pilot = app, pilot

    async def type(self, text: str) -> None:
        await self.pilot.press(*(_NAMES.get(letter, letter) for letter in text))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()


@contextlib.asynccontextmanager
async def opened(
    form: Form, size: tuple[int, int] = (80, 24), theme: str = "neon"
) -> AsyncIterator[Seen]:
    app = Held(form, theme)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield Seen(app, pilot)


@pytest.mark.parametrize("size", [(80, 24), (30, 10), (20, 5), (160, 50)])
async def test_an_agent_is_filled_in_with_keys_alone(size: tuple[int, int]) -> None:
    async with opened(Form(AgentSpec, submit="deploy"), size) as seen:
        await seen.type("critic")
        await seen.press("down", "right", "tab")
        await seen.type("m:f")
        for _ in range(6):
            await seen.press("down")
        assert seen.app.form.field is not None
        assert seen.app.form.field.label == "replicas"
        await seen.type("3")
        await seen.press("ctrl+s")
        assert seen.app.values == [
            AgentSpec(name="critic", entrypoint="m:f", runtime="langgraph", replicas=3)
        ]


async def test_a_form_that_does_not_fit_says_where_one_stands() -> None:
    async with opened(Form(AgentSpec, submit="deploy"), (80, 16)) as seen:
        total = len(seen.app.form.lines)
        assert f" 1/{total} ─╯" in seen.app.text
        await seen.type("Bad")
        await seen.press("down")
        assert f" 2/{total} · 1 to mend ─╯" in seen.app.text
        seen.app.form.scroll_lines(6)
        await seen.pilot.pause()
        assert f" 7-{6 + seen.app.form.page}/{total} · 1 to mend ─╯" in seen.app.text
        await seen.pilot.resize_terminal(80, 60)
        await seen.pilot.pause()
        assert "─ 1 to mend ─╯" in seen.app.text


async def test_the_cursor_goes_to_the_first_field_that_is_wrong() -> None:
    async with opened(Form(AgentSpec)) as seen:
        await seen.type("Bad")
        assert "✖ does not have the form" in seen.app.text
        assert "is needed" not in seen.app.text
        await seen.press("ctrl+u")
        await seen.type("ok")
        assert "does not have the form" not in seen.app.text
        await seen.press("f8")
        assert seen.app.values == []
        assert seen.app.form.field is not None
        assert seen.app.form.field.label == "entrypoint"
        assert "✖ is needed" in seen.app.text
        assert "1 to mend" in seen.app.text
        await seen.type("m:f")
        await seen.press("end", *["pagedown"] * 4, "enter")
        assert len(seen.app.values) == 1


async def test_a_wrong_field_in_a_folded_section_is_opened() -> None:
    async with opened(Form(SettingsDocument)) as seen:
        form = seen.app.form
        form.go(("telemetry", "period"))
        await seen.type("0s")
        assert "must be at least 0.1" in seen.app.text
        form.go(("telemetry",))
        await seen.press("left")
        assert "period" not in seen.app.text
        await seen.press("ctrl+s")
        assert form.field is not None
        assert form.field.path == ("telemetry", "period")
        assert "must be at least 0.1" in seen.app.text
        await seen.press("ctrl+r", "ctrl+s")
        assert seen.app.values == [SettingsDocument()]


async def test_choices_are_turned_typed_and_dropped_down() -> None:
    class Model(BaseModel):
        pick: Literal["alpha", "beta", "gamma", "beat"] = "alpha"
        flag: bool = False

    async with opened(Form(Model)) as seen:
        form = seen.app.form
        await seen.press("right")
        assert form.value == Model(pick="beta")
        await seen.press("b")
        assert form.value == Model(pick="beat")
        await seen.press("space")
        assert all(name in seen.app.text for name in ("alpha", "gamma", "❯ beat"))
        await seen.press("up", "enter")
        assert form.value == Model(pick="gamma")
        await seen.press("space", "escape")
        assert seen.app.left == 0
        await seen.press("down", "space")
        assert "[x] yes" in seen.app.text
        assert form.value == Model(pick="gamma", flag=True)
        await seen.press("escape")
        assert seen.app.left == 1


async def test_undo_paste_and_secrets() -> None:
    class Model(BaseModel):
        token: SecretStr = Field(SecretStr(""), description="never shown")
        names: list[str] = Field(default_factory=list)
        count: int = 1

    async with opened(Form(Model)) as seen:
        form = seen.app.form
        form.post_message(Paste("hunter2\n"))
        await seen.pilot.pause()
        assert "hunter2" not in seen.app.text
        assert "•••••••" in seen.app.text
        await seen.press("tab")
        form.post_message(Paste("a\r\nb\r\n\x1b[31mc"))
        await seen.pilot.pause()
        assert form.value == Model(token=SecretStr("hunter2"), names=["a", "b", "c"])
        await seen.press("comma", "d", "ctrl+z")
        assert form.value == Model(token=SecretStr("hunter2"), names=["a", "b", "c"])
        await seen.press("ctrl+z")
        assert form.value == Model(token=SecretStr("hunter2"))
        await seen.press("ctrl+y")
        assert form.value == Model(token=SecretStr("hunter2"), names=["a", "b", "c"])
        await seen.press("tab", "4", "2", "ctrl+left", "7", "home", "delete", "ctrl+s")
        assert seen.app.values == [
            Model(token=SecretStr("hunter2"), names=["a", "b", "c"], count=42)
        ]


async def test_names_are_offered_as_one_types() -> None:
    class Model(BaseModel):
        agent: str
        other: str = ""

    suggest = {("agent",): offers_from(lambda: ["critic", "scribe", "sentinel"])}
    async with opened(Form(Model, suggest=suggest)) as seen:
        form = seen.app.form
        await seen.type("s")
        while "sentinel" not in seen.app.text:
            await seen.pilot.pause()
        assert "critic" not in seen.app.text
        await seen.press("tab")
        assert form.value is not None
        taken = form.value.agent
        assert taken in ("scribe", "sentinel")
        await seen.press("tab")
        assert form.field is not None
        assert form.field.label == "other"


async def test_the_mouse_does_what_keys_do() -> None:
    class Model(BaseModel):
        name: str = "abcdef"
        flag: bool = False
        pick: Literal["one", "two"] = "one"

    async with opened(Form(Model, Model(name="xyz"))) as seen:
        form = seen.app.form
        await seen.pilot.click(form, offset=(2, 2))
        await seen.pilot.pause()
        assert form.value == Model(name="xyz", flag=True)
        await seen.pilot.click(form, offset=(2, 3))
        await seen.pilot.pause()
        await seen.pilot.click(form, offset=(20, 5))
        await seen.pilot.pause()
        assert form.value == Model(name="xyz", flag=True, pick="two")
        x = seen.app.text.splitlines()[1].index("yz")
        await seen.pilot.click(form, offset=(x, 1))
        await seen.press("k")
        assert form.value == Model(name="xkyz", flag=True, pick="two")
        await seen.pilot.click(form, offset=(4, 4))
        await seen.pilot.pause()
        assert len(seen.app.values) == 1


@pytest.mark.parametrize("theme", ["neon", "mono"])
async def test_hostile_values_shift_nothing(theme: str) -> None:
    evil = "\x1b[2J\u202e日本\u0301\n\t\x07" + "x" * 100_000

    class Model(BaseModel):
        name: str = Field("", description=evil)
        other: str = evil
        env: dict[str, str] = Field(default_factory=dict)

    form = Form(Model, Model(name=evil, env={evil: evil}))
    async with opened(form, theme=theme) as seen:
        await seen.press("home", "right", "right", "x", "down", "right", "ctrl+left", "down")
        for line in seen.app.text.splitlines():
            assert line.isprintable()
        widths = {strip.cell_length for strip in seen.app.screen._compositor.render_strips()}
        assert widths == {80}
        await seen.press("ctrl+s")
        assert len(seen.app.values) == 1


async def test_nothing_is_painted_that_did_not_change() -> None:
    form = Form(AgentSpec, AgentSpec(name="a", entrypoint="m:f"))
    async with opened(form) as seen:
        drawn: list[int] = []
        inner = form.render_line

        def counted(y: int) -> Any:
            drawn.append(y)
            return inner(y)

        form.render_line = counted  # type: ignore[method-assign]
        form._show()
        await seen.pilot.pause()
        assert drawn == []
        await seen.press("b")
        assert set(drawn) == {0}


async def test_keys_at_random_leave_a_form_that_holds() -> None:
    import random

    rng = random.Random(99)
    named = (
        "tab down up shift+tab enter space left right home end backspace delete ctrl+w ctrl+u "
        "ctrl+r ctrl+z ctrl+y pagedown pageup ctrl+left ctrl+right"
    )
    keys = [*named.split(), *"ab1,="]
    form = Form(AgentSpec, AgentSpec(name="a", entrypoint="m:f"))
    async with opened(form, (60, 16)) as seen:
        for step in range(240):
            await seen.pilot.press(rng.choice(keys))
            if step % 60 == 30:
                await seen.pilot.resize_terminal(rng.randint(20, 100), rng.randint(5, 40))
        await seen.pilot.pause()
        visible = [place for place in form._places if not isinstance(place, int)]
        assert form._at in visible
        assert sum("▸" in line for line in seen.app.text.splitlines()) == 1
