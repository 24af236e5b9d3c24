"""One run: its steps as they go, and what came out of it, to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sparkplug.schema.run_stats import critical_path
from sparkplug.schema.text import one_line
from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.dialog import Reading
from sparkplug.tui.figures import duration
from sparkplug.tui.places import Opened
from sparkplug.tui.run_keys import RUN_KEYS, RunKeys
from sparkplug.tui.widgets.canvas.canvas import Canvas
from sparkplug.tui.widgets.canvas.model import Graph, Key
from sparkplug.tui.widgets.canvas.picture import drawing_of
from sparkplug.tui.widgets.steps import breaker_lines, run_graph, step_line, took

if TYPE_CHECKING:
    from sparkplug.schema.run import RunView, StepView

_TICK_S = 1.0
#: The least screen on which the steps are drawn as a graph.
_LEAST_WIDTH, _LEAST_HEIGHT = 40, 16
#: Values or rounds of a step that are told of.
_MOST_ITEMS = 50
#: Keys under which a structured output carries its text.
_TEXT_KEYS = ("markdown", "brief", "text")


class RunPage(RunKeys, Reading):
    """Follows a run while it goes: its steps as a graph, and what came out of the run, or of the
    step that is selected, read as Markdown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "raw", "output as it is", id="run.raw"),
        Binding("x", "cancel", "cancel the run", id="run.cancel"),
        *RUN_KEYS,
    ]

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run}", Opened("run", "run", run))
        self.topics = frozenset({"runs"})
        self.add_class("run")
        self.canvas = Canvas("steps", empty="waiting for its journal")
        self._run = run
        self._raw = False

    def compose(self) -> ComposeResult:
        """The steps, and below them what is read."""
        yield self.canvas
        yield self.page

    def begin(self) -> None:
        """Show it, and again while it changes."""
        self.draw()
        self.set_interval(_TICK_S, self._tick)

    def _view(self) -> RunView | None:
        return next((run for run in self.centre.store.runs if run.id == self._run), None)

    def run_view(self) -> RunView | None:
        """The run."""
        return self._view()

    def run_step(self) -> str:
        """The step that is selected in the graph."""
        item = self.canvas.selected
        return (item.source if isinstance(item, Key) else item) or ""

    def _tick(self) -> None:
        view = self._view()
        if view is not None and view.finished is None:
            self.draw()

    def draw(self) -> None:
        """Show the run as it is now."""
        view = self._view()
        if view is not None:
            graph = run_graph(view, datetime.now(UTC))
            self._make_room(graph)
            self.canvas.show(graph)
        self.page.show(self._layout)

    def _make_room(self, graph: Graph) -> None:
        """As many rows as the graph needs, at most half the screen; none on a small one."""
        width, height = self.size
        found = drawing_of(graph.shape("full")).bounds
        if found.width > width - 4:
            found = drawing_of(graph.shape("line")).bounds
        rows = min(max(found.height, 1) + 2, (height - 1) // 2)
        self.canvas.display = height >= _LEAST_HEIGHT and width >= _LEAST_WIDTH
        if self.canvas.styles.height is None or self.canvas.styles.height.value != rows:
            self.canvas.styles.height = rows
        self.set_class(not self.canvas.display, "-small")

    def on_resize(self) -> None:
        """Another size."""
        self.draw()

    def on_canvas_moved(self, _event: Canvas.Moved) -> None:
        """Another step is selected: it is what is read."""
        self.page.scroll_lines(-len(self.page.lines))
        self.draw()

    def on_canvas_chosen(self, _event: Canvas.Chosen) -> None:
        """Read on."""
        self.page.focus()

    def _step(self, view: RunView) -> StepView | None:
        """The step that is selected, or the one that an edge leads from."""
        item = self.canvas.selected
        name = item.source if isinstance(item, Key) else item
        return next((step for step in view.steps if step.id == name), None)

    def _layout(self, width: int) -> Sequence[Line]:
        view = self._view()
        if view is None:
            return [(("dim", "waiting for its journal"),)]
        now = datetime.now(UTC)
        symbol, pen = symbols.of_step(str(view.state))
        lines: list[Line] = [
            (
                (pen, f"{symbol} {view.state_words}"),
                ("text", f"  {one_line(view.plan)}"),
                ("dim", f"  {took(view.created, view.finished, now)}"),
                ("dim", f"  on {view.node}" if view.node else ""),
            )
        ]
        step = self._step(view)
        if step is not None:
            return [*lines, *self._step_lines(step, width, now)]
        failed = [step for step in view.steps if step.error]
        shown = failed if self.canvas.display else view.steps
        lines += [step_line(step, width, now) for step in shown]
        for one, question in view.questions:
            lines.append((("warn", f"? {one.id} asks: "), ("text", one_line(question.text))))
        lines += breaker_lines(view.steps, now)
        if view.finished is not None and len(path := critical_path(view)) > 1:
            told = " → ".join(f"{one.step} {duration(one.working_seconds)}" for one in path)
            lines += [(("dim", line),) for line in wrap(f"critical path: {told}", width)]
        if view.error:
            lines += [(("bad", line),) for line in wrap(f"✖ {view.error}", width)]
        if view.output is not None:
            lines += [(), *self._output(view.output, width)]
        return lines

    def _step_lines(self, step: StepView, width: int, now: datetime) -> list[Line]:
        lines = [step_line(step, width, now)]
        if step.depends_on:
            lines.append((("dim", f"  after {', '.join(step.depends_on)}"),))
        if step.attempts > 1:
            cut = f", {step.interruptions} cut short" if step.interruptions else ""
            lines.append((("warn", f"  {step.attempts} attempts{cut}"),))
        lines += [step_line(item, width, now) for item in step.items[:_MOST_ITEMS]]
        if step.fallback:
            lines.append((("warn", f"  stood in for by {step.fallback}"),))
        if step.question is not None and step.answer is not None:
            by = step.answer.by or "its deadline"
            lines.append((("dim", f"  {step.answer.verdict} by {by}: {step.answer.reason}"),))
        lines += breaker_lines([step], now)
        if step.error:
            lines += [(("bad", line),) for line in wrap(f"✖ {step.error}", width)]
        if step.output is not None:
            lines += [(), *self._output(step.output, width)]
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
