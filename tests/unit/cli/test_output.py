"""Tables, JSON, names and filters."""

from __future__ import annotations

import io
import json

import pytest

from sparkplug.cli.output import (
    Column,
    Listing,
    Output,
    cell_width,
    has_labels,
    matcher,
    select,
    to_json,
)
from sparkplug.schema.errors import InvalidError

Row = tuple[str, int, str | None]

ROWS: list[Row] = [("short", 7, None), ("a-longer-name", 1234, "why\nnot"), ("字", 1, "ok")]
LISTING: Listing[Row] = Listing(
    columns=(
        Column("name", lambda r: r[0]),
        Column("count", lambda r: r[1], right=True),
        Column("reason", lambda r: r[2], wide=True),
    ),
    name=lambda r: r[0],
    data=lambda r: {"name": r[0], "count": r[1]},
)


def test_columns_are_aligned() -> None:
    lines = Output().render(ROWS, LISTING).splitlines()
    assert lines[0] == "NAME           COUNT"
    assert lines[1] == "short              7"
    assert lines[2] == "a-longer-name   1234"
    assert {cell_width(line) for line in lines} == {20}


def test_wide_shows_more_and_a_cell_stays_one_line() -> None:
    lines = Output(format="wide").render(ROWS, LISTING).splitlines()
    assert lines[0].endswith("REASON")
    assert lines[1].endswith("—")
    assert lines[2].endswith("why not")
    assert len(lines) == 4


def test_json_and_yaml_hold_the_same() -> None:
    from ruamel.yaml import YAML

    as_json = json.loads(Output(format="json").render(ROWS, LISTING))
    as_yaml = YAML(typ="safe", pure=True).load(Output(format="yaml").render(ROWS, LISTING))
    assert as_json == as_yaml == [{"name": name, "count": count} for name, count, _ in ROWS]


def test_names_are_printed_once_each() -> None:
    assert Output(format="name").render([*ROWS, ROWS[0]], LISTING) == "short\na-longer-name\n字\n"


def test_nothing_is_an_empty_list_or_an_empty_table() -> None:
    assert json.loads(Output(format="json").render([], LISTING)) == []
    assert Output().render([], LISTING) == ""


def test_json_holds_no_character_a_terminal_obeys() -> None:
    text = to_json({"t": "\x1b[31m \x9b1m \u202e µ"}, indent=None)
    assert json.loads(text) == {"t": "\x1b[31m \x9b1m \u202e µ"}
    assert not set(text) & {"\x1b", "\x9b", "\u202e"}
    assert "µ" in text


@pytest.mark.parametrize(
    ("expression", "left"),
    [
        ("", ["short", "a-longer-name", "字"]),
        ("LONGER", ["a-longer-name"]),
        ("!longer", ["short", "字"]),
        ("^short.*7", ["short"]),
        ("nothing like it", []),
    ],
)
def test_filters(expression: str, left: list[str]) -> None:
    assert [row[0] for row in select(ROWS, LISTING, expression)] == left


def test_a_filter_that_is_no_expression_is_wrong_usage() -> None:
    with pytest.raises(InvalidError, match=r"\("):
        matcher("(")


def test_labels() -> None:
    labels = {"team": "blue", "gpu": ""}
    assert has_labels(labels, [])
    assert has_labels(labels, ["team=blue", "gpu"])
    assert not has_labels(labels, ["team=red"])
    assert not has_labels(labels, ["rack"])


def test_text_is_made_safe_on_its_way_out() -> None:
    stdout = io.StringIO()
    out = Output(stdout=stdout)
    out.text("\x1b[31mred")
    out.piece("\x1b]0;t\x07piece")
    assert stdout.getvalue() == "red\npiece"
