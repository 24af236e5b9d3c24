"""What an agent process thinks with: its models, who finds them, and the ledger of its calls."""

from __future__ import annotations

import asyncio
import contextlib

from sparkplug.agents.jobs import SpawnJob
from sparkplug.bus import subjects
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import call
from sparkplug.llm.chat import ChatModel
from sparkplug.llm.ledger import Ledger
from sparkplug.llm.metering import Counts
from sparkplug.llm.models import Models
from sparkplug.schema.llm import LoadRequest, ModelsReply, ModelsRequest, ModelView
from sparkplug.schema.settings import LlmSection

_FIND_DEADLINE_S = 1.0
_LOAD_DEADLINE_S = 120.0
_DRAIN_S = 5.0


class NodeFinder:
    """The node of this host, asked for the models it knows."""

    def __init__(self, bus: Bus, node: str) -> None:
        self._bus = bus
        self._node = node

    async def find(self) -> list[ModelView]:
        """All models of the mesh, as the node knows them."""
        reply = await call(
            self._bus,
            subjects.node_service(self._node, "models"),
            ModelsRequest(mesh=True),
            ModelsReply,
            deadline=_FIND_DEADLINE_S,
        )
        return reply.models

    async def load(self, view: ModelView) -> ModelView:
        """Have the node serve a local model."""
        return await call(
            self._bus,
            subjects.node_service(view.host or self._node, "model-load"),
            LoadRequest(name=view.name),
            ModelView,
            deadline=_LOAD_DEADLINE_S,
        )


class Thinking:
    """The model of one agent. Made before the bus is there, whole once it is `started`."""

    def __init__(self, job: SpawnJob) -> None:
        self._job = job
        self.model = ChatModel()
        self._ledger: Ledger | None = None
        self._writing: asyncio.Task[None] | None = None

    @property
    def counts(self) -> Counts:
        """What was used so far."""
        return self.model.models.counts

    def start(self, bus: Bus) -> None:
        """Be ready to think: the node can be asked, the ledger be written."""
        job = self._job
        self._ledger = Ledger(bus, job.agent, job.replica)
        models = Models(
            LlmSection.model_validate(job.llm),
            host=job.node,
            finder=NodeFinder(bus, job.node),
            sink=self._ledger,
        )
        self.model = ChatModel(models, job.model)
        self._writing = asyncio.create_task(self._ledger.run(), name="ledger")

    async def close(self) -> None:
        """Write what the ledger still has, and let go of connections."""
        if self._ledger is None or self._writing is None:
            return
        await end(self._writing)
        await self._ledger.drain(_DRAIN_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self.model.models.close()
