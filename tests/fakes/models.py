"""Models for tests: at a scripted server, with the patience of a test."""

from __future__ import annotations

from typing import Any

from sparkplug.llm.chat import ChatModel
from sparkplug.llm.metering import Labels
from sparkplug.llm.models import Models
from sparkplug.schema.llm import CallRecord
from sparkplug.schema.settings import LlmSection


class Kept:
    """A ledger that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    def note(self, record: CallRecord) -> None:
        """Keep a record."""
        self.records.append(record)


def model_at(
    endpoint: str = "", model: str = "", *, sink: Kept | None = None, **settings: Any
) -> ChatModel:
    """The model that settings with this endpoint give."""
    section = LlmSection.model_validate({"endpoint": endpoint, "model": model, **settings})
    chat = ChatModel(Models(section, host="gpu-1", sink=sink))
    return chat.bound(Labels(agent="tested", replica="0", host="gpu-1"), chat._calling)
