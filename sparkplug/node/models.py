"""The models a node knows: those of its settings, those found on its host, and its local ones.

What it knows it publishes every few seconds, and it keeps what other nodes publish: an agent
asks its own node alone. Of inference servers it tells what telemetry found.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import nats.errors
from nats.aio.msg import Msg
from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import Services
from sparkplug.clock import until_next
from sparkplug.llm.errors import NoModelError
from sparkplug.llm.models import configured, is_loopback
from sparkplug.llm.port import Provider
from sparkplug.llm.providers import provider_for
from sparkplug.llm.routing import Needs, route
from sparkplug.node.energy import joules
from sparkplug.node.local_models import LocalModels
from sparkplug.node.reach import open_ports, own_address, reached_at
from sparkplug.schema.base import utc_now
from sparkplug.schema.host import HostSample
from sparkplug.schema.inference import InferenceServer, ServerState
from sparkplug.schema.llm import (
    Ability,
    EnergyReply,
    EnergyRequest,
    LoadRequest,
    ModelsReply,
    ModelsRequest,
    ModelState,
    ModelView,
    Reach,
    RouteChoice,
    RouteReply,
    RouteRequest,
)
from sparkplug.schema.settings import LlmSection

log = logging.getLogger(__name__)

_PUBLISH_S = 5.0
_LOOK_S = 15.0
_LOOK_DEADLINE_S = 5.0
#: What another node told is forgotten when it was silent so long.
_FORGET_S = 20.0
_STATES = {ServerState.OK: ModelState.READY, ServerState.LOADING: ModelState.LOADING}
#: What servers that are found can do, as far as their kind tells. A setting can say more.
_FOUND_ABILITIES: list[Ability] = ["tools", "json"]


class NodeModels:
    """What models there are, for the agents of a host and for faces."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        settings: LlmSection,
        local: LocalModels,
        latest: Callable[[], HostSample | None],
        window: Callable[[float], Awaitable[list[HostSample]]],
        advertised: str = "",
    ) -> None:
        self._advertised = advertised
        self._address = ""
        self._open: frozenset[int] = frozenset()
        self._bus = bus
        self._node = node
        self._settings = settings
        self._local = local
        self._latest = latest
        self._window = window
        self._looked: dict[str, ModelView] = {}
        self._others: dict[str, tuple[float, list[ModelView]]] = {}
        self._providers: dict[str, Provider] = {}

    async def run(self, services: Services) -> None:
        """Look, publish and answer for ever."""
        for verb, kind, handler in (
            ("models", ModelsRequest, self.answer),
            ("model-load", LoadRequest, self.load),
            ("model-unload", LoadRequest, self.unload),
            ("energy", EnergyRequest, self.energy),
            ("model-route", RouteRequest, self.route),
        ):
            await services.serve(subjects.node_service(self._node, verb), kind, handler)  # type: ignore[arg-type]
        await self._bus.nc.subscribe(subjects.ALL_MODELS, cb=self._hear)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_for_ever())
            group.create_task(self._publish_for_ever())

    async def answer(self, request: ModelsRequest) -> ModelsReply:
        """What is known here, or on the whole mesh."""
        found = self.own()
        if request.mesh:
            now = time.monotonic()
            for node, (heard, views) in self._others.items():
                if node != self._node and now - heard < _FORGET_S:
                    found += views
        return ModelsReply(node=self._node, models=found)

    async def load(self, request: LoadRequest) -> ModelView:
        """Serve a local model."""
        view = await self._local.load(request.name)
        await self._publish()
        return view

    async def unload(self, request: LoadRequest) -> ModelsReply:
        """End a local model's process; the reply holds it when there was one."""
        ended = await self._local.unload(request.name)
        views = [view for view in self._local.views() if view.name == request.name]
        await self._publish()
        return ModelsReply(node=self._node, models=views if ended else [])

    async def energy(self, request: EnergyRequest) -> EnergyReply:
        """What GPUs of this host took over some stretches of time."""
        longest = max((span.seconds for span in request.spans), default=0.0)
        oldest = min((span.began for span in request.spans), default=utc_now())
        back = max(longest, (utc_now() - oldest).total_seconds()) + 3.0
        samples = await self._window(min(back, 3600.0))
        return EnergyReply(joules=[joules(samples, span) for span in request.spans])

    async def route(self, request: RouteRequest) -> RouteReply:
        """Whom an agent of this host would ask, and why; agents tell what their calls met."""
        views = (await self.answer(ModelsRequest(mesh=True))).models
        needs = Needs(frozenset(request.abilities), request.context)
        found = route(request.wanted, needs, views, host=self._node)
        return RouteReply(
            node=self._node,
            choices=[RouteChoice(model=c.view, reasons=list(c.reasons)) for c in found.choices],
            left_out=[RouteChoice(model=c.view, reasons=[c.why_not]) for c in found.left_out],
        )

    def own(self) -> list[ModelView]:
        """The models this node tells of."""
        sample = self._latest()
        servers = list(sample.inference) if sample is not None else []
        by_url = {_root(server.url): server for server in servers}
        found: list[ModelView] = []
        for view in configured(self._settings, self._node):
            if view.provider == "local":
                continue
            looked = self._looked.get(view.name, view)
            server = by_url.pop(_root(view.endpoint), None)
            found.append(_served(looked, server) if server is not None else looked)
        found += self._local.views()
        if self._settings.discover:
            mine = {view.pid for view in self._local.views()} - {None}
            for server in by_url.values():
                if server.openai and server.pid not in mine:
                    found += _found(server, self._node)
        return [self._for_all(view) for view in found]

    def _for_all(self, view: ModelView) -> ModelView:
        """A server here that listens at every address is one of the mesh, by this host's own."""
        if view.source == "local" or not is_loopback(view.endpoint):
            return view
        url = reached_at(view.endpoint, self._address, self._open)
        if url is None:
            return view
        return view.model_copy(update={"endpoint": url, "reach": Reach.MESH})

    async def _hear(self, message: Msg) -> None:
        try:
            reply = ModelsReply.model_validate_json(message.data)
        except ValidationError as error:
            log.debug("%s tells of no models: %s", message.subject, error.errors()[:1])
            return
        if message.subject == subjects.models(reply.node):
            self._others[reply.node] = (time.monotonic(), reply.models)

    async def _publish_for_ever(self) -> None:
        while True:
            await self._publish()
            await asyncio.sleep(until_next(_PUBLISH_S))

    async def _publish(self) -> None:
        if not self._bus.connected:
            return
        reply = ModelsReply(node=self._node, models=self.own())
        try:
            await self._bus.nc.publish(
                subjects.models(self._node), reply.model_dump_json(exclude_defaults=True).encode()
            )
        except nats.errors.Error as error:
            log.debug("models are not published: %s", error)

    async def _look_for_ever(self) -> None:
        """Ask the endpoints of the settings what they serve: that they answer, and how fast."""
        while True:
            self._address = await asyncio.to_thread(own_address, self._bus.url, self._advertised)
            self._open = await asyncio.to_thread(open_ports) if self._address else frozenset()
            views = [v for v in configured(self._settings, self._node) if v.provider != "local"]
            # A hosted service is not asked for nothing: calls tell how it is.
            near = [view for view in views if _near(view)]
            await asyncio.gather(*(self._look(view) for view in near))
            await asyncio.sleep(_LOOK_S)

    async def _look(self, view: ModelView) -> None:
        began = time.monotonic()
        try:
            provider = self._providers.get(view.name)
            if provider is None:
                # Importing its client is no part of what the endpoint is judged by.
                limit = self._settings.connect_timeout
                provider = await asyncio.to_thread(provider_for, view, limit)
                self._providers[view.name] = provider
            began = time.monotonic()
            async with asyncio.timeout(_LOOK_DEADLINE_S):
                names = await provider.models()
        except (NoModelError, TimeoutError) as error:
            why = error.message if isinstance(error, NoModelError) else "no answer in time"
            changes = {"state": ModelState.FAILING, "reason": why, "checked": utc_now()}
        else:
            changes = {
                "state": ModelState.READY,
                "reason": None,
                "latency_ms": round((time.monotonic() - began) * 1000, 1),
                "model": view.model or (names[0] if names else ""),
                "checked": utc_now(),
            }
            if view.model and names and view.model not in names:
                changes |= {"state": ModelState.FAILING, "reason": f"it lists no {view.model}"}
        self._looked[view.name] = view.model_copy(update=changes)


