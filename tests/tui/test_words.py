"""Cells, figures, fuzzy matching and filters: what lines are made of."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from sparkplug.tui import figures
from sparkplug.tui.cells import beside, clip, fit, length, plain, wrap
from sparkplug.tui.filter import Filter
from sparkplug.tui.fuzzy import score


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "a longer one",
        "日本語テキスト",
        "é" * 12,
        "a\x1b[31mb",
        "\u200da\u200d" * 4,
        "❤\ufe0f\u200d",
    ],
)
@pytest.mark.parametrize("width", [0, 1, 2, 7, 12])
def test_fit_is_always_as_wide_as_asked(text: str, width: int) -> None:
    for align in ("left", "right"):
        assert cell_len(fit(text, width, align)) == width  # type: ignore[arg-type]
    assert length(clip((("text", text), ("dim", text)), width)) == width


def test_wrap_breaks_at_spaces_and_loses_nothing() -> None:
    text = "the quick brown fox\n\njumps over averyveryverylongword"
    lines = wrap(text, 10)
    assert all(cell_len(line) <= 10 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")
    assert lines[0] == "the quick"
    assert wrap("日本語テキスト", 5) == ["日本", "語テ", "キス", "ト"]


def test_the_right_part_of_a_line_is_kept() -> None:
    line = beside((("text", "a long left part"),), (("dim", " 5s"),), 10)
    assert plain(line) == "a long… 5s"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1024, "1.0K"),
        (61 << 30, "61G"),
        (1 << 50, "1024T"),
        (None, "n/s"),
    ],
)
def test_sizes(count: float | None, text: str) -> None:
    assert figures.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "old", "took"),
    [(-1, "0s", "0.0s"), (8.4, "8s", "8.4s"), (125, "2m", "2m05s"), (7300, "2h", "2h01m")],
)
def test_times(seconds: float, old: str, took: str) -> None:
    assert figures.age(seconds) == old
    assert figures.duration(seconds) == took


def test_plots_tell_nothing_from_zero() -> None:
    assert figures.sparkline([0, 50, 100, None], 6) == "  ▁▅█ "
    assert plain(figures.meter(None, 4)) == "····"
    assert plain(figures.meter(0, 4)) == "▁▁▁▁"
    assert plain(figures.meter(1, 4)) == "▇▁▁▁", "a little is not nothing"
    assert plain(figures.meter(400, 4)) == "▇▇▇▇"
    assert figures.percent(None) == " n/s"


def test_fuzzy_prefers_words_and_runs() -> None:
    titles = ["Restart agent", "Remove agent", "Start agent", "Scale agent"]

    def best(typed: str) -> str:
        return max(titles, key=lambda title: score(typed, title) or -1)

    assert best("start") == "Start agent"
    assert best("rem") == "Remove agent"
    assert best("ra") in ("Restart agent", "Remove agent")
    assert score("xyz", "Restart agent") is None
    assert score("", "anything") == 0


def test_filters() -> None:
    assert Filter("").takes("all")
    assert Filter("ERR").takes("error")
    assert not Filter("!err").takes("error")
    assert Filter("!").takes("all")
    assert Filter("~rsr").takes("research")
    assert not Filter("~rsr").takes("writer")
    assert Filter("!~rsr").takes("writer")
    wrong = Filter("a(")
    assert wrong.error
    assert wrong.takes("A(b)")
    assert not wrong.takes("ab")


def test_filters_look_into_columns() -> None:
    row = {"state": "error", "gpus": "0, 1", "name": "writer"}

    def takes(text: str) -> bool:
        return Filter(text, tuple(row)).takes(" ".join(row.values()), row.__getitem__)

    assert takes("state:err")
    assert takes("STATE:^error$ gpu:0 writ")
    assert takes("gpu:!7 !idle")
    assert takes("!state:idle")
    assert takes("name:~wtr")
    assert not takes("state:writer")
    assert not takes("state:err gpu:7")
    assert not takes("state:err idle")
    assert takes("state:"), "nothing asked of it yet"
    assert not takes("nothing:err"), "no such column: it is looked for as it is written"
    assert Filter("state:a(", tuple(row)).error
    assert Filter("state:error").takes("a state:error"), "where there are no columns"
