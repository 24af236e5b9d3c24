"""A run on a terminal: its steps drawn over and over in the same place."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from sparkplug.cli import figures
from sparkplug.cli.output import cell_width
from sparkplug.schema.run import STEP_ENDED, RunView, StepState, StepView
from sparkplug.schema.text import one_line

_LEAST_S = 0.1
_SHOW, _HIDE = "\x1b[?25h", "\x1b[?25l"


class Drawing:
    """Lines on a terminal that are replaced by the next."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines = 0
        self._drawn = 0.0

    def draw(self, view: RunView, line: Callable[[StepView], str], *, last: bool = False) -> None:
        """Draw the run as it is; `last` leaves it standing, with all its steps."""
        if not last and time.monotonic() - self._drawn < _LEAST_S:
            return
        self._drawn = time.monotonic()
        width, height = shutil.get_terminal_size()
        rows = self._rows(view, line, None if last else max(3, height - 2))
        text = "".join(f"{clip(row, width - 1)}\x1b[K\n" for row in rows)
        up = f"\x1b[{self._lines}A\r" if self._lines else ""
        self._out.write(f"{_HIDE}{up}{text}\x1b[J{_SHOW if last else ''}")
        self._out.flush()
        self._lines = len(rows)

    def _rows(self, view: RunView, line: Callable[[StepView], str], most: int | None) -> list[str]:
        ended = sum(step.state in STEP_ENDED for step in view.steps)
        head = f"{view.plan} {ended}/{len(view.steps)} {view.state}, {figures.age(view.created)}"
        steps = view.steps
        if most is not None and len(steps) > most - 1:
            # What moves is what one wants to see.
            steps = [s for s in steps if s.state not in STEP_ENDED or s.error]
            steps = sorted(steps, key=lambda s: s.state is StepState.PENDING)[: most - 1]
        return [one_line(row) for row in (head, *(_with_time(s, line(s)) for s in steps))]


def _with_time(step: StepView, text: str) -> str:
    """The line of a step, with how long it has been going and what it waits for."""
    if step.state in STEP_ENDED or step.started is None:
        return text
    text += f" {figures.span((datetime.now(UTC) - step.started).total_seconds())}"
    if step.question is not None and step.state is StepState.WAITING:
        text += f": {step.question.text}"
    return text


def clip(text: str, width: int) -> str:
    """As much of a line as fits in so many cells."""
    while cell_width(text) > width:
        text = text[: max(0, len(text) - max(1, cell_width(text) - width))]
    return text
