"""What a check of the doctor says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, how it went, what was found, and the fix when there is one."""

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str
    fix: str | None = None


def ok(name: str, text: str) -> Check:
    """All is well."""
    return Check(name, "ok", text)


def warn(name: str, text: str, fix: str | None = None) -> Check:
    """It works, and something is worth knowing."""
    return Check(name, "warn", text, fix)


def fail(name: str, text: str, fix: str | None = None) -> Check:
    """Something does not work."""
    return Check(name, "fail", text, fix)
