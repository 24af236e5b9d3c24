"""The `:` line: the words of the CLI, completed from live names, with a history."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input
from textual.worker import WorkType

from sparkplug.tui.cells import Line
from sparkplug.tui.foresight import Foresight
from sparkplug.tui.widgets.entry import Entry
from sparkplug.tui.widgets.lines import OneLine

if TYPE_CHECKING:
    from sparkplug.tui.store import Store

#: Rows of a screen from which on it is told what a line would do.
_ROOMY = 10


class CommandLine(Vertical):
    """Typed commands. `say` is told the line, or None where one leaves it."""

    # The app takes these itself, in the turn they come in: what is typed at once after them is a
    # key of what is there then.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "say", "do it", id="line.say", priority=True),
        Binding("escape", "leave", "leave", id="line.leave", priority=True),
        Binding("tab", "take", "complete", id="line.complete", priority=True),
        Binding("up", "recall(-1)", "line before", id="line.before"),
        Binding("down", "recall(1)", "line after", id="line.after"),
    ]

    def __init__(
        self,
        store: Store,
        completions: Callable[[str], Sequence[str]],
        history: Sequence[str],
        paths: Callable[[str], Awaitable[Sequence[str]]],
        preview: Callable[[str, Foresight], Line],
        say: Callable[[str | None], Awaitable[None]],
    ) -> None:
        super().__init__(id="command-line")
        self._say = say
        self._paths = paths
        self._completions = completions
        self._history = history
        self._at = len(history)
        #: What was typed before one went back in the history.
        self._draft = ""
        #: What was typed, and what of it before the cursor, when completions were made for it.
        self._text = self._offered_for = ""
        self._entry = Entry(prefix=":")
        self._offers = OneLine()
        self._told = OneLine()
        self._preview = preview
        self._foresight = Foresight(store, self, lambda: self._show(self._offered_for))
        #: What the line could become: what was made of the names there are, and paths with it.
        self._made: list[str] = []
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
        self.watch(self.input, "selection", self._look, init=False)
        self._offer("")

    @property
    def rows(self) -> int:
        """How high it is."""
        return 2 + self._told.display

    def on_input_changed(self, event: Input.Changed) -> None:
        """Offer what it could become."""
        event.stop()
        self._look()

    def _look(self) -> None:
        """Offer what the line could become, where another is typed or the cursor is elsewhere."""
        if (self.input.value, self._head) != (self._text, self._offered_for):
            self._offer(self._head)

    @property
    def _head(self) -> str:
        """What is typed before the cursor: what comes next there is offered."""
        return self.input.value[: self.input.cursor_position]

    def draw(self) -> None:
        """There may be other names: offer what there is now, and say what the line would do."""
        if self._named(self._head) != self._made:
            self._offer(self._head)
        else:
            self._show(self._offered_for)

    def _named(self, head: str) -> list[str]:
        return [line for line in self._completions(head) if line != head]

    def _offer(self, head: str) -> None:
        self._text, self._offered_for = self.input.value, head
        self._made = self._named(head)
        self._offered = list(self._made)
        self._show(head)
        # Last, so that a slow disk keeps nothing else waiting; what was typed before is dropped.
        # Not begun here: a line that is closed at once begins nothing.
        work: WorkType[None] = partial(self._offer_paths, head)
        self.run_worker(work, group="paths", exclusive=True)

    async def _offer_paths(self, head: str) -> None:
        found = await self._paths(head)
        if found and head == self._head:
            self._offered += [line for line in found if line not in (head, *self._offered)]
            # Options come after what the argument is.
            self._offered.sort(key=lambda line: line.split(" ")[-1].startswith("--"))
            self._show(head)

    def _show(self, head: str) -> None:
        typed = head[: len(head) - len(head.split(" ")[-1])]
        spans: list[tuple[str, str]] = []
        for index, line in enumerate(self._offered[:24]):
            spans.append(("focus" if index == 0 else "dim", f" {_ending(line, typed)} "))
        line_: Line = tuple(spans)
        self._offers.set_line(line_)
        told = self._preview(self.input.value, self._foresight)
        # While it can still become something it is not wrong yet.
        wrong = bool(told) and told[0][0] == "warn" and bool(self._offered)
        self._told.set_line(() if wrong and not told[0][1].startswith(" ▲") else told)

    async def action_say(self) -> None:
        """Enter."""
        await self._say((await self._entry.typed()).strip())

    async def action_take(self) -> None:
        """Take the first completion, in place of the word the cursor is in."""
        await self._entry.typed()
        self._look()
        if not self._offered:
            return
        taken, rest = self._offered[0], self.input.value[self.input.cursor_position :]
        _, blank, after = rest.partition(" ")
        if not taken.endswith(("/", "/'")) or blank:
            taken += " "
        self.input.value = taken + after
        self.input.cursor_position = len(taken)

    async def action_recall(self, by: int) -> None:
        """Walk in the history: among the lines that begin as what is typed."""
        await self._entry.typed()
        if self._at == len(self._history):
            self._draft = self._entry.value
        at = self._at + by
        while 0 <= at < len(self._history) and not self._history[at].startswith(self._draft):
            at += by
        if 0 <= at <= len(self._history):
            self._at = at
            self._entry.value = self._history[at] if at < len(self._history) else self._draft

    async def action_leave(self) -> None:
        """Escape."""
        await self._say(None)


def _ending(line: str, typed: str) -> str:
    """What of an offered line comes after the words that are typed.

    Their blanks may be others in it: it is made of the words.
    """
    words = len(typed.split())
    ending = line[len(typed) :] if line.startswith(typed) else " ".join(line.split()[words:])
    return ending or line
