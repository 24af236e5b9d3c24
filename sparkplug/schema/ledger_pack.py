"""A batch of the ledger as it is stored: JSON in zlib's format (RFC 1950)."""

from __future__ import annotations

import zlib

from pydantic import ValidationError

from sparkplug.schema.llm import LedgerBatch

_MOST_BYTES = 4 << 20


def pack(batch: LedgerBatch) -> bytes:
    """The body of a message."""
    return zlib.compress(batch.model_dump_json(exclude_defaults=True).encode(), 1)


def unpack(body: bytes) -> LedgerBatch | None:
    """The batch in a body; None for what is none, or larger than any is."""
    opener = zlib.decompressobj()
    try:
        text = opener.decompress(body, _MOST_BYTES)
        if not opener.eof:
            return None
        return LedgerBatch.model_validate_json(text)
    except (zlib.error, ValidationError):
        return None
