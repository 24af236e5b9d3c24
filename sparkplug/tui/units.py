"""Units: how a value is told in a few cells, and how the marks of an axis are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sparkplug.tui.figures import UNSUPPORTED, size

_PREFIXES = ("", "k", "M", "G", "T", "P")
_BINARY = ("B", "K", "M", "G", "T", "P")
#: Marks of an axis have at most so many decimals; below, a smaller prefix or an exponent is used.
_DECIMALS = 2
#: A suffix of an axis is no longer than this; a longer one is told beside the values alone.
_SHORT = 2


@dataclass(frozen=True, slots=True)
class Unit:
    """What is counted: its `suffix`, and whether large values get prefixes.

    `binary` ones are bytes in steps of 1024 (`61G`), `prefixed` ones go by 1000 (`1.5k`), those
    that are `whole` are told without decimals.
    """

    suffix: str = ""
    binary: bool = False
    prefixed: bool = False
    whole: bool = False

    def text(self, value: float | None) -> str:
        """A value in three figures or so; that it is not supported for None."""
        if value is None or not math.isfinite(value):
            return UNSUPPORTED
        if abs(value) >= 1e15 or (0 < abs(value) < 1e-3 and not self.whole and not self.binary):
            return f"{value:.1e}{self.suffix}"
        if self.binary:
            return f"{size(value)}{self.suffix}"
        scale, prefix = 1.0, ""
        if self.prefixed:
            for prefix in _PREFIXES:  # noqa: B007
                if abs(value) < 999.5 * scale:
                    break
                scale *= 1000
        shown = value / scale
        if (self.whole and not prefix) or abs(shown) >= 9.95 or shown == 0:
            return f"{_unsigned(f'{shown:.0f}')}{prefix}{self.suffix}"
        digits = 1 if abs(shown) >= 0.1 else 3
        return f"{shown:.{digits}f}{prefix}{self.suffix}"

    def labels(self, values: Sequence[float], step: float) -> list[str]:
        """The marks of an axis, `step` apart: one prefix for all, as many decimals as it takes."""
        suffix = self.suffix if len(self.suffix) <= _SHORT else ""
        top = max((abs(value) for value in values), default=0.0)
        for scale, prefix in reversed(self._scales(top)):
            digits = _digits(step / scale)
            if digits is not None and top / scale < 1e5:
                return [
                    f"{value / scale:.{digits}f}{prefix}{suffix}" if value else f"0{suffix}"
                    for value in values
                ]
        digits = max(1, math.ceil(math.log10(max(10.0, top / step)))) if step > 0 else 1
        return [f"{value:.{digits}e}{suffix}" if value else f"0{suffix}" for value in values]

    def _scales(self, top: float) -> list[tuple[float, str]]:
        """Prefixes that suit values up to `top`, the smallest first."""
        if not self.binary and not self.prefixed:
            return [(1.0, "")]
        base, names = (1024.0, _BINARY) if self.binary else (1000.0, _PREFIXES)
        scales = [(base**power, name) for power, name in enumerate(names)]
        return [scales[0], *(scale for scale in scales[1:] if scale[0] <= top)]


def _digits(step: float) -> int | None:
    """The decimals that tell multiples of `step` apart exactly; None for too many."""
    for digits in range(_DECIMALS + 1):
        if math.isclose(round(step, digits), step, rel_tol=1e-6):
            return digits
    return None


def _unsigned(text: str) -> str:
    """Without the sign of a zero."""
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


NUMBER = Unit(prefixed=True)
PERCENT = Unit("%", whole=True)
WATTS = Unit("W", whole=True)
CELSIUS = Unit("°", whole=True)
BYTES = Unit(binary=True)
BYTES_PER_SECOND = Unit("/s", binary=True)
TOKENS_PER_SECOND = Unit(" tokens/s", prefixed=True)
MESSAGES_PER_SECOND = Unit(" msg/s", prefixed=True)
SECONDS = Unit("s")
