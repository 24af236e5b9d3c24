"""Folders of documents that are part of what is known."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

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
    host: str = Field("", description="the host whose folder it is")


class IngestRequest(Record):
    """Read a folder (or file) of the memory's host, and go on watching it."""

    path: str
    scope: str = "mesh"
    watch: bool = True


class ForgetRequest(Record):
    """Let go of a folder and of all that was read from it."""

    path: str


def folder_state(folder: KnowledgeFolder, node: str) -> str:
    """How it is with a folder, in words, while `node` keeps the memory."""
    if folder.host and folder.host != node:
        return f"of host {folder.host}: kept as it was read, not watched from {node}"
    return folder.error or ("watched" if folder.watched else "read once")
