"""Where a graph's checkpoints are kept: as its agent file says."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from sparkplug.agents.runtimes.langgraph.checkpoints import JetStreamSaver
from sparkplug.agents.runtimes.port import Seat
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import InvalidError

_SQLITE = "checkpoints.sqlite"


class Saving:
    """The checkpointer of one graph, opened when its process is on the bus.

    `keeps` is whether there is one. A graph that was compiled with one of its own keeps it
    unless the file names another.
    """

    def __init__(self, graph: Any, seat: Seat) -> None:
        self._graph = graph
        self._seat = seat
        self._stack = contextlib.AsyncExitStack()
        self._own = isinstance(graph.checkpointer, BaseCheckpointSaver)
        self.keeps = False

    async def open(self, bus: Bus) -> Any:
        """The graph with its checkpointer."""
        kind = self._seat.checkpoints
        if not kind and (self._own or self._graph.checkpointer is False):
            self.keeps = self._own
            return self._graph
        saver = await self._saver(kind or "jetstream", bus)
        self.keeps = saver is not None
        return self._graph.copy(update={"checkpointer": saver})

    async def close(self) -> None:
        """Close what was opened."""
        await self._stack.aclose()

    async def _saver(self, kind: str, bus: Bus) -> Any:
        serde = restricted(self._graph)
        if kind == "none":
            return None
        if kind == "memory":
            return InMemorySaver(serde=serde)
        if kind == "sqlite":
            return await self._sqlite(serde)
        return JetStreamSaver(bus, self._seat.agent, self._seat.replica, serde=serde)

    async def _sqlite(self, serde: JsonPlusSerializer) -> Any:
        """LangGraph's own saver, in the folder of this agent on this host."""
        try:
            import aiosqlite
            from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
        except ImportError as error:
            raise InvalidError(
                f"checkpoints: sqlite needs {error.name}",
                where=f"agent {self._seat.agent}",
                hint="pip install langgraph-checkpoint-sqlite",
            ) from error
        path = await asyncio.to_thread(_private_file, self._seat.state)
        connection = await self._stack.enter_async_context(aiosqlite.connect(path))
        # Replicas on this host share the file.
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute("PRAGMA busy_timeout=5000")
        saver = AsyncSqliteSaver(connection, serde=serde)
        await saver.setup()
        return saver


def _private_file(folder: str) -> Path:
    path = Path(folder) / _SQLITE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def restricted(graph: Any) -> JsonPlusSerializer:
    """A serializer that makes of what was stored only what the graph's own state names.

    LangGraph collects those types when it compiles under LANGGRAPH_STRICT_MSGPACK, which agents'
    processes are started with. Anything else in a checkpoint stays the plain data it is stored as.
    """
    types = getattr(graph, "_serde_allowlist", None) or ()
    return JsonPlusSerializer(allowed_msgpack_modules=None).with_msgpack_allowlist(types)
