"""What comes and goes as a whole: lines out and in, folders of documents, all to another node."""

from __future__ import annotations

import asyncio
import logging

from sparkplug.memory import exchange
from sparkplug.memory.access import Caller
from sparkplug.memory.folders import put_back
from sparkplug.memory.gate import Gate
from sparkplug.memory.hearing import Hearing
from sparkplug.memory.knowledge import Knowledge
from sparkplug.memory.moving import FOLDERS, hand_over
from sparkplug.memory.parts import Parts
from sparkplug.schema.errors import ConflictError
from sparkplug.schema.memory_documents import ForgetRequest, IngestRequest, KnowledgeFolder
from sparkplug.schema.memory_export import ExportReply, ExportRequest, ImportReply, ImportRequest
from sparkplug.schema.memory_home import MoveReply, MoveRequest

log = logging.getLogger(__name__)

#: A file whose lines are taken in when the catalogue is empty: left by a restore or a move.
TO_TAKE_IN = "import.jsonl"
_LINES_AT_ONCE = 1000


class Carrying:
    """Export, import, ingest, forget, handover. Its `knowledge` runs beside it."""

    def __init__(self, parts: Parts, hearing: Hearing, gate: Gate) -> None:
        self._parts = parts
        self._hearing = hearing
        self._gate = gate
        self.knowledge = Knowledge(parts.catalogue, parts.settings, parts.node, parts.indexing.wake)

    async def export(self, _: Caller, request: ExportRequest) -> ExportReply:
        """A page of lines."""
        parts = self._parts
        return await parts.on_reader(exchange.export, parts.catalogue, request, parts.half_life)

    async def take_in(self, caller: Caller, request: ImportRequest) -> ImportReply:
        """Lines of an export, all of them or none."""
        reply = await self._parts.on_writer(exchange.take_in, self._parts.catalogue, request)
        self._parts.indexing.wake()
        if reply.added and not request.dry_run:
            data = {"count": reply.added, "imported": True}
            self._parts.events.emit("memory:added", "memory", actor=caller.author, data=data)
        return reply

    async def ingest(self, caller: Caller, request: IngestRequest) -> KnowledgeFolder:
        """Read a folder of documents, and watch it."""
        await self._parts.access.check_write(caller, request.scope)
        made = await asyncio.to_thread(self.knowledge.ingest, request, caller.author)
        self.knowledge.look_again()
        data = {"folder": made.path, "count": made.chunks}
        self._parts.events.emit("memory:added", made.scope, actor=caller.author, data=data)
        return made

    async def forget(self, caller: Caller, request: ForgetRequest) -> KnowledgeFolder:
        """Let go of a folder and of all that was read from it."""
        made = await asyncio.to_thread(self.knowledge.forget, request)
        data = {"folder": made.path, "count": made.chunks}
        self._parts.events.emit("memory:deleted", made.scope, actor=caller.author, data=data)
        return made

    async def hand_over(self, _: Caller, request: MoveRequest) -> MoveReply:
        """Give all of it to another node: what was taken in goes with it, or is left waiting."""
        parts, hearing = self._parts, self._hearing
        self._gate.shut(request.node)
        try:
            await hearing.intake.pause()
            await self._gate.still()
            waiting = await parts.on_reader(hearing.extraction.waiting)
            if waiting:
                raise ConflictError(
                    f"facts of {waiting} writes are still being taken out",
                    hint="move it once `sparkplug memory stats` shows none",
                )
            return await hand_over(
                parts.bus, parts.catalogue, parts.half_life, parts.node, request.node
            )
        except BaseException:
            self._gate.open()
            hearing.intake.resume()
            raise

    def take_in_left(self) -> None:
        """Lines that a restore or a move left here, once; then the file goes."""
        path = self._parts.folder / TO_TAKE_IN
        if not path.exists():
            return
        catalogue = self._parts.catalogue
        added = 0
        with path.open(encoding="utf-8") as file:
            lines: list[str] = []
            for line in file:
                lines.append(line)
                if len(lines) == _LINES_AT_ONCE:
                    added += exchange.take_in(catalogue, ImportRequest(lines=lines)).added
                    lines = []
            if lines:
                added += exchange.take_in(catalogue, ImportRequest(lines=lines)).added
        left = self._parts.folder / FOLDERS
        if left.exists():
            with catalogue.change() as db:
                put_back(db, left.read_text(encoding="utf-8"))
            left.unlink()
        path.unlink()
        log.info("%d memories came from elsewhere", added)
