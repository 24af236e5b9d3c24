"""What models a process can ask: those of its settings and those its node tells of.

One for each process that thinks: it holds the clients of endpoints, their health, and where
records of calls go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from sparkplug.llm.errors import ModelUnavailableError, NoModelError
from sparkplug.llm.health import Health
from sparkplug.llm.metering import Counts, Sink
from sparkplug.llm.port import Provider
from sparkplug.llm.providers import provider_for
from sparkplug.llm.routing import DEFAULT, Needs, Route, route
from sparkplug.schema.agent import ModelLeftAlone
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.llm import CallRecord, ModelSection, ModelView, Reach
from sparkplug.schema.settings import LlmSection

log = logging.getLogger(__name__)

#: How old what the node told may be before it is asked again, while what is known serves on.
_AGE_S = 3.0
#: Characters of what is told of a model that is left alone.
_LONGEST_NAME = 1000
_LONGEST_WHY = 300
_LOOPBACKS = ("127.", "localhost", "[::1]")


class Finder(Protocol):
    """Whoever knows the models of the mesh: the node."""

    async def find(self) -> list[ModelView]:
        """All models the node knows. Raises SparkplugError when it does not answer."""
        ...

    async def load(self, view: ModelView) -> ModelView:
        """Have a local model loaded; the view of it then. Raises SparkplugError."""
        ...


class Models:
    """The models, their clients and their health."""

    def __init__(
        self,
        settings: LlmSection | None = None,
        *,
        host: str = "",
        finder: Finder | None = None,
        sink: Sink | None = None,
    ) -> None:
        self.settings = settings or LlmSection()
        self.host = host
        self.counts = Counts()
        self.health: dict[str, Health] = {}
        self._finder = finder
        self._sink = sink
        self._own = configured(self.settings, host)
        self._found: list[ModelView] = []
        self._asked_at: float | None = None
        self._asking: asyncio.Task[None] | None = None
        self._providers: dict[tuple[str, str, str], Provider] = {}
        self._making = asyncio.Lock()
        self._names: dict[str, str] = {}

    async def views(self) -> list[ModelView]:
        """All there are; the node is asked anew in the background when its word is old."""
        if self._finder is not None:
            old = self._asked_at is None or time.monotonic() - self._asked_at > _AGE_S
            if old and (self._asking is None or self._asking.done()):
                self._asking = asyncio.create_task(self._ask(self._finder))
            if self._asked_at is None and self._asking is not None:
                await asyncio.shield(self._asking)
        found = {(view.name, view.host): view for view in self._own}
        found.update({(view.name, view.host): view for view in self._found})
        return list(found.values())

    async def _ask(self, finder: Finder) -> None:
        try:
            self._found = await finder.find()
        except SparkplugError as error:
            # What settings name can be asked all the same.
            log.debug("the node tells of no models: %s", error)
        self._asked_at = time.monotonic()

    def health_of(self, view: ModelView) -> Health:
        """How a model has done here."""
        return self.health.setdefault(view.identity, Health())

    def left_alone(self) -> list[ModelLeftAlone]:
        """The models that are not asked now, for they failed here."""
        return [
            ModelLeftAlone(
                model=key[:_LONGEST_NAME], until=one.until_told, why=one.why[:_LONGEST_WHY]
            )
            for key, one in self.health.items()
            if one.cooling and one.until_told is not None
        ]

    async def route(self, wanted: str, needs: Needs) -> Route:
        """Who may be asked, best first."""
        views = await self.views()
        return route(wanted, needs, views, host=self.host, health=self.health)

    async def ready(self, view: ModelView) -> ModelView:
        """The view with an endpoint and a name: loaded if it is local, asked for if unnamed."""
        if view.provider == "local":
            if self._finder is None:
                raise NoModelError(f"{view.name} is served by a node, and none is there")
            try:
                view = await self._finder.load(view)
            except NoModelError:
                raise
            except SparkplugError as error:
                raise ModelUnavailableError(
                    f"{view.name} cannot be loaded: {error.message}",
                    where=error.where,
                    hint=error.hint,
                ) from error
        if view.model:
            return view
        key = view.identity
        if key not in self._names:
            provider = await self.provider(view)
            names = await provider.models()
            if not names:
                raise NoModelError(
                    "the endpoint lists no model",
                    where=view.endpoint,
                    hint="name one: sparkplug config set llm.model NAME",
                )
            self._names[key] = names[0]
        return view.model_copy(update={"model": self._names[key]})

    async def provider(self, view: ModelView) -> Provider:
        """The client of a model's endpoint, made once."""
        key = (view.endpoint, view.provider, view.api_key_env + view.api_key_file)
        found = self._providers.get(key)
        if found is None:
            async with self._making:
                found = self._providers.get(key)
                if found is None:
                    # The client's own package takes most of a second to import.
                    limit = self.settings.connect_timeout
                    found = await asyncio.to_thread(provider_for, view, limit)
                    self._providers[key] = found
        return found

    def note(self, record: CallRecord) -> None:
        """A call ended."""
        self.counts.note(record)
        if self._sink is not None:
            self._sink.note(record)

    async def close(self) -> None:
        """Let go of all connections."""
        if self._asking is not None:
            self._asking.cancel()
        for provider in self._providers.values():
            await provider.close()
        self._providers.clear()


def configured(settings: LlmSection, host: str) -> list[ModelView]:
    """The models that settings name, as this host sees them."""
    found = []
    if settings.endpoint:
        section = ModelSection(
            endpoint=settings.endpoint, model=settings.model, api_key_env=settings.api_key_env
        )
        found.append(view_of(DEFAULT, section, host))
    found += [view_of(name, section, host) for name, section in settings.models.items()]
    return found


def view_of(name: str, section: ModelSection, host: str) -> ModelView:
    """A model of the settings."""
    local = section.provider == "local"
    return ModelView(
        name=name,
        provider=section.provider,
        endpoint=section.endpoint,
        model=name if local else section.model,
        host=host,
        source="local" if local else "settings",
        reach=Reach.HOST if local or is_loopback(section.endpoint) else Reach.OUTSIDE,
        abilities=list(section.abilities),
        context=section.context,
        price_in=section.price_in,
        price_out=section.price_out,
        api_key_env=section.api_key_env,
        api_key_file=section.api_key_file,
        fallback=list(section.fallback),
    )


def is_loopback(endpoint: str) -> bool:
    """Whether an endpoint is of the host that asks it."""
    address = endpoint.partition("://")[2]
    return address.startswith(_LOOPBACKS)
