"""A run drawn on a terminal, over and over in its place."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime

import pytest

from sparkplug.cli.progress import Drawing, clip
from sparkplug.cli.runs import step_line
from sparkplug.cli.sparks import sparkline
from sparkplug.schema.run import RunState, RunView, StepState, StepView


def view(*states: StepState) -> RunView:
    now = datetime.now(UTC)
    steps = [
        StepView(id=f"s{n}", state=state, started=now if state is StepState.RUNNING else None)
        for n, state in enumerate(states)
    ]
    return RunView(id="r", plan="brief", state=RunState.RUNNING, created=now, steps=steps)


def rows(text: str) -> list[str]:
    return [line for line in text.replace("\x1b[K", "").split("\n") if line]


def test_each_drawing_takes_the_place_of_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda **_: os.terminal_size((40, 12)))
    out = io.StringIO()
    drawing = Drawing(out)
    drawing.draw(view(StepState.RUNNING, StepState.PENDING), step_line)
    first = out.getvalue()
    assert "brief 0/2 running" in first
    assert "\x1b[3A" not in first
    drawing.draw(view(StepState.DONE, StepState.DONE), step_line, last=True)
    assert out.getvalue()[len(first) :].startswith("\x1b[?25l\x1b[3A\r")
    assert out.getvalue().endswith("\x1b[?25h")


def test_what_moves_is_what_is_shown_where_there_are_many_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda **_: os.terminal_size((20, 8)))
    out = io.StringIO()
    Drawing(out).draw(
        view(*[StepState.DONE] * 50, *[StepState.PENDING] * 50, StepState.RUNNING), step_line
    )
    drawn = rows(out.getvalue())
    assert len(drawn) <= 7
    assert "s100 running" in drawn[1]
    assert all(len(clip(row, 19)) <= 19 for row in drawn[1:-1])


def test_a_step_of_many_values_says_how_many_are_through_and_not_how_often_it_was_tried() -> None:
    items = [StepView(id=f"s[{n}]", state=StepState.DONE) for n in range(2)]
    items.append(StepView(id="s[2]", state=StepState.RUNNING))
    step = StepView(id="s", state=StepState.RUNNING, attempts=3, items=items)
    assert step_line(step) == "◐ s running 2/3"
    assert step_line(StepView(id="s", state=StepState.RUNNING, attempts=3)).endswith("attempt 3")


def test_bars() -> None:
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([1, 4, 8]) == "▁▄█"
