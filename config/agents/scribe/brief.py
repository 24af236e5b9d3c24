"""The brief from a template: everything in it is the survey's, nothing is worked out anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from .quantities import label, quantity

#: Worst first.
SEVERITIES = ("critical", "warning", "info")
_NO_DRIVER = "no_driver"
#: Facts that have a section of their own.
_GPU_FACTS = ("gpus", "driver", "driver_state")


def template_brief(survey: Mapping[str, Any], written: str) -> str:
    """The brief of a survey in Markdown. `written` says at its end how it came about."""
    findings = sorted_findings(survey)
    parts = [
        f"# Host brief: {survey['host']}",
        f"{now()}, {window(survey)}.",
        verdict(survey, findings),
        "## Findings",
        *([finding_text(one) for one in findings] or ["None of the rules found anything."]),
        "## Measured",
        _table(_host_rows(survey["facts"])),
        "## GPUs",
        _gpus(survey["facts"]),
        "---",
        written,
    ]
    return "\n\n".join(parts) + "\n"


def now() -> str:
    """The date and time of writing, UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def window(survey: Mapping[str, Any]) -> str:
    """What the figures are measured over."""
    text = (
        f"measured over {quantity('window_seconds', survey['window_seconds'])} "
        f"({_many(int(survey['samples']), 'sample')})"
    )
    return f"{text}; **SIMULATED**: the GPU figures are scripted" if survey["simulated"] else text


def sorted_findings(survey: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings, worst first."""
    return sorted(survey["findings"], key=lambda one: SEVERITIES.index(one["severity"]))


def verdict(survey: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> str:
    """One paragraph: how the host is, and what to look at first."""
    host = survey["host"]
    counts = [
        (severity, sum(one["severity"] == severity for one in findings)) for severity in SEVERITIES
    ]
    said = ", ".join(f"{count} {severity}" for severity, count in counts if count)
    if not said:
        return f"**{host} is well.** Nothing that was measured breaks a rule."
    worst = findings[0]
    if worst["severity"] == "info":
        return f"**{host} is well**, with something to know ({said}). {worst['summary']}"
    state = "needs attention now" if worst["severity"] == "critical" else "should be looked at"
    return f"**{host} {state}** ({said}). First of all: {worst['summary']}"


def finding_text(one: Mapping[str, Any]) -> str:
    """A finding as a list item: what, its figures, and the source of its limit."""
    figures = ", ".join(
        f"{label(name)} {quantity(name, value)}" for name, value in one["figures"].items()
    )
    lines = [f"- **{one['severity']}** `{one['rule']}` ({one['subject']}): {one['summary']}"]
    if figures:
        lines.append(f"  - Figures: {figures}")
    lines.append(f"  - Source: {one['source']}")
    return "\n".join(lines)


def rows(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Facts as label and value; those inside lists and objects are named by where they are."""
    for name, value in facts.items():
        if value is None or value in ([], {}, ""):
            continue
        if isinstance(value, Mapping):
            yield from rows(value, f"{prefix}{label(name)} ")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from _list_rows(name, value, prefix)
        else:
            yield f"{prefix}{label(name)}", quantity(name, value)


def _list_rows(name: str, items: Sequence[Any], prefix: str) -> Iterator[tuple[str, str]]:
    if not all(isinstance(item, Mapping) for item in items):
        yield f"{prefix}{label(name)}", ", ".join(quantity(name, item) for item in items)
        return
    for index, item in enumerate(items):
        key = next((k for k in ("mount", "path", "name", "host") if item.get(k)), None)
        which = item[key] if key else str(index)
        rest = {k: v for k, v in item.items() if k != key}
        yield from rows(rest, f"{prefix}{label(name)} {which} ")


def _host_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return list(rows({k: v for k, v in facts.items() if k not in _GPU_FACTS}))


def _table(found: Sequence[tuple[str, str]]) -> str:
    lines = ["| what | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in found]
    return "\n".join(lines)


def _gpus(facts: Mapping[str, Any]) -> str:
    """A table for each GPU, or why there are none."""
    gpus = facts.get("gpus") or []
    driver = facts.get("driver") or facts.get("driver_state") or ""
    parts: list[str] = []
    for number, gpu in enumerate(gpus):
        name = f"GPU {gpu.get('index', number)}: {gpu.get('name', '')}".rstrip(": ")
        rest = {k: v for k, v in gpu.items() if k not in ("index", "name")}
        parts.append(f"**{name}**\n\n{_table(list(rows(rest)))}")
    if parts:
        return "\n\n".join(parts)
    state = driver.get("state") if isinstance(driver, Mapping) else str(driver)
    if state == _NO_DRIVER:
        return "There is no NVIDIA driver on this host."
    if state:
        return f"No GPU is listed; the NVIDIA driver is in state {state}."
    return "No GPU is listed."


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
