"""What a step gave that is larger than an entry of the journal: kept in the object store."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import nats.errors
import nats.js.errors
from nats.js.object_store import ObjectStore

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import InvalidError, NoMeshError, NotFoundError

#: The largest output as JSON, in bytes, that is kept in an entry; larger ones are stored apart.
INLINE_BYTES = 256 << 10
#: The largest output there may be.
MOST_BYTES = 64 << 20
_DEADLINE_S = 60.0


class Results:
    """The outputs that are stored apart, by name."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._store: ObjectStore | None = None

    async def keep(self, name: str, value: Any) -> tuple[Any, str | None]:
        """The value and None when it is small; else None and where it is kept now.

        Raises InvalidError when it is too large even so, NoMeshError when it cannot be stored.
        """
        data = _encode(value)
        if len(data) <= INLINE_BYTES:
            return value, None
        if len(data) > MOST_BYTES:
            raise InvalidError(
                f"the output is {len(data)} bytes; a run keeps at most {MOST_BYTES}",
                hint="put what is large into a file, and answer with its name",
            )
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await (await self._open()).put(name, data)
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            raise NoMeshError(f"the output could not be stored: {error}", where=name) from error
        return None, name

    async def read(self, name: str) -> Any:
        """A value that was stored apart. Raises NotFoundError, NoMeshError."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                found = await (await self._open()).get(name)
        except nats.js.errors.NotFoundError as error:
            raise NotFoundError("this output is no longer kept", where=name) from error
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            raise NoMeshError(f"the output cannot be read: {error}", where=name) from error
        return json.loads(found.data or b"null")

    async def forget(self, name: str) -> None:
        """Remove a value; one that is not there is no error."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await (await self._open()).delete(name)
        except nats.js.errors.NotFoundError:
            return
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            raise NoMeshError(f"the output cannot be removed: {error}", where=name) from error

    async def _open(self) -> ObjectStore:
        if self._store is None:
            self._store = await self._bus.js.object_store(subjects.OBJECTS_FILES)
        return self._store


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode(errors="replace")
