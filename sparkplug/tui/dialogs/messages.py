"""Messages as they pass: the newest below, a few hundred of them, until one leaves."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.dialogs.dialog import Reading

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sparkplug.client.prompts import PromptChunk

_KEPT = 300
_DRAW_S = 0.25
_PENS = {"request": "text", "message": "text", "answer": "ok", "error": "bad"}


class Messages(Reading):
    """A stream of lines. Drawn at most four times a second; stands still while it is held."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "hold", "hold still, or go on", id="messages.hold"),
    ]

    def __init__(self, title: str, chunks: AsyncGenerator[PromptChunk, None]) -> None:
        super().__init__(title)
        self._chunks = chunks
        self._kept: deque[tuple[str, str]] = deque(maxlen=_KEPT)
        self._count = 0
        self._held = False
        self._fresh = True
        self._problem: SparkplugError | None = None
        self._done = False

    def begin(self) -> None:
        """Read the stream, and draw what came while anything did."""
        self.page.stick(True)
        self._show()
        self.set_interval(_DRAW_S, self._look)
        self.run_worker(self._read())

    async def _read(self) -> None:
        try:
            async with contextlib.aclosing(self._chunks) as chunks:
                async for chunk in chunks:
                    self._take(chunk)
        except SparkplugError as error:
            self._problem = error
        self._done = self._fresh = True

    def _take(self, chunk: PromptChunk) -> None:
        if self._held:
            return
        kind = chunk.data.get("kind", "") if isinstance(chunk.data, dict) else chunk.kind
        self._count += chunk.kind == "text"
        self._kept.append((str(kind), one_line(chunk.text)))
        self._fresh = True

    def _look(self) -> None:
        if self._fresh:
            self._show()

    def action_hold(self) -> None:
        """Take nothing new, so that one can read; or go on."""
        self._held = not self._held
        self.page.stick(not self._held)
        self._show()

    def _show(self) -> None:
        self._fresh = False
        self.page.show(self._layout)

    def _layout(self, width: int) -> Sequence[Line]:
        lines: list[Line] = []
        for kind, text in self._kept:
            pen = _PENS.get(kind, "dim")
            lines += [((pen, line),) for line in wrap(text, width)]
        if self._problem is not None:
            lines += [(("bad", line),) for line in wrap(str(self._problem), width)]
        elif self._done:
            lines.append((("dim", "it has ended"),))
        elif self._held:
            lines.append((("warn", "held: what passes now is not shown"),))
        else:
            count = f"{self._count} so far; f holds" if self._count else "waiting for the next"
            lines.append((("dim", count),))
        return lines
