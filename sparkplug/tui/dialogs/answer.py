"""An agent's answer, as it comes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.dialog import Reading
from sparkplug.tui.widgets.entry import Entry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from sparkplug.client.prompts import PromptChunk


class Answer(Reading):
    """The text streams in; a question of the agent is answered below it.

    `cancel` ends what the answer comes of, and says what became of it; leaving the page does not.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("C", "cancel", "cancel what it works on", id="answer.cancel"),
    ]

    def __init__(
        self,
        title: str,
        asked: str,
        chunks: AsyncGenerator[PromptChunk, None],
        cancel: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        super().__init__(title)
        self._cancel = cancel
        self._asked = asked
        self._chunks = chunks
        self._text = ""
        self._status = "asked"
        self._problem: SparkplugError | None = None
        self._question: PromptChunk | None = None
        self._done = False
        self._entry = Entry(prefix="answer: ")

    def compose(self) -> ComposeResult:
        """The page, and a line for answers."""
        yield self.page
        yield self._entry

    def begin(self) -> None:
        """Read the stream."""
        self._entry.display = False
        self.page.stick(True)
        self._show()
        self.run_worker(self._read())

    async def _read(self) -> None:
        try:
            async with contextlib.aclosing(self._chunks) as chunks:
                async for chunk in chunks:
                    self._take(chunk)
        except SparkplugError as error:
            self._problem = error
        self._done = True
        self._entry.display = False
        self.page.focus()
        self._show()

    def _take(self, chunk: PromptChunk) -> None:
        if chunk.kind == "text":
            self._text += chunk.text
        elif chunk.kind == "status":
            self._status = chunk.text
        else:
            self._question = chunk
            self._text += f"\n? {chunk.text}\n"
            self._entry.display = True
            self._entry.type_here()
        self._show()

    def action_cancel(self) -> None:
        """Cancel it, as long as it goes on."""
        if self._cancel is not None and not self._done and not self.centre.readonly:
            self._status = "cancelling"
            self._show()
            self.run_worker(self._end(self._cancel))

    async def _end(self, cancel: Callable[[], Awaitable[str]]) -> None:
        async with self.centre.telling("Cancel"):
            self._status = await cancel()
            self._show()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer the agent's question."""
        question, self._question = self._question, None
        if question is None:
            return
        self._text += f"> {event.value}\n"
        self._entry.value = ""
        self._entry.display = False
        self.page.focus()
        self._show()
        await question.reply(event.value)

    def _show(self) -> None:
        self.page.show(self._layout)

    def _layout(self, width: int) -> Sequence[Line]:
        lines: list[Line] = [(("dim", line),) for line in wrap(self._asked, width)]
        lines.append(())
        lines += [(("text", line),) for line in wrap(self._text, width)] if self._text else []
        if self._problem is not None:
            lines += [(("bad", line),) for line in wrap(str(self._problem), width)]
        elif not self._done:
            keys = "   C cancels it · esc leaves it at work" if self._cancel is not None else ""
            lines.append((("active", "◐ "), ("dim", f"{self._status}{keys}")))
        elif not self._text:
            lines.append((("dim", "it answered nothing"),))
        return lines
