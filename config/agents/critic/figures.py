"""Figures in a brief: found in the text, and looked for among what was measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: A unit as it is written: what it measures, and how much of the base unit it is.
_WRITTEN: dict[str, tuple[str, float]] = {
    "%": ("percent", 1.0),
    "percent": ("percent", 1.0),
    "TiB": ("bytes", float(1 << 40)),
    "GiB": ("bytes", float(1 << 30)),
    "MiB": ("bytes", float(1 << 20)),
    "KiB": ("bytes", float(1 << 10)),
    "TB": ("bytes", 1e12),
    "GB": ("bytes", 1e9),
    "MB": ("bytes", 1e6),
    "kB": ("bytes", 1e3),
    "KB": ("bytes", 1e3),
    "bytes": ("bytes", 1.0),
    "B": ("bytes", 1.0),
    "°C": ("celsius", 1.0),
    "kW": ("watts", 1e3),
    "W": ("watts", 1.0),
    "watts": ("watts", 1.0),
    "GHz": ("hertz", 1e9),
    "MHz": ("hertz", 1e6),
    "ms": ("seconds", 1e-3),
    "days": ("seconds", 86400.0),
    "day": ("seconds", 86400.0),
    "hours": ("seconds", 3600.0),
    "hour": ("seconds", 3600.0),
    "h": ("seconds", 3600.0),
    "minutes": ("seconds", 60.0),
    "minute": ("seconds", 60.0),
    "min": ("seconds", 60.0),
    "seconds": ("seconds", 1.0),
    "second": ("seconds", 1.0),
    "s": ("seconds", 1.0),
}
_RATES = {f"{unit}/s": ("rate", size) for unit, (what, size) in _WRITTEN.items() if what == "bytes"}

#: How the name of a measured figure ends.
_NAMED: dict[str, tuple[str, float]] = {
    "bytes_per_second": ("rate", 1.0),
    "gib_per_second": ("rate", float(1 << 30)),
    "mib_per_second": ("rate", float(1 << 20)),
    "kib_per_second": ("rate", float(1 << 10)),
    "percent": ("percent", 1.0),
    "bytes": ("bytes", 1.0),
    "gib": ("bytes", float(1 << 30)),
    "mib": ("bytes", float(1 << 20)),
    "kib": ("bytes", float(1 << 10)),
    "watts": ("watts", 1.0),
    "celsius": ("celsius", 1.0),
    "mhz": ("hertz", 1e6),
    "seconds": ("seconds", 1.0),
    "ms": ("seconds", 1e-3),
}
_COUNT = "count"

_UNIT = "|".join(
    re.escape(unit) for unit in sorted([*_RATES, *_WRITTEN], key=lambda unit: -len(unit))
)
_FIGURE = re.compile(
    r"(?<![\w.,:/+-])(?P<sign>[-−]?)(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE]-?\d+)?)"
    rf"(?:\s*\|?\s*(?P<unit>{_UNIT})(?![\w/]))?(?![\w/:]|[.,]\d|-\d)"
)
#: What holds digits and is no figure: addresses, dates, times, versions, list numbers, ordinals.
_NO_FIGURE = re.compile(
    r"https?://\S+"
    r"|\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?(?:Z|[+-]\d{2}:\d{2})?"
    r"|\b\d{1,2}:\d{2}(?::\d{2})?\b"
    r"|\bv?\d+\.\d+\.\d+[\w.]*"
    r"|^\s*\d+[.)](?=\s)"
    r"|\b\d+(?:st|nd|rd|th)\b"
)


@dataclass(frozen=True, slots=True)
class Printed:
    """A figure as the brief prints it: its text, value, decimals, dimension and unit size."""

    text: str
    value: float
    decimals: int
    dimension: str | None
    size: float
    row: frozenset[str]


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured figure in its base unit; `own` and `full` are the words it is named by."""

    value: float
    dimension: str
    own: frozenset[str]
    full: frozenset[str]


