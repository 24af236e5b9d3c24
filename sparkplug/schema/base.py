"""The two kinds of model: records that travel or persist, and files people write."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


def utc_now() -> datetime:
    """The time now, aware and in UTC, as every record carries it."""
    return datetime.now(UTC)


class Record(BaseModel):
    """A model that crosses a process or is persisted.

    Carries its schema version `v`; readers ignore fields they do not know, so an older
    release reads what a newer one wrote.
    """

    model_config = ConfigDict(extra="ignore", defer_build=True)

    VERSION: ClassVar[int] = 1
    v: int = 1


class Document(BaseModel):
    """A part of a file a person writes: unknown keys are errors, so a typing slip is found."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
