"""The one place that follows the bus for the screen, and tells it what changed.

Nothing of ours is imported until `run` is called, after the first frame.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sparkplug.schema.errors import SparkplugError

if TYPE_CHECKING:
    from sparkplug.client.live import LiveMesh, MeshView
    from sparkplug.client.session import Client
    from sparkplug.config import Settings
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.node_services import HostView
    from sparkplug.schema.run import RunView

#: Imported in a thread while the first frame is already on the screen.
_LATER = (
    "sparkplug.config",
    "sparkplug.client.live",
    "sparkplug.actions.registry",
    "sparkplug.client.logs",
    "sparkplug.client.plan_files",
)
_RETRY_S = 1.0
#: A server that stays away this long may be gone for good, or back elsewhere: look again.
_LOOK_AGAIN_S = 8.0

Topics = frozenset[str]
#: What is told when everything may have changed.
ALL: Topics = frozenset({"agents", "hosts", "telemetry", "topology", "runs", "events", "link"})


@dataclass(frozen=True, slots=True)
class Link:
    """How the connection is: `live`, `lost` (it was live), `away` (no mesh), `broken` (ours)."""

    state: Literal["starting", "live", "lost", "away", "broken"] = "starting"
    message: str = ""
    hint: str = ""
    since: float = field(default_factory=time.monotonic)


class Store:
    """What the screen knows of the mesh. `changed` is called at most ten times a second."""

    def __init__(self, url: str | None, changed: Callable[[Topics], None]) -> None:
        self._url = url
        self._changed = changed
        self.link = Link()
        self.view: MeshView | None = None
        self.client: Client | None = None
        self.settings: Settings | None = None
        self.agents: list[ObservedAgent] = []
        self.hosts: list[HostView] = []
        self.runs: list[RunView] = []
        self.plans: list[str] = []

    async def run(self) -> None:
        """Connect and follow, for ever: a mesh that is not there, or goes, is waited for."""
        await asyncio.to_thread(_import_later)
        from sparkplug.client.live import MeshView
        from sparkplug.client.plan_files import plan_names

        self.view = MeshView()
        await self._read_settings()
        self.plans = await asyncio.to_thread(plan_names)
        self._changed(frozenset({"settings"}))
        while True:
            try:
                await self._connected()
            except SparkplugError as error:
                self._not_connected(error)
            await asyncio.sleep(_RETRY_S)

    async def _read_settings(self) -> None:
        """The settings; while a file of them does not hold, say so and look again."""
        from sparkplug.config import load_settings

        while True:
            try:
                self.settings = await asyncio.to_thread(load_settings)
            except SparkplugError as error:
                where = f" at {error.where}" if error.where else ""
                self._set_link(Link("broken", error.message + where, error.hint or ""))
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _connected(self) -> None:
        """One connection, from its opening until its server stays away."""
        from sparkplug.client.live import LiveMesh
        from sparkplug.client.session import Client

        assert self.settings is not None
        client = await Client.connect(
            url=self._url, paths=self.settings.paths, settings=self.settings, name="tui"
        )
        async with client:
            live = LiveMesh(client, self.view)
            self.client = client
            self._set_link(Link("live"))
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(live.follow()),
                        group.create_task(self._take_changes(live)),
                    ]
                    await self._until_gone(live)
                    for task in tasks:
                        task.cancel()
            finally:
                self.client = None

    async def _until_gone(self, live: LiveMesh) -> None:
        while True:
            await asyncio.sleep(_RETRY_S)
            if live.connected and self.link.state == "lost":
                self._set_link(Link("live"))
            elif not live.connected and self.link.state == "live":
                self._set_link(Link("lost", "the connection is lost", since=live.answered))
            if time.monotonic() - live.answered > _LOOK_AGAIN_S:
                return

    async def _take_changes(self, live: LiveMesh) -> None:
        async for topics in live.changes():
            self._refresh(topics)
            self._changed(topics)

    def _refresh(self, topics: Topics) -> None:
        assert self.view is not None
        if topics & {"agents", "hosts"}:
            self.agents = self.view.agents()
        if topics & {"hosts", "telemetry"}:
            self.hosts = self.view.hosts()
        if "runs" in topics:
            self.runs = self.view.newest_runs()

    def _not_connected(self, error: SparkplugError) -> None:
        """Nothing answers. What was seen before stays on the screen, with its age."""
        hint = (error.hint or "").replace("`", "")
        if self.link.state == "lost":
            self._set_link(Link("lost", "the connection is lost", hint, self.link.since))
        elif self.view is not None and self.view.complete:
            self._set_link(Link("lost", error.message, hint))
        else:
            self._set_link(Link("away", error.message, hint))

    def _set_link(self, link: Link) -> None:
        before = self.link
        if (link.state, link.message, link.hint) != (before.state, before.message, before.hint):
            self.link = link
            self._changed(ALL)

    @property
    def simulated(self) -> bool:
        """Whether any number shown comes from a scripted stand-in."""
        return self.view is not None and self.view.simulated

    @property
    def complete(self) -> bool:
        """Whether the mesh was read whole at least once."""
        return self.view is not None and self.view.complete

    def names(self, kind: str) -> list[str]:
        """The live names of a kind of thing, for completion."""
        match kind:
            case "agent":
                return list(dict.fromkeys(agent.name for agent in self.agents))
            case "host":
                return [host.name for host in self.hosts]
            case "run":
                return [run.id for run in self.runs]
            case "plan":
                return self.plans
        return []


def _import_later() -> None:
    for name in _LATER:
        importlib.import_module(name)
