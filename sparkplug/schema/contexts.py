"""The file of meshes elsewhere: what `contexts.toml` may hold."""

from __future__ import annotations

from pydantic import Field, field_validator

from sparkplug.schema.base import Document
from sparkplug.schema.mesh import check_nats_urls
from sparkplug.schema.settings import Name


class ContextEntry(Document):
    """One mesh: where it is, and what opens it."""

    url: str = Field(min_length=1, description="NATS URL")
    creds: str = Field("", description="path of a credentials file; empty = it asks for none")
    ca: str = Field("", description="path of the certificate it is trusted by; empty = any usual")
    description: str = Field("", max_length=200)

    @field_validator("url")
    @classmethod
    def _is_nats_url(cls, value: str) -> str:
        return check_nats_urls(value)


class ContextsDocument(Document):
    """All meshes elsewhere by name, and which of them is used unless another is asked for."""

    current: str = Field("", description="empty = the mesh of this host")
    contexts: dict[Name, ContextEntry] = Field(default_factory=dict)
