"""How the memory is: what it holds, what it has in work, how it grew."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from sparkplug.schema.base import Record
from sparkplug.schema.memory_documents import KnowledgeFolder


class ScopeUse(Record):
    """What one scope holds."""

    scope: str
    items: int = 0
    bytes: int = 0
    quarantined: int = 0
    deleted: int = 0
    newest: datetime | None = None


class AgentUse(Record):
    """What one agent has written, and what it may."""

    agent: str
    items: int
    bytes: int
    most_items: int
    most_bytes: int


class GrowthPoint(Record):
    """A span of time: what came and went in it, and what there was at its end."""

    time: datetime
    added: int = 0
    deleted: int = 0
    items: int = 0
    bytes: int = 0


class Reembedding(Record):
    """How far the memories are made comparable by another embedder."""

    embedder: str
    done: int
    total: int
    error: str = ""


class MemoryStats(Record):
    """How the memory is: where, how much, by what it compares, what it has in work."""

    node: str
    items: int
    bytes: int
    quarantined: int
    flagged: int
    deleted: int
    scopes: list[ScopeUse]
    agents: list[AgentUse]
    growth: list[GrowthPoint]
    embedder: str
    embedder_note: str = ""
    store: str = Field("", description="where vectors are kept: Mem0's provider")
    indexed: int = Field(0, description="memories whose vectors are stored")
    reembedding: Reembedding | None = None
    extraction: str = Field("", description="the model that extracts facts, or why there is none")
    extracting: int = 0
    waiting: int = Field(0, description="writes accepted and not yet stored")
    disk_bytes: int = 0
    folders: list[KnowledgeFolder] = Field(default_factory=list)