def _near(view: ModelView) -> bool:
    """Whether an endpoint is somebody's own, not a service that counts each request."""
    host = view.endpoint.partition("://")[2].partition("/")[0].rpartition(":")[0]
    private = host.startswith(("10.", "192.168.", "172.")) or "." not in host
    return view.provider == "openai-compatible" and (is_loopback(view.endpoint) or private)


def _root(endpoint: str) -> str:
    """An endpoint as telemetry names its server."""
    text = endpoint.rstrip("/").removesuffix("/v1").replace("://localhost", "://127.0.0.1")
    return text.rstrip("/")


def _served(view: ModelView, server: InferenceServer) -> ModelView:
    """A model of the settings with what telemetry knows of its server."""
    model = next((m for m in server.models if m.name == view.model), None)
    context = view.context or (model.context_tokens if model else None) or 0
    return view.model_copy(
        update={
            "server": server.kind,
            "running": server.requests_running,
            "waiting": server.requests_waiting,
            "gpus": list(server.gpus),
            "pid": server.pid,
            "context": context,
            "memory_bytes": model.gpu_bytes if model else None,
        }
    )


def _found(server: InferenceServer, node: str) -> list[ModelView]:
    """The models of a server that nobody named."""
    views = []
    for model in server.models:
        state = _STATES.get(server.state, ModelState.FAILING)
        if state is ModelState.READY and model.loaded is False:
            state = ModelState.UNLOADED
        views.append(
            ModelView(
                name=model.name,
                server=server.kind,
                endpoint=f"{server.url.rstrip('/')}/v1",
                model=model.name,
                host=node,
                source="found",
                reach=Reach.HOST if is_loopback(server.url) else Reach.MESH,
                state=state,
                reason=server.reason,
                abilities=list(_FOUND_ABILITIES),
                context=model.context_tokens or 0,
                running=server.requests_running,
                waiting=server.requests_waiting,
                gpus=list(server.gpus),
                memory_bytes=model.gpu_bytes,
                pid=server.pid,
            )
        )
    return views
