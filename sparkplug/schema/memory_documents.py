"""Folders of documents that are part of what is known."""

from __future__ import annotations

from datetime import datetime

from sparkplug.schema.base import Record


class KnowledgeFolder(Record):
    """A folder of documents that is part of what is known."""

    path: str
    scope: str
    files: int = 0
    chunks: int = 0
    watched: bool = True
    read: datetime | None = None
    error: str = ""


class IngestRequest(Record):
    """Read a folder (or file) of the memory's host, and go on watching it."""

    path: str
    scope: str = "mesh"
    watch: bool = True


class ForgetRequest(Record):
    """Let go of a folder and of all that was read from it."""

    path: str
