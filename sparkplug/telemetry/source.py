"""What every source of telemetry offers."""

from __future__ import annotations

from typing import Protocol, TypeVar

Reading = TypeVar("Reading", covariant=True)


class Source(Protocol[Reading]):
    """Something that is read once a second. A thing that is not there is part of the reading."""

    async def read(self) -> Reading:
        """The values now, within the source's own deadline."""
        ...

    async def close(self) -> None:
        """End what the source runs; it is not read again."""
        ...
