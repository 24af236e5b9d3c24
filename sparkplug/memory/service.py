"""The memory service: its verbs on the bus, and who answers each of them."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nats.aio.msg import Msg
from pydantic import BaseModel

from sparkplug.bus import subjects
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import Services
from sparkplug.config import Settings
from sparkplug.memory.access import Caller, caller_of
from sparkplug.memory.carrying import Carrying
from sparkplug.memory.changing import Changing
from sparkplug.memory.finding import Finding
from sparkplug.memory.gate import Gate
from sparkplug.memory.hearing import Hearing
from sparkplug.memory.parts import Parts
from sparkplug.memory.reviewing import Reviewing
from sparkplug.memory.stats import Stats
from sparkplug.schema.errors import RefusedError
from sparkplug.schema.memory_documents import ForgetRequest, IngestRequest
from sparkplug.schema.memory_export import ExportRequest, ImportRequest
from sparkplug.schema.memory_home import MoveRequest
from sparkplug.schema.memory_pruning import PruneRequest
from sparkplug.schema.memory_requests import (
    EditRequest,
    ItemRequest,
    ListRequest,
    ManyRequest,
    OutcomeRequest,
    SearchRequest,
)
from sparkplug.schema.memory_review import ComparingRequest, ProposalsRequest, SettleRequest
from sparkplug.schema.memory_timeline import TimelineRequest

Handler = Callable[[Caller, Any], Awaitable[BaseModel]]

_REMEMBERED_REPLIES = 4_000
#: What may not be asked while all of it goes to another node.
_CHANGES = frozenset(
    (
        *("edit", "delete", "undo", "release", "quarantine", "prune", "import", "ingest"),
        *("forget", "settle"),
    )
)


class MemoryService:
    """All of it in one process. `run` serves until it is cancelled."""

    def __init__(self, bus: Bus, settings: Settings, folder: Path, node: str) -> None:
        self._bus = bus
        self._parts = Parts(bus, settings, folder, node)
        self.catalogue = self._parts.catalogue
        self.indexing = self._parts.indexing
        self._gate = Gate()
        self._hearing = Hearing(self._parts)
        self._finding = Finding(self._parts)
        self._changing = Changing(self._parts)
        self._carrying = Carrying(self._parts, self._hearing, self._gate)
        self._stats = Stats(self._parts, self._hearing)
        self._reviewing = Reviewing(self._parts)
        self._services = Services(bus)
        self._answered: OrderedDict[str, None] = OrderedDict()

    async def run(self, serving: Callable[[], None]) -> None:
        """Serve until cancelled; `serving` is called once requests are taken."""
        await self._parts.on_writer(self._carrying.take_in_left)
        self.indexing.start()
        self._hearing.extraction.start()
        tasks = [
            asyncio.create_task(loop(), name=name)
            for name, loop in (
                ("company", self._parts.company.run),
                ("events", self._parts.events.run),
                ("reads", self._finding.note_reads),
                ("upkeep", self._changing.keep_up),
            )
        ]
        await self._serve()
        await self._bus.flush()
        serving()
        knowledge = self._carrying.knowledge
        tasks.append(asyncio.create_task(self._hearing.intake.run(), name="intake"))
        tasks.append(asyncio.create_task(knowledge.run(), name="knowledge"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            knowledge.look_again()
            await end(*tasks)
            await self._services.close()
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._hearing.extraction.stop()
        self._parts.close()

    async def _serve(self) -> None:
        """Take requests: of everyone, of people alone."""
        finding, changing, carrying = self._finding, self._changing, self._carrying
        everyone: tuple[tuple[str, type[BaseModel], Handler], ...] = (
            ("search", SearchRequest, finding.search),
            ("list", ListRequest, finding.list),
            ("describe", ItemRequest, finding.describe),
            ("outcome", OutcomeRequest, self._hearing.outcome),
            ("edit", EditRequest, changing.edit),
            ("delete", ManyRequest, changing.delete),
            ("undo", ManyRequest, changing.undo),
        )
        people: tuple[tuple[str, type[BaseModel], Handler], ...] = (
            ("release", ManyRequest, changing.release),
            ("quarantine", ManyRequest, changing.quarantine),
            ("stats", ItemRequest, self._stats.answer),
            ("prune", PruneRequest, changing.prune),
            ("export", ExportRequest, carrying.export),
            ("import", ImportRequest, carrying.take_in),
            ("ingest", IngestRequest, carrying.ingest),
            ("forget", ForgetRequest, carrying.forget),
            ("handover", MoveRequest, carrying.hand_over),
            ("timeline", TimelineRequest, self._reviewing.timeline),
            ("proposals", ProposalsRequest, self._reviewing.proposals),
            ("settle", SettleRequest, self._reviewing.settle),
            ("comparing", ComparingRequest, self._reviewing.comparing),
        )
        for verb, model, handler in everyone:
            await self._serve_one(verb, model, handler, agents=True)
        for verb, model, handler in people:
            await self._serve_one(verb, model, handler, agents=False)

    async def _serve_one(
        self, verb: str, model: type[BaseModel], handler: Handler, *, agents: bool
    ) -> None:
        async def answer(request: BaseModel, message: Msg) -> BaseModel | None:
            if message.reply and not self._is_new(message.reply):
                return None  # the node handed on what came to us as well
            caller = caller_of(message.subject.split(".")[4:])
            if caller is None:
                raise RefusedError("nobody is named by that subject", where=message.subject)
            if not agents and not caller.is_person:
                raise RefusedError("that is for people: an agent may not ask it")
            if verb not in _CHANGES:
                return await handler(caller, request)
            async with self._gate.change():
                return await handler(caller, request)

        await self._services.serve_message(subjects.memory_call(verb, ">"), model, answer)

    def _is_new(self, reply: str) -> bool:
        if reply in self._answered:
            return False
        self._answered[reply] = None
        if len(self._answered) > _REMEMBERED_REPLIES:
            self._answered.popitem(last=False)
        return True


def line(data: dict[str, Any]) -> str:
    """What the process says to the node that started it."""
    return json.dumps(data, separators=(",", ":")) + "\n"
