"""The `:` line: the words of the CLI, completed from live names, with a history."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input
from textual.worker import WorkType

from sparkplug.tui.cells import Line
from sparkplug.tui.widgets.entry import Entry
from sparkplug.tui.widgets.lines import OneLine

#: Rows of a screen from which on it is told what a line would do.
_ROOMY = 10


class CommandLine(Vertical):
    """Typed commands. Posts `Said` with the line, or `Left`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave", id="line.leave"),
        Binding("tab", "take", "complete", id="line.complete", priority=True),
        Binding("up", "recall(-1)", "line before", id="line.before"),
        Binding("down", "recall(1)", "line after", id="line.after"),
    ]

    class Said(Message):
        """Enter was pressed on a line."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """Escape."""

    def __init__(
        self,
        completions: Callable[[str], Sequence[str]],
        history: Sequence[str],
        paths: Callable[[str], Awaitable[Sequence[str]]],
        preview: Callable[[str], Line],
    ) -> None:
        super().__init__(id="command-line")
        self._paths = paths
        self._completions = completions
        self._history = history
        self._at = len(history)
        self._entry = Entry(prefix=":")
        self._offers = OneLine()
        self._told = OneLine()
        self._preview = preview
        self._offered: list[str] = []

    def compose(self) -> ComposeResult:
        """What it would do and what it could become, above what is typed."""
        yield self._told
        yield self._offers
        yield self._entry

    @property
    def input(self) -> Input:
        """Where one types."""
        return self._entry.input

    def on_mount(self) -> None:
        """Ready to type."""
        self._told.display = self.app.size.height >= _ROOMY
        self._offer("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Offer what it could become."""
        event.stop()
        self._offer(event.value)

    def _offer(self, text: str) -> None:
        self._offered = [line for line in self._completions(text) if line != text]
        self._show(text)
        # Last, so that a slow disk keeps nothing else waiting; what was typed before is dropped.
        # Not begun here: a line that is closed at once begins nothing.
        work: WorkType[None] = partial(self._offer_paths, text)
        self.run_worker(work, group="paths", exclusive=True)

    async def _offer_paths(self, text: str) -> None:
        found = await self._paths(text)
        if found and text == self._entry.value:
            self._offered += [line for line in found if line not in (text, *self._offered)]
            # Options come after what the argument is.
            self._offered.sort(key=lambda line: line.split(" ")[-1].startswith("--"))
            self._show(text)

    def _show(self, text: str) -> None:
        typed = text[: len(text) - len(text.split(" ")[-1])]
        spans: list[tuple[str, str]] = []
        for index, line in enumerate(self._offered[:24]):
            spans.append(("focus" if index == 0 else "dim", f" {_ending(line, typed)} "))
        line_: Line = tuple(spans)
        self._offers.set_line(line_)
        told = self._preview(text)
        # While it can still become something it is not wrong yet.
        wrong = bool(told) and told[0][0] == "warn" and bool(self._offered)
        self._told.set_line(() if wrong and not told[0][1].startswith(" ▲") else told)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        event.stop()
        self.post_message(self.Said(event.value.strip()))

    def action_take(self) -> None:
        """Take the first completion."""
        if self._offered:
            taken = self._offered[0]
            self._entry.value = taken if taken.endswith(("/", "/'")) else taken + " "

    def action_recall(self, by: int) -> None:
        """Walk in the history."""
        self._at = min(max(0, self._at + by), len(self._history))
        self._entry.value = self._history[self._at] if self._at < len(self._history) else ""

    def action_leave(self) -> None:
        """Escape."""
        self.post_message(self.Left())


def _ending(line: str, typed: str) -> str:
    """What of an offered line comes after the words that are typed.

    Their blanks may be others in it: it is made of the words.
    """
    words = len(typed.split())
    ending = line[len(typed) :] if line.startswith(typed) else " ".join(line.split()[words:])
    return ending or line
