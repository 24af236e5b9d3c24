"""How one value went, in a row."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Literal

from textual.events import Resize

from sparkplug.tui.cells import Span, fit
from sparkplug.tui.figures import sparkline
from sparkplug.tui.units import NUMBER, Unit
from sparkplug.tui.widgets.lines import OneLine

#: Of the values in sight: the least, the greatest, the last.
Told = Literal["min", "max", "last"]
_KEPT = 1000


class Sparkline(OneLine):
    """The last values as blocks, or as `braille` with two values a cell; None is a gap.

    They are drawn from `low` to `top`; without a `top` that is the greatest in sight. `told`
    is what is written behind them, in the order given.
    """

    def __init__(
        self,
        label: str = "",
        *,
        unit: Unit = NUMBER,
        low: float = 0.0,
        top: float | None = None,
        told: Sequence[Told] = ("last",),
        braille: bool = False,
        pen: str = "active",
        label_width: int = 8,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._label = label
        self._label_width = label_width if label else 0
        self._unit = unit
        self._low = low
        self._top = top
        self._told = tuple(told)
        self._braille = braille
        self._pen = pen
        self._values: deque[float | None] = deque(maxlen=_KEPT)
        self._widest = 0

    def set_values(self, values: Iterable[float | None]) -> None:
        """Show these values, the newest last."""
        self._values = deque(
            (None if v is None or not math.isfinite(v) else v for v in values), maxlen=_KEPT
        )
        self._draw()

    def add(self, value: float | None) -> None:
        """One more value."""
        self._values.append(None if value is None or not math.isfinite(value) else value)
        self._draw()

    def on_resize(self, _event: Resize) -> None:
        """Another width."""
        self._draw()

    def _draw(self) -> None:
        width = self.size.width
        if width <= 0:
            return
        a_cell = 2 if self._braille else 1
        # The words of fewer values are narrower: what they take is kept, so nothing moves.
        for _ in range(2):
            label = self._label_width + 1 if self._label and width >= 3 * self._label_width else 0
            room = max(0, width - label - (self._widest + 1 if self._widest else 0))
            words = self._words(list(self._values)[-room * a_cell :] if room else [])
            if len(words) <= self._widest or len(words) > width // 2:
                break
            self._widest = len(words)
        shown = list(self._values)[-room * a_cell :] if room else []
        known = [value for value in shown if value is not None]
        top = self._top if self._top is not None else max(known, default=0.0)
        line: list[Span] = [("dim", fit(self._label, label - 1) + " ")] if label else []
        drawn = sparkline(shown, room, top, low=self._low, braille=self._braille)
        line.append((self._pen, drawn))
        if self._widest:
            line.append(("text", f" {words:<{self._widest}}"))
        self.set_line(tuple(line))

    def _words(self, shown: Sequence[float | None]) -> str:
        known = [value for value in shown if value is not None]
        text = self._unit.text
        found = {
            "min": f"min {text(min(known, default=None))}",
            "max": f"max {text(max(known, default=None))}",
            "last": text(shown[-1] if shown else None),
        }
        return " ".join(found[name] for name in self._told)
