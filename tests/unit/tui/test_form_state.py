"""Forms without a screen: every value goes in and comes out the same, every mistake is told."""

from __future__ import annotations

import enum
import random
import string
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.settings import SettingsDocument
from sparkplug.schema.units import Bytes, Seconds, bytes_text, parse_bytes, parse_seconds
from sparkplug.schema.units import seconds_text as duration_text
from sparkplug.tui.widgets.form import words
from sparkplug.tui.widgets.form.edit import Edit
from sparkplug.tui.widgets.form.fields import Field as Row
from sparkplug.tui.widgets.form.fields import read_fields
from sparkplug.tui.widgets.form.state import FormState

_LETTERS = string.ascii_letters + string.digits + " ,=\"'\n\t[]{}\\-_äñ日本é😀:/"


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class Inner(BaseModel):
    """What is inside."""

    size: Bytes = 0
    wait: Seconds = 1.5
    color: Color = Color.RED


class Deep(BaseModel):
    inner: Inner = Field(default_factory=lambda: Inner(size=7, wait=3))
    needed: str = "x"


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    plain: str = "given"
    nothing: str | None = None
    something: str | None = "something"
    whole: int = 5
    maybe: int | None = None
    real: float = 0.5
    flag: bool = True
    perhaps: bool | None = None
    size: Bytes = 1 << 30
    big: Bytes | None = None
    wait: Seconds = 60.0
    pause: Seconds | None = None
    pick: Literal["one", "two", 3] = "two"
    color: Color | None = None
    secret: SecretStr = SecretStr("")
    names: list[str] = Field(default_factory=lambda: ["a"])
    counts: list[int] = Field(default_factory=list)
    unique: set[str] = Field(default_factory=set)
    row: tuple[int, ...] = ()
    env: dict[str, str] = Field(default_factory=lambda: {"A": "1"})
    either: str | list[str] = "any"
    data: dict[str, Any] = Field(default_factory=dict)
    inner: Inner = Field(default_factory=Inner)
    deep: Deep | None = None
    there: Inner | None = Field(default_factory=Inner)
    models: list[Inner] = Field(default_factory=list)
    aliased: int = Field(1, alias="ALIASED")


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(_LETTERS) for _ in range(rng.choice([0, 1, 3, 12])))


def _inner(rng: random.Random) -> Inner:
    return Inner(
        size=rng.choice([0, 1, 1 << 20, 3 << 40, 10**15 + 1, (1 << 53) + 1]),
        wait=rng.choice([0.0, 0.25, 1e-7, 59.0, 3661.0, 1e9, 1.1, rng.random() * 1e5]),
        color=rng.choice(list(Color)),
    )


def _everything(rng: random.Random) -> Everything:
    def maybe(value: Any) -> Any:
        return rng.choice([None, value])

    fields: dict[str, Any] = {
        "text": _word(rng),
        "plain": _word(rng),
        "nothing": maybe(_word(rng)),
        "something": maybe(_word(rng)),
        "whole": rng.randint(-(10**20), 10**20),
        "maybe": maybe(rng.randint(-5, 5)),
        "real": rng.choice([0.0, -1.5, 1e300, 1e-300, float("inf"), rng.random()]),
        "flag": rng.random() < 0.5,
        "perhaps": rng.choice([None, True, False]),
        "size": rng.choice([0, 1 << 30, 12345, 5 << 30]),
        "big": maybe(1 << 44),
        "wait": rng.choice([0.0, 60.0, 90.0, 86400.0, 0.001]),
        "pause": maybe(0.5),
        "pick": rng.choice(["one", "two", 3]),
        "color": maybe(Color.BLUE),
        "secret": SecretStr(_word(rng)),
        "names": [_word(rng) for _ in range(rng.randrange(4))],
        "counts": [rng.randint(-9, 9) for _ in range(rng.randrange(4))],
        "unique": {_word(rng) for _ in range(rng.randrange(4))},
        "row": tuple(rng.randint(0, 9) for _ in range(rng.randrange(3))),
        "env": {_word(rng): _word(rng) for _ in range(rng.randrange(4))},
        "either": rng.choice([_word(rng), [_word(rng) for _ in range(rng.randrange(4))]]),
        "data": rng.choice([{}, {"a": [1, None, {"b": "c"}]}, {"x": _word(rng)}]),
        "inner": _inner(rng),
        "deep": maybe(Deep(inner=_inner(rng), needed=_word(rng))),
        "there": maybe(_inner(rng)),
        "models": [_inner(rng) for _ in range(rng.randrange(3))],
        "ALIASED": rng.randint(0, 3),
    }
    for name in rng.sample(sorted(fields), rng.randrange(len(fields))):
        if name != "text":
            del fields[name]
    return Everything(**fields)


def test_a_model_goes_into_a_form_and_comes_out_the_same() -> None:
    rng = random.Random(20240611)
    for _ in range(400):
        wanted = _everything(rng)
        state = FormState(Everything, wanted)
        found = state.submit()
        assert found is not None, (wanted, state.first_wrong())
        assert found == wanted


