"""Lines of an export of the memory: read with care, and packed where they are long."""

from __future__ import annotations

import base64
import binascii
import math
import re
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from sparkplug.schema.errors import InvalidError
from sparkplug.schema.memory import MOST_TEXT_BYTES, SCOPE
from sparkplug.schema.memory_export import ExportedMemory

#: A line from this length on goes alone, packed: what it says may have to be escaped twice.
LONG = 1 << 20
#: So much is made of what was packed. Of the longest text every byte may stand as six.
_MOST_UNPACKED = 32 * MOST_TEXT_BYTES
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9000, 1, 1, tzinfo=UTC)


def pack(lines: Sequence[str]) -> str:
    """Lines as one text that needs no escaping: deflated (zlib, RFC 1950), in base64."""
    data = "\n".join(lines).encode(errors="surrogatepass")
    return base64.b64encode(zlib.compress(data, 1)).decode()


def unpack(packed: str) -> list[str]:
    """What was packed. Raises InvalidError for what was not, and for what grows too large."""
    reader = zlib.decompressobj()
    try:
        data = reader.decompress(base64.b64decode(packed, validate=True), _MOST_UNPACKED)
    except (binascii.Error, zlib.error) as error:
        raise InvalidError(f"these are no packed lines: {error}") from error
    if not reader.eof:
        raise InvalidError("these packed lines are not whole, or too long")
    return data.decode(errors="replace").split("\n")


def read_line(line: str) -> ExportedMemory:
    """One line of an export. Raises InvalidError saying what of it cannot be."""
    try:
        one = ExportedMemory.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise InvalidError(f"no memory: {where}: {first['msg']}") from error
    wrong = _wrong(one)
    if wrong:
        raise InvalidError(f"no memory: item.{wrong}")
    return one


def _wrong(one: ExportedMemory) -> str:
    """What a memory cannot have; empty when it is as those that are stored."""
    item = one.item
    if not _ID.fullmatch(item.id):
        return f"id: {item.id[:60]!r} is no id"
    if not SCOPE.fullmatch(item.scope):
        return f"scope: {item.scope[:60]!r} is no scope"
    for name, value in (("confidence", item.confidence), ("importance", item.importance)):
        if not (math.isfinite(value) and 0.0 <= value <= 1.0):
            return f"{name}: {value} is not from 0 to 1"
    for text in (item.text, *(version.text for version in one.versions)):
        if len(text.encode(errors="surrogatepass")) > MOST_TEXT_BYTES:
            return f"text: a memory has at most {MOST_TEXT_BYTES >> 20} MiB"
    if not item.text.strip() and not one.part:
        return "text: it is empty"
    if item.version < 1 or min((v.version for v in one.versions), default=1) < 1:
        return "version: they count from 1"
    moments = [item.created, item.updated, item.expires, item.deleted, item.read_last]
    moments += [v.time for v in one.versions] + [r.last for r in one.reads]
    for moment in [*moments, *(s.time for s in one.sayings)]:
        if moment is None:
            continue
        if moment.tzinfo is None:
            return f"time: {moment.isoformat()} has no time zone"
        if not _FIRST <= moment <= _LAST:
            return f"time: {moment.isoformat()} cannot be"
    return ""
