"""What is wrong with a brief: figures nobody measured, and findings it does not name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .figures import agrees, measured_figures, printed_figures

#: Findings that a brief may not leave out.
_MUST_BE_NAMED = ("critical", "warning")
#: How scribe begins the last line, which tells of the writing and not of the host.
_COLOPHON = "Written "


_COUNTED = re.compile(r"\b(\d{1,6}) (critical|warning|info)\b")


@dataclass(frozen=True, slots=True)
class Review:
    """The verdict on a brief: how many figures were checked, and what is wrong."""

    checked: int
    problems: list[str]


def review(brief: str, survey: Mapping[str, Any]) -> Review:
    """Check a brief against the survey it is about."""
    text = _without_colophon(brief)
    measured = measured_figures(survey)
    printed = printed_figures(text, _names(survey))
    problems: list[str] = []
    for figure in printed:
        if not agrees(figure, measured):
            where = f" ({' '.join(sorted(figure.row))})" if figure.row else ""
            problem = f"the figure {figure.text}{where} is not what was measured"
            if problem not in problems:
                problems.append(problem)
    severities = [one["severity"] for one in survey["findings"]]
    for number, severity in _COUNTED.findall(text):
        if int(number) != severities.count(severity):
            count = severities.count(severity)
            problems.append(f"it counts {number} {severity} findings, there are {count}")
    lines = text.splitlines()
    for one in survey["findings"]:
        if one["severity"] not in _MUST_BE_NAMED:
            continue
        if not any(one["rule"] in line and one["subject"] in line for line in lines):
            problems.append(
                f"the {one['severity']} finding {one['rule']} ({one['subject']}) is not named"
            )
    return Review(len(printed), problems)


def _without_colophon(brief: str) -> str:
    head, _, last = brief.rstrip().rpartition("\n")
    return head if last.startswith(_COLOPHON) else brief


def _names(survey: Mapping[str, Any]) -> set[str]:
    """Texts of a survey that hold digits and are names: hosts, devices, versions, sources."""
    parts: dict[str, Any] = {key: survey[key] for key in ("host", "facts")}
    parts["findings"] = [
        {key: value for key, value in one.items() if key != "summary"} for one in survey["findings"]
    ]
    return {text for text in _texts(parts) if _names_something(text)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key).replace("_", " ")
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _names_something(text: str) -> bool:
    """A name has a digit, and something beside it that no figure has."""
    return any(c.isdigit() for c in text) and any(c.isalpha() or c == "/" for c in text)