def test_a_text_typed_anew_gives_the_same_model() -> None:
    rng = random.Random(7)
    for _ in range(60):
        first = FormState(Everything, _everything(rng))
        second = FormState(Everything)
        for path, text in first.texts.items():
            second.put(path, text)
        assert second.submit() == first.submit()


def test_the_real_models_are_filled_in_whole() -> None:
    spec = AgentSpec.model_validate(
        {
            "name": "critic",
            "entrypoint": "m:f",
            "capabilities": ["review", "a, b"],
            "resources": {"gpus": 2, "gpu_memory": "16GiB", "memory": "3GB"},
            "placement": {"hosts": ["gpu-1"], "labels": {"rack": "7"}},
            "restart": {"policy": "never", "within": "1h30m", "backoff": "250ms"},
            "env": {"PORT": "8080"},
        }
    )
    state = FormState(AgentSpec, spec)
    assert state.submit() == spec
    assert state.texts["resources", "gpu_memory"] == "16GiB"
    assert state.texts["restart", "within"] == "1h30m"
    assert {".".join(field.path) for field in read_fields(AgentSpec)} >= {
        *AgentSpec.model_fields,
        "restart.policy",
        "memory.scope",
    }
    settings = SettingsDocument.model_validate(
        {"tui": {"theme": "mono", "mouse": False}, "nats": {"port": 4222, "max_store": "1GiB"}}
    )
    assert FormState(SettingsDocument, settings).submit() == settings


@pytest.mark.parametrize(
    ("path", "typed", "told"),
    [
        ("whole", "many", "expected a whole number"),
        ("whole", "1.5", "expected a whole number"),
        ("whole", "9" * 5000, "too large"),
        ("real", "half", "expected a number"),
        ("flag", "perhaps", "expected true or false"),
        ("size", "16 elephants", "a size is a number with a unit"),
        ("wait", "soon", "a duration is a number with a unit"),
        ("pick", "four", "expected one or two or 3"),
        ("color", "green", "red"),
        ("names", '"open', "is closed by another"),
        ("names", '"a" b', "after a quoted text comes a comma"),
        ("counts", "1, two", "expected a whole number"),
        ("env", "PORT", "expected key=value, not PORT"),
        ("env", "A=1, A=2", "A is there twice"),
        ("data", "no keys", "expected keys with values"),
        ("inner.wait", "never", "a duration is a number"),
        ("models", '[{"size": -1}]', "must be at least 0"),
    ],
)
def test_what_is_wrong_is_told_beside_the_field_as_one_types(
    path: str, typed: str, told: str
) -> None:
    state = FormState(Everything, Everything(text="t"))
    where = tuple(path.split("."))
    state.put(where, typed)
    assert told in state.wrong(state.field(where))
    assert state.submit() is None
    assert state.first_wrong() == where
    state.put(where, None)
    assert state.wrong(state.field(where)) == ""
    assert state.submit() is not None


def test_what_was_not_touched_is_told_when_it_is_handed_in() -> None:
    state = FormState(AgentSpec)
    name, entry = state.field(("name",)), state.field(("entrypoint",))
    assert state.wrong(name) == state.wrong(entry) == ""
    state.put(name.path, "ok")
    assert state.submit() is None
    assert state.first_wrong() == entry.path
    assert state.wrong(entry) == "is needed"


def test_what_is_wrong_with_the_whole_is_told() -> None:
    class Range(BaseModel):
        low: int = 0
        high: int = 9

        @model_validator(mode="after")
        def _ordered(self) -> Range:
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    state = FormState(Range)
    state.put(("low",), "12")
    assert state.problem == ""
    assert state.submit() is None
    assert state.problem == "low is above high"
    assert state.first_wrong() is None


def test_undo_takes_back_what_was_typed_in_one_go() -> None:
    state = FormState(AgentSpec)
    for text in ("c", "cr", "cri"):
        state.put(("name",), text, merge=True)
    state.pause()
    state.put(("name",), "cris", merge=True)
    state.put(("model",), "big", merge=True)
    before = dict(state.texts)
    assert state.undo() == ("model",)
    assert ("model",) not in state.texts
    assert state.undo() == ("name",)
    assert state.texts["name",] == "cri"
    state.undo()
    assert state.texts == {}
    assert state.undo() is None
    for _ in range(3):
        state.redo()
    assert state.texts == before
    assert state.redo() is None


def test_undo_and_redo_are_each_others_inverse() -> None:
    rng = random.Random(3)
    state = FormState(Everything)
    fields = [field for field in state.fields if field.kind != "section"]
    seen = [dict(state.texts)]
    for _ in range(200):
        state.put(rng.choice(fields).path, rng.choice([None, "1", _word(rng)]))
        if state.texts != seen[-1]:
            seen.append(dict(state.texts))
    for texts in reversed(seen[:-1]):
        state.undo()
        assert state.texts == texts
    for texts in seen[1:]:
        state.redo()
        assert state.texts == texts


