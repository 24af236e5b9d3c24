"""What sentinel says: a finding, and the survey of a host that holds them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Severity = Literal["info", "warning", "critical"]
Figures = dict[str, float | int | str]

#: Worst first.
ORDER: dict[str, int] = {"critical": 0, "warning": 1, "info": 2}

GIB = 1 << 30
MIB = 1 << 20


class Finding(BaseModel):
    """One thing that is wrong, or worth knowing, on a host."""

    rule: str = Field(description="the name of the rule that found it")
    severity: Severity
    subject: str = Field(description="what it is about: a mount, a GPU, a control group, the host")
    summary: str = Field(description="a sentence; every number in it is among the figures")
    figures: Figures = Field(description="measured values and limits, the unit in each name")
    source: str = Field(description="where the limit comes from")


class Survey(BaseModel):
    """What a host measured over a window and what is wrong with it, worst first."""

    host: str
    facts: dict[str, Any] = Field(description="measured figures, the unit in each name")
    findings: list[Finding]
    window_seconds: float
    samples: int
    simulated: bool = Field(description="GPU figures come from a scripted stand-in")


def gib(size: float) -> float:
    """Bytes as GiB, to a tenth, as summaries say them."""
    return round(size / GIB, 1)


def mean(values: list[float]) -> float:
    """The arithmetic mean of at least one value, to a tenth."""
    return round(sum(values) / len(values), 1)
