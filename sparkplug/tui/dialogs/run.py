"""One run: its steps as they go, and what came out of it, to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType

from sparkplug.schema.text import one_line
from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.dialog import Reading
from sparkplug.tui.widgets.steps import step_boxes, step_line, took

if TYPE_CHECKING:
    from sparkplug.schema.run import RunView

_TICK_S = 1.0
#: Keys under which a structured output carries its text.
_TEXT_KEYS = ("markdown", "brief", "text")


class RunPage(Reading):
    """Follows a run while it goes; its output is read as Markdown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "raw", "output as it is", id="run.raw"),
        Binding("x", "cancel", "cancel the run", id="run.cancel"),
    ]

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run}")
        self.topics = frozenset({"runs"})
        self._run = run
        self._raw = False

    def begin(self) -> None:
        """Show it, and again while it changes."""
        self.draw()
        self.set_interval(_TICK_S, self._tick)

    def _view(self) -> RunView | None:
        return next((run for run in self.centre.store.runs if run.id == self._run), None)

    def _tick(self) -> None:
        view = self._view()
        if view is not None and view.finished is None:
            self.draw()

    def draw(self) -> None:
        """Show the run as it is now."""
        self.page.show(self._layout)

    def _layout(self, width: int) -> Sequence[Line]:
        view = self._view()
        if view is None:
            return [(("dim", "waiting for its journal"),)]
        now = datetime.now(UTC)
        symbol, pen = symbols.of_step(str(view.state))
        lines: list[Line] = [
            (
                (pen, f"{symbol} {view.state}"),
                ("text", f"  {one_line(view.plan)}"),
                ("dim", f"  {took(view.created, view.finished, now)}"),
                ("dim", f"  on {view.node}" if view.node else ""),
            )
        ]
        lines += step_boxes(view, width, now)
        lines += [step_line(step, width, now) for step in view.steps if step.error]
        if view.error:
            lines += [(("bad", line),) for line in wrap(f"✖ {view.error}", width)]
        if view.output is not None:
            lines += [(), *self._output(view.output, width)]
        return lines

    def _output(self, output: Any, width: int) -> Sequence[Line]:
        text = markdown_of(output)
        if text is not None and not self._raw:
            from sparkplug.tui.markdown import markdown_lines

            return markdown_lines(text, width, self.page.pens)
        shown = output if isinstance(output, str) else json.dumps(output, indent=2, default=str)
        return [(("text", line),) for line in wrap(shown, width)]

    def action_raw(self) -> None:
        """The output as it is, or rendered again."""
        self._raw = not self._raw
        self.draw()

    def action_cancel(self) -> None:
        """Ask that it be cancelled."""
        self.centre.ask("runs.cancel", {"run": self._run})


def markdown_of(output: Any) -> str | None:
    """The text to read in a run's output, when there is one."""
    if isinstance(output, str):
        return output
    if isinstance(output, dict):
        for key in _TEXT_KEYS:
            if isinstance(output.get(key), str):
                return str(output[key])
    return None
