"""The one place that follows the bus for the screen, and tells it what changed.

Nothing of ours is imported until `run` is called, after the first frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sparkplug.schema.errors import NoMeshError, SparkplugError

if TYPE_CHECKING:
    from sparkplug.client.live import LiveMesh
    from sparkplug.client.mesh_view import MeshView
    from sparkplug.client.session import Client
    from sparkplug.config import Settings
    from sparkplug.contexts import Context
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.node_services import HostView
    from sparkplug.schema.question import Question
    from sparkplug.schema.run import RunView
    from sparkplug.schema.schedule import ScheduleView

#: Imported in a thread while the first frame is already on the screen.
_LATER = (
    "sparkplug.config",
    "sparkplug.contexts",
    "sparkplug.client.live",
    "sparkplug.actions.registry",
    "sparkplug.client.logs",
    "sparkplug.client.plan_files",
)
_RETRY_S = 1.0
#: A server that stays away this long may be gone for good, or back elsewhere: look again.
_LOOK_AGAIN_S = 8.0

#: What changes is told at most this often, in seconds: figures under fire are not read faster.
_PERIOD_S = 0.25
#: And at least this often, however long it takes to draw.
_LONGEST_S = 0.5

Topics = frozenset[str]
#: Of these there are names that one types.
NAMED: Topics = frozenset(
    {"agents", "hosts", "runs", "questions", "decisions", "schedules", "link"}
)
#: What is told when everything may have changed.
ALL: Topics = frozenset(
    {
        *("agents", "hosts", "telemetry", "topology", "runs", "questions"),
        *("decisions", "events", "link", "tasks", "schedules"),
    }
)


@dataclass(frozen=True, slots=True)
class Link:
    """How the connection is: `live`, `lost` (it was live), `away` (no mesh), `broken` (ours)."""

    state: Literal["starting", "live", "lost", "away", "broken"] = "starting"
    message: str = ""
    hint: str = ""
    since: float = field(default_factory=time.monotonic)


class Store:
    """What the screen knows of the mesh. `changed` is called at most four times a second."""

    def __init__(
        self, url: str | None, changed: Callable[[Topics], None], context: str | None = None
    ) -> None:
        self._url = url
        #: The name of the context that was asked for.
        self._wanted = context
        self._context: Context | None = None
        #: The meshes one could be on, by name.
        self.contexts: dict[str, Context] = {}
        self._changed = changed
        self.link = Link()
        self.view: MeshView | None = None
        self.client: Client | None = None
        #: What keeps this screen and the mesh's nodes from understanding each other.
        self.differs: str | None = None
        self.settings: Settings | None = None
        self.plans: list[str] = []
        # Made when somebody looks, and kept until what they are made of changes.
        self._agents: list[ObservedAgent] | None = None
        self._hosts: list[HostView] | None = None
        self._runs: list[RunView] | None = None
        self._live: LiveMesh | None = None
        self._wants_usage = False
        self._usage: contextlib.ExitStack | None = None

    def want_usage(self, on: bool) -> None:
        """Have what agents take followed, or no longer: what nobody looks at is not received."""
        self._wants_usage = on
        if not on and self._usage is not None:
            self._usage.close()
            self._usage = None
        elif on and self._usage is None and self._live is not None:
            self._usage = contextlib.ExitStack()
            self._usage.enter_context(self._live.wanting_usage())

    @property
    def agents(self) -> list[ObservedAgent]:
        """Every replica as it is shown."""
        if self._agents is None:
            self._agents = self.view.agents() if self.view is not None else []
        return self._agents

    @property
    def hosts(self) -> list[HostView]:
        """Every host by name, with its newest sample."""
        if self._hosts is None:
            self._hosts = self.view.hosts() if self.view is not None else []
        return self._hosts

    @property
    def runs(self) -> list[RunView]:
        """The runs, newest first."""
        if self._runs is None:
            self._runs = self.view.newest_runs() if self.view is not None else []
        return self._runs

    @property
    def questions(self) -> list[Question]:
        """What people are asked, the oldest first."""
        return self.view.open_questions() if self.view is not None else []

    @property
    def schedules(self) -> list[ScheduleView]:
        """Plans that are run by the clock, by name."""
        return self.view.schedules if self.view is not None else []

    def count(self) -> tuple[int, int]:
        """How many hosts and GPUs there are, without a look at any other figure of theirs."""
        if self.view is None:
            return 0, 0
        nodes = self.view.observed.nodes.values()
        samples = (self.view.latest.get(node.host) for node in nodes)
        return len(nodes), sum(len(sample.gpus) for sample in samples if sample is not None)

    def forget_ages(self) -> None:
        """Hosts are made anew when they are looked at next: their ages have moved on."""
        self._hosts = None

    def leave(self, context: str) -> None:
        """Forget all of this mesh; `run` follows that of `context` when it is begun again."""
        self._url, self._wanted, self._context = None, context, None
        self.view = self.client = self.differs = None
        self._agents = self._hosts = self._runs = None
        self.link = Link()
        self._changed(ALL)

    async def run(self) -> None:
        """Connect and follow, for ever: a mesh that is not there, or goes, is waited for."""
        await asyncio.to_thread(_import_later)
        from sparkplug.client.mesh_view import MeshView
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
                await self._choose_context(self.settings)
            except SparkplugError as error:
                where = f" at {error.where}" if error.where else ""
                self._set_link(Link("broken", error.message + where, error.hint or ""))
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _choose_context(self, settings: Settings) -> None:
        """The mesh to follow: that which was asked for, or the current context elsewhere."""
        from sparkplug.contexts import load_contexts

        known = await asyncio.to_thread(load_contexts, settings)
        self.contexts = known.all
        url = self._url or os.environ.get("SPARKPLUG_URL")
        if self._wanted is None and url:
            return
        found = known.choose(self._wanted)
        self._context = None if self._wanted is None and found.local else found

    async def _connected(self) -> None:
        """One connection, from its opening until its server stays away."""
        from sparkplug.client.live import LiveMesh
        from sparkplug.client.session import Client

        assert self.settings is not None
        client = await Client.connect(
            url=self._url,
            paths=self.settings.paths,
            settings=self.settings,
            name="tui",
            attentive=True,
            context=self._context,
        )
        async with client:
            live = LiveMesh(client, self.view)
            self.client, self._live = client, live
            self.differs = await client.differs()
            self.want_usage(self._wants_usage)
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
                self.client = self._live = self._usage = None

    async def _until_gone(self, live: LiveMesh) -> None:
        while True:
            await live.noticed()
            if live.connected and self.link.state == "lost":
                self._set_link(Link("live"))
            elif not live.connected and self.link.state == "live":
                self._set_link(Link("lost", "the connection is lost", since=live.answered))
            if time.monotonic() - live.answered > _LOOK_AGAIN_S:
                return

    async def _take_changes(self, live: LiveMesh) -> None:
        async for topics in live.changes(_PERIOD_S, _LONGEST_S):
            self._forget(topics)
            self._changed(topics)

    def _forget(self, topics: Topics) -> None:
        if topics & {"agents", "hosts"}:
            self._agents = None
        if topics & {"hosts", "telemetry"}:
            self._hosts = None
        if "runs" in topics:
            self._runs = None

    def _not_connected(self, error: SparkplugError) -> None:
        """Nothing answers. What was seen before stays on the screen, with its age."""
        hint = (error.hint or "").replace("`", "")
        if self._context is not None and self._context.url and isinstance(error, NoMeshError):
            # It is elsewhere: what starts a node here is no help.
            hint = ":ctx goes to another mesh; this one is tried again"
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
    def mesh(self) -> str:
        """The name of the mesh; empty until the settings are read."""
        if self._context is not None:
            return self._context.name
        return self.settings.mesh.name if self.settings is not None else ""

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
            case "schedule":
                return [one.name for one in self.schedules]
            case "question":
                return [one.id for one in self.questions]
            case "decision":
                return list(self.view.decisions) if self.view is not None else []
            case "context":
                return list(self.contexts)
            case "plan":
                return self.plans
        return []


def _import_later() -> None:
    for name in _LATER:
        importlib.import_module(name)
