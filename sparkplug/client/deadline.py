"""A deadline on what the mesh is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sparkplug.schema.errors import DeadlineError

#: How long a reading of stored state may take, in seconds.
READ_S = 5.0


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """Raise DeadlineError when the block takes longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise DeadlineError(
            f"{what} could not be read within {seconds:g} s",
            hint="is this a mesh of SparkPlug's? `sparkplug doctor` checks the server and streams",
        ) from error