def test_sections_fold_come_and_go() -> None:
    state = FormState(Everything, Everything(text="t"))
    deep = state.field(("deep",))
    assert not state.is_on(deep)
    assert ("deep", "needed") not in {row.path for row in state.rows()}
    state.switch(deep)
    state.put(("deep", "needed"), "y")
    found = state.submit()
    assert isinstance(found, Everything)
    assert found.deep == Deep(needed="y")
    state.fold(deep)
    assert ("deep", "needed") not in {row.path for row in state.rows()}
    state.open_to(("deep", "inner", "size"))
    assert ("deep", "inner", "size") in {row.path for row in state.rows()}
    state.switch(deep)
    assert state.submit() == Everything(text="t")


def test_a_model_inside_itself_is_typed_as_json() -> None:
    class Node(BaseModel):
        name: str = "n"
        child: Node | None = None

    state = FormState(Node, Node(child=Node(name="m")))
    assert [field.kind for field in state.fields] == ["text", "data"]
    assert state.submit() == Node(child=Node(name="m"))


def test_units_are_read_again_as_the_same_value() -> None:
    rng = random.Random(11)
    for _ in range(2000):
        size = rng.choice([rng.randrange(1 << 20), rng.randrange(1 << 60), 1 << rng.randrange(60)])
        text = bytes_text(size)
        assert (int(text) if text.isdecimal() else parse_bytes(text)) == size
        seconds = rng.choice([rng.random(), rng.random() * 1e6, float(rng.randrange(10**7))])
        assert parse_seconds(duration_text(seconds)) == seconds
    assert [bytes_text(n) for n in (0, 1000, 1 << 10, 16 << 30)] == ["0", "1000", "1KiB", "16GiB"]
    texts = [duration_text(s) for s in (0.0, 0.25, 2.0, 90.0, 5400.0, 86400.0)]
    assert texts == ["0s", "250ms", "2s", "1m30s", "1h30m", "1d"]


def test_lists_are_read_with_line_ends_for_commas() -> None:
    assert words.to_items("a\nb, c\n\n d ") == ["a", "b", "c", "d"]
    assert words.to_pairs("A=1\nB = 2=3") == {"A": "1", "B": "2=3"}
    assert words.to_either("one") == "one"
    assert words.to_either("one,") == ["one"]


def test_an_edited_line_keeps_its_cursor_in_sight() -> None:
    from rich.cells import cell_len
    from rich.style import Style

    rng = random.Random(5)
    for _ in range(500):
        edit = Edit(_word(rng) * rng.choice([1, 9]))
        width = rng.randint(2, 20)
        for _ in range(8):
            match rng.randrange(6):
                case 0:
                    edit.insert(_word(rng))
                case 1:
                    edit.delete(before=True)
                case 2:
                    edit.delete(before=False, word=True)
                case 3:
                    edit.move(-1)
                case 4:
                    edit.move(1, word=True)
                case _:
                    edit.go(rng.randint(0, 50))
            assert 0 <= edit.at <= len(edit.text)
            parts = edit.spans(width, "text", Style(reverse=True))
            assert sum(cell_len(text) for _, text in parts) <= width + 1
            before = parts[0][1]
            at = edit.place(cell_len(before), width)
            assert at == edit.at or edit.at == len(edit.text)


def test_secrets_are_dots() -> None:
    from rich.style import Style

    edit = Edit("hunter2")
    parts = edit.spans(20, "text", Style(), secret=True)
    assert "".join(text for _, text in parts).strip() == "•" * 7


def test_required_is_what_has_no_default() -> None:
    rows: dict[str, Row] = {field.label: field for field in read_fields(AgentSpec)}
    assert [name for name, field in rows.items() if field.required] == ["name", "entrypoint"]


def test_fields_stand_first_and_are_checked_beyond_the_model() -> None:
    def check(given: dict[str, Any]) -> dict[tuple[str, ...], str]:
        return {("name",): "is taken"} if given.get("name") == "mine" else {}

    state = FormState(AgentSpec, first=("entrypoint", "resources"), check=check)
    paths = [field.path for field in state.fields]
    assert paths[:3] == [("entrypoint",), ("resources",), ("resources", "gpus")]
    assert set(paths) == {field.path for field in FormState(AgentSpec).fields}
    state.put(("name",), "mine")
    state.put(("entrypoint",), "m:f")
    assert state.value is None
    assert state.problems == {("name",): "is taken"}
    state.put(("name",), "other")
    assert state.value == AgentSpec(name="other", entrypoint="m:f")


def test_filling_is_one_step_back() -> None:
    state = FormState(AgentSpec)
    state.put(("name",), "mine")
    state.put(("replicas",), "3")
    state.fill(AgentSpec(name="other", entrypoint="m:f", concurrency=2))
    assert state.value == AgentSpec(name="other", entrypoint="m:f", concurrency=2)
    state.undo()
    assert state.given == {"name": "mine", "replicas": 3}
    state.redo()
    assert state.value == AgentSpec(name="other", entrypoint="m:f", concurrency=2)
