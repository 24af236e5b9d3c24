"""Records as faces print them: without versions, whatever users call `v`."""

from __future__ import annotations

from pydantic import Field

from sparkplug.schema.base import Record
from sparkplug.schema.plain import plain
from sparkplug.schema.run import RunView, StepView


class _Inner(Record):
    name: str
    data: dict[str, object] = Field(default_factory=dict)


class _Outer(Record):
    one: _Inner
    many: list[_Inner]
    named: dict[str, _Inner]
    pair: tuple[_Inner, int]
    other: _Inner = Field(serialization_alias="else")


def test_no_version_is_told_at_any_depth_and_what_is_data_stays() -> None:
    inner = _Inner(name="a", data={"v": 7, "in": {"v": 8}})
    told = {"name": "a", "data": {"v": 7, "in": {"v": 8}}}
    outer = _Outer(one=inner, many=[inner], named={"v": inner}, pair=(inner, 1), other=inner)
    found = {"one": told, "many": [told], "named": {"v": told}, "pair": [told, 1]}
    assert plain(outer) == {**found, "other": told}
    assert plain(outer, by_alias=True) == {**found, "else": told}
    assert plain(outer, exclude={"named", "other"}) == {
        key: found[key] for key in ("one", "many", "pair")
    }


def test_what_a_run_was_given_and_gave_keeps_its_names() -> None:
    view = RunView(id="r", plan="p", inputs={"v": 3}, steps=[StepView(id="a", output={"v": 4})])
    told = plain(view)
    assert "v" not in told
    assert told["inputs"] == {"v": 3}
    assert "v" not in told["steps"][0]
    assert told["steps"][0]["output"] == {"v": 4}
