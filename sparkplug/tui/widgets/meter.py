"""How full something is, in a row."""

from __future__ import annotations

import math

from textual.events import Resize

from sparkplug.tui.cells import Span, fit
from sparkplug.tui.figures import LIMITS, meter
from sparkplug.tui.units import PERCENT, Unit
from sparkplug.tui.widgets.lines import OneLine

_LEAST_BAR = 4


class Meter(OneLine):
    """A label, a bar, the value; the label and then the value go where it is narrow.

    `top` is the value of a full bar. What `fills` (memory, a disk) is amber and red from the
    `limits` on, in percent of `top`; what works (a processor) never is. `fine` bars have eighths
    of a cell. None as the value: the device does not support it, and the bar is dots.
    """

    def __init__(
        self,
        label: str = "",
        *,
        unit: Unit = PERCENT,
        top: float = 100.0,
        fills: bool = True,
        fine: bool = True,
        limits: tuple[float, float] = LIMITS,
        label_width: int = 8,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._label = label
        self._label_width = label_width if label else 0
        self._unit = unit
        self._top = top
        self._fills = fills
        self._fine = fine
        self._limits = limits
        self._value: float | None = None
        self._mark: float | None = None
        self._widest = 0

    def set_value(
        self, value: float | None, *, mark: float | None = None, top: float | None = None
    ) -> None:
        """Show a value; `mark` is a second one (a peak, what is reserved), a line in the bar."""
        self._value = value if value is not None and math.isfinite(value) else None
        self._mark = mark
        self._top = self._top if top is None else top
        self._draw()

    def on_resize(self, _event: Resize) -> None:
        """Another width."""
        self._draw()

    def _draw(self) -> None:
        width = self.size.width
        if width <= 0:
            return
        text = self._unit.text(self._value)
        if self._unit != PERCENT and self._top > 0:
            text += f" of {self._unit.text(self._top)}"
        # Room once taken is kept, so that the bar does not move to and fro.
        self._widest = max(self._widest, len(text))
        words = self._widest + 1 if width >= self._widest + 1 + _LEAST_BAR else 0
        label = self._label_width + 1
        label = label if self._label and width - words - label >= 2 * _LEAST_BAR else 0
        line: list[Span] = [("dim", fit(self._label, label - 1) + " ")] if label else []
        line += meter(
            self._share(self._value),
            width - label - words,
            fills=self._fills,
            limits=self._limits,
            fine=self._fine,
            mark=self._share(self._mark),
        )
        if words:
            line.append(("text" if self._value is not None else "dim", f" {text:>{words - 1}}"))
        self.set_line(tuple(line))

    def _share(self, value: float | None) -> float | None:
        if value is None or self._top <= 0:
            return None
        return 100.0 * value / self._top