def printed_figures(brief: str, names: Iterable[str]) -> list[Printed]:
    """Every figure in a brief, in order. `names` are texts with digits that are none."""
    known = sorted((name for name in set(names) if not _FIGURE.fullmatch(name)), key=len)
    alternatives = "|".join(re.escape(name) for name in reversed(known))
    named = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)") if known else None
    found: list[Printed] = []
    for line in brief.splitlines():
        row = _row(line)
        text = _NO_FIGURE.sub(" ", named.sub(" ", line) if named else line)
        found += [_printed(match, row) for match in _FIGURE.finditer(text)]
    return found


def _row(line: str) -> frozenset[str]:
    """The words of a table row's first cell; none outside a table."""
    if not line.lstrip().startswith("|"):
        return frozenset()
    return _words(line.strip().strip("|").split("|")[0])


def _printed(match: re.Match[str], row: frozenset[str]) -> Printed:
    digits = match["number"].replace(",", "")
    unit = match["unit"]
    dimension, size = (_RATES | _WRITTEN)[unit] if unit else (None, 1.0)
    mantissa, _, exponent = digits.lower().partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    value = float(digits) * (-1 if match["sign"] else 1)
    text = " ".join(match[0].replace("|", " ").split())
    return Printed(text, value, decimals, dimension, size, row)


def measured_figures(survey: Mapping[str, Any]) -> list[Measured]:
    """Every figure of a survey: its facts, those of its findings, its window, and how many."""
    found = list(_leaves("", survey["facts"], ()))
    for one in survey["findings"]:
        found += _leaves("", one["figures"], ())
    found += _leaves("window_seconds", survey["window_seconds"], ())
    found += _leaves("samples", survey["samples"], ())
    severities = [one["severity"] for one in survey["findings"]]
    for count in {len(severities), *(severities.count(one) for one in severities)}:
        found += _leaves("findings", count, ())
    return found


def _leaves(name: str, value: Any, path: tuple[str, ...]) -> Iterator[Measured]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(str(key), item, (*path, name))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield Measured(len(value), _COUNT, _words(name), _words(name))
        for index, item in enumerate(value):
            which = _identity(item) if isinstance(item, Mapping) else str(index)
            yield from (
                _leaves(which, item, (*path, name))
                if isinstance(item, Mapping)
                else _leaves(name, item, path)
            )
    elif isinstance(value, int | float) and not isinstance(value, bool):
        dimension, size, rest = _dimension(name)
        words = _words(rest)
        yield Measured(value * size, dimension, words, _words(" ".join((*path, rest))))


def _identity(item: Mapping[str, Any]) -> str:
    return str(next((item[k] for k in ("mount", "path", "name", "host") if item.get(k)), ""))


def _dimension(name: str) -> tuple[str, float, str]:
    for ending, (dimension, size) in _NAMED.items():
        if name == ending or name.endswith(f"_{ending}"):
            return dimension, size, name[: -len(ending)].rstrip("_")
    return _COUNT, 1.0, name


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+", text.lower().replace("_", " ")))


def agrees(printed: Printed, measured: Sequence[Measured]) -> bool:
    """Whether a printed figure is a measured one, to the precision it is printed with.

    In a table row that names a measured figure, it must be that one, of whichever device.
    """
    candidates = measured
    if printed.row:
        named = [one for one in measured if printed.row in (one.full, one.own)]
        candidates = named or measured
    return any(_same(printed, one) for one in candidates)


def _same(printed: Printed, one: Measured) -> bool:
    if printed.dimension is None:
        # Without a unit it may count something, or repeat a value whose unit stands elsewhere.
        value = one.value
    elif printed.dimension != one.dimension:
        return False
    else:
        value = one.value / printed.size
    tolerance = 0.5 * 10.0**-printed.decimals
    return abs(value - printed.value) <= tolerance * (1 + 1e-6) + 1e-9
