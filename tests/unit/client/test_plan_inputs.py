"""Plans by name, and their inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkplug.client.plan_files import check_inputs, find_plan, parse_inputs
from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.plan import Plan

PLAN = Plan.model_validate(
    {
        "name": "p",
        "inputs": {"host": {"required": True}, "depth": {"default": 3}, "note": {}},
        "steps": [{"id": "a", "agent": "x", "prompt": "hi"}],
    }
)


def test_values_that_are_json_are_read_as_such() -> None:
    given = parse_inputs(["n=3", "on=true", "list=[1, 2]", "text=a=b", "empty=", 's="3"'])
    assert given == {"n": 3, "on": True, "list": [1, 2], "text": "a=b", "empty": "", "s": "3"}


@pytest.mark.parametrize("pair", ["novalue", "=value"])
def test_an_input_is_key_and_value(pair: str) -> None:
    with pytest.raises(InvalidError, match="key=value"):
        parse_inputs([pair])


def test_defaults_fill_what_was_not_given() -> None:
    assert check_inputs(PLAN, {"host": "h"}) == {"host": "h", "depth": 3, "note": None}


def test_unknown_and_missing_inputs() -> None:
    with pytest.raises(InvalidError, match="no input hots, did you mean host"):
        check_inputs(PLAN, {"hots": "h"})
    with pytest.raises(InvalidError, match="wants the input host"):
        check_inputs(PLAN, {})


def test_a_plan_by_file_or_by_name(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("name: p\nsteps: [{id: a, agent: x, prompt: hi}]\n")
    assert find_plan(str(file)).name == "p"
    with pytest.raises(NotFoundError):
        find_plan(str(tmp_path / "missing.yaml"))
    with pytest.raises(NotFoundError, match="no plan of-no-such-name"):
        find_plan("of-no-such-name")
    with pytest.raises(InvalidError, match=r"p\.yaml:2:"):
        find_plan(str(file), agents={"another"})


TYPED = Plan.model_validate(
    {
        "name": "p",
        "inputs": {"topic": {"type": "text"}, "n": {"type": "integer"}, "any": {}},
        "steps": [{"id": "a", "value": 1}],
    }
)


def test_what_is_a_text_stays_one_and_the_rest_is_read_as_json() -> None:
    pairs = ["topic=2024", "n=2024", "any=[1, 2]"]
    assert parse_inputs(pairs) == {"topic": 2024, "n": 2024, "any": [1, 2]}
    read = parse_inputs(pairs, TYPED)
    assert read == {"topic": "2024", "n": 2024, "any": [1, 2]}
    assert check_inputs(TYPED, read) == read
    assert parse_inputs(['topic="2024"', "any=x=y"], TYPED) == {"topic": "2024", "any": "x=y"}
    assert parse_inputs(["topic=true", "nobody=1"], TYPED) == {"topic": "true", "nobody": 1}
