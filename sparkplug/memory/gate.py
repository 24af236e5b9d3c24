"""The gate that changes go through: shut while all of the memory goes to another node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sparkplug.schema.errors import AskAgainError, ConflictError


class Gate:
    """Counts the changes under way; once it is shut none begins."""

    def __init__(self) -> None:
        self._leaves_for = ""
        self._changing = 0
        self._unchanging = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def change(self) -> AsyncIterator[None]:
        """One change. Raises AskAgainError while the gate is shut."""
        if self._leaves_for:
            raise AskAgainError(f"the memory goes to {self._leaves_for}")
        self._changing += 1
        try:
            yield
        finally:
            self._changing -= 1
            async with self._unchanging:
                self._unchanging.notify_all()

    def shut(self, node: str) -> None:
        """Let no change begin: all of it goes to `node`. Raises ConflictError when it does now."""
        if self._leaves_for:
            raise ConflictError(f"the memory goes to {self._leaves_for} already")
        self._leaves_for = node

    def open(self) -> None:
        """It stays here after all."""
        self._leaves_for = ""

    async def still(self) -> None:
        """Wait until no change is under way."""
        async with self._unchanging:
            await self._unchanging.wait_for(lambda: not self._changing)
