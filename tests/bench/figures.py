"""How figures are taken and printed: medians, and the ratio to the peer of the same run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One measured figure, its bar, and its peer's where there is one."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    peer: str = ""
    peer_value: float | None = None
    ratio_bar: float | None = None
    #: Other programs' figures of the same run; None where one is not installed.
    others: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return self.value / self.peer_value if self.peer_value else None

    @property
    def met(self) -> bool:
        """True when the figure keeps its bars."""
        ratio = self.ratio
        return (self.bar is None or self.value < self.bar) and (
            self.ratio_bar is None or ratio is None or ratio <= self.ratio_bar
        )

    def line(self) -> str:
        """The figure as one line of the report."""
        text = f"{'ok  ' if self.met else 'MISS'} {self.name:46} {self.value:9.2f} {self.unit:4}"
        if self.bar is not None:
            text += f"  (bar {self.bar:g})"
        if self.peer_value is not None:
            text += f"  {self.peer} {self.peer_value:.2f} {self.unit}, ratio {self.ratio:.2f}"
        if self.ratio_bar is not None:
            text += f" (bar {self.ratio_bar:g})"
        for name, value in self.others.items():
            if value is None:
                text += f"\n{'':7}{name}: not installed"
            else:
                times = f", ratio {self.value / value:.2f}" if value else ""
                text += f"\n{'':7}{name:46} {value:9.2f} {self.unit:4}{times}"
        return text


def p95(values: Sequence[float]) -> float:
    """What 95 of 100 do not exceed."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def p50(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)
