"""The mesh as it is now, followed: what a face that stays open draws."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, Entry, decode
from sparkplug.client import decisions, hosts, questions, schedules, topology
from sparkplug.client.events import follow_events
from sparkplug.client.live_runs import LiveRuns
from sparkplug.client.mesh_view import MeshView
from sparkplug.client.nodes import clock_ahead, node_state
from sparkplug.client.observed import Observed
from sparkplug.client.session import Client
from sparkplug.client.tasks import follow_figures
from sparkplug.client.usage import follow_usage
from sparkplug.clock import until_next
from sparkplug.schema.agent import DesiredAgent
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.node import NodeOrder
from sparkplug.schema.past import as_past

#: Events of this many seconds back are shown.
EVENTS_SINCE_S = 3600.0
#: Samples kept of each host, one a second.
HISTORY = 120
#: Of all GPUs together, so many figures of a second; of each host so many at least.
_GPU_SAMPLES = 1500
_LEAST_SAMPLES = 20

_AGAIN_S = 1.0
_LOOK_S = 1.0
#: The share of time that dealing with changes may take, where it can come less often.
_SHARE = 0.005
_WINDOW_S = 60.0


class LiveMesh:
    """Follows a mesh over a connection and keeps a `MeshView` true.

    `changes` tells what changed, as a set of words: `agents`, `hosts` (which there are and
    their states), `telemetry`, `topology`, `runs`, `questions`, `decisions`, `events`, `schedules`,
    `link`, and while somebody wants it `usage` (see `wanting_usage`).
    """

    def __init__(self, client: Client, view: MeshView | None = None) -> None:
        self.client = client
        self.view = view or MeshView()
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._noticed = asyncio.Event()
        self._stale: frozenset[str] = frozenset()
        self._known: set[str] = set()
        #: Replicas by key as they were written last.
        self._written: dict[str, bytes] = {}
        self._unfilled: asyncio.Queue[str] = asyncio.Queue()
        self._usage_wanted = 0
        self._usage_asked = asyncio.Event()
        self.connected = True
        #: When the server was last known to answer (time.monotonic).
        self.answered = time.monotonic()

    async def follow(self) -> None:
        """Follow everything, for ever. Survives the server's going and coming."""
        async with asyncio.TaskGroup() as group:
            for follower in (
                self._follow_observed,
                self._follow_desired,
                self._follow_orders,
                self._follow_questions,
                self._follow_telemetry,
                self._fill_histories,
                self._follow_topology,
                self._follow_events,
                self._follow_decisions,
                self._follow_usage,
                self._follow_tasks,
                self._follow_schedules,
                self._follow_runs,
            ):
                group.create_task(self._again(follower))
            group.create_task(self._look())

    async def changes(
        self, period: float = 0.1, longest: float = 0.1
    ) -> AsyncGenerator[frozenset[str], None]:
        """What changed since the last time, at most once in `period` seconds, for ever.

        What takes long to deal with comes less often, so that it takes a small share of the time;
        but as often as every `longest` seconds.
        """
        due = 0.0
        while True:
            await self._wake.wait()
            # Where nothing came meanwhile there is nothing to wake for.
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            self._wake.clear()
            changed, self._dirty = frozenset(self._dirty), set()
            began = time.thread_time()
            yield changed
            took = time.thread_time() - began
            due = time.monotonic() + min(longest, max(period, took / _SHARE))

    async def noticed(self) -> None:
        """Return when the server begins or ceases to answer, or was silent for a while longer."""
        self._noticed.clear()
        await self._noticed.wait()

    def _touch(self, *topics: str) -> None:
        self._dirty.update(topics)
        self._wake.set()

    async def _again(self, follower: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Follow, and begin again after what a mesh that is starting or ailing answers."""
        while True:
            with contextlib.suppress(
                SparkplugError, TimeoutError, nats.errors.Error, nats.js.errors.Error
            ):
                await follower()
            await asyncio.sleep(_AGAIN_S)

    async def _follow_observed(self) -> None:
        fresh: Observed | None = None
        watch = Bucket(self.client.bus, subjects.BUCKET_OBSERVED).watch()
        async with contextlib.aclosing(watch) as changes:
            async for change in changes:
                if change.reset:
                    fresh = Observed(ahead=await clock_ahead(self.client.bus))
                    self._written.clear()
                elif change.entry is None:
                    if fresh is not None:
                        self.view.observed, fresh = fresh, None
                    self.view.observed_read = True
                    self._note_hosts()
                    self._touch("agents", "hosts")
                elif fresh is not None:
                    fresh.take(change.entry)
                else:
                    self._take(change.entry)

    def _take(self, entry: Entry) -> None:
        """Take in one entry, and say what of it can be seen."""
        observed = self.view.observed
        if not entry.key.startswith("nodes."):
            # Written again as it was: nothing to read, and nothing to draw.
            if entry.value is None or self._written.get(entry.key) != entry.value:
                self._note_written(entry)
                if observed.take(entry):
                    self._touch("agents")
            return
        node = observed.nodes.get(entry.key)
        observed.take(entry)
        self._note_hosts()
        after = observed.nodes.get(entry.key)
        same = node and after and after.model_copy(update={"seen": node.seen}) == node
        if not same or (after and after.name in self._stale):
            self._touch("hosts", "agents")

    def _note_written(self, entry: Entry) -> None:
        if entry.value is None:
            self._written.pop(entry.key, None)
        else:
            self._written[entry.key] = entry.value

    async def _follow_desired(self) -> None:
        fresh: dict[str, DesiredAgent] | None = None
        watch = Bucket(self.client.bus, subjects.BUCKET_SPECS).watch()
        async with contextlib.aclosing(watch) as changes:
            async for change in changes:
                if change.reset:
                    fresh = {}
                elif change.entry is None:
                    if fresh is not None:
                        self.view.desired, fresh = fresh, None
                    self.view.desired_read = True
                    self._touch("agents")
                else:
                    specs = self.view.desired if fresh is None else fresh
                    wanted = decode(DesiredAgent, change.entry)
                    if wanted is None:
                        specs.pop(change.entry.key, None)
                    else:
                        specs[change.entry.key] = wanted
                    if fresh is None:
                        self._touch("agents")

    async def _follow_orders(self) -> None:
        fresh: dict[str, NodeOrder] | None = None
        watch = Bucket(self.client.bus, subjects.BUCKET_NODES).watch()
        async with contextlib.aclosing(watch) as changes:
            async for change in changes:
                if change.reset:
                    fresh = {}
                    continue
                if change.entry is None:
                    if fresh is not None:
                        self.view.orders, fresh = fresh, None
                else:
                    orders = self.view.orders if fresh is None else fresh
                    order = decode(NodeOrder, change.entry)
                    if order is None:
                        orders.pop(change.entry.key, None)
                    else:
                        orders[change.entry.key] = order
                if fresh is None:
                    self._touch("hosts")

    async def _follow_questions(self) -> None:
        async with contextlib.aclosing(questions.follow(self.client)) as changes:
            async for found in changes:
                self.view.questions = found
                self._touch("questions")

    async def _follow_telemetry(self) -> None:
        async with contextlib.aclosing(hosts.follow(self.client)) as samples:
            async for sample in samples:
                history = self.view.history.setdefault(sample.host, deque(maxlen=HISTORY))
                before = self.view.latest.get(sample.host)
                if before is not None and history and history[-1] is before:
                    history[-1] = as_past(before)
                history.append(sample)
                self.view.latest[sample.host] = sample
                self._forget_oldest()
                self._touch("telemetry")

    def _forget_oldest(self) -> None:
        """With many GPUs in the mesh less of each host is kept: memory is for what is looked at."""
        histories = self.view.history.values()
        gpus = sum(len(sample.gpus) for sample in self.view.latest.values())
        most = max(_LEAST_SAMPLES, _GPU_SAMPLES // max(gpus, 1))
        for history in histories:
            while len(history) > most:
                history.popleft()

    def _note_hosts(self) -> None:
        """Have the histories of hosts that were not known before filled."""
        for node in self.view.observed.nodes.values():
            if node.host not in self._known and node.state != "stopped":
                self._known.add(node.host)
                self._unfilled.put_nowait(node.host)

    async def _fill_histories(self) -> None:
        """Put a node's own memory of the last minute before what is heard of it."""
        while True:
            host = await self._unfilled.get()
            with contextlib.suppress(SparkplugError):
                reply = await hosts.window(self.client, host, _WINDOW_S)
                heard = list(self.view.history.get(host, ()))
                older = [s for s in reply.samples if not heard or s.time < heard[0].time]
                if older and not heard:
                    newest = self.view.latest[host] = older.pop()
                    heard = [newest]
                past = map(as_past, older)
                self.view.history[host] = deque([*past, *heard], maxlen=HISTORY)
                self._touch("telemetry")

    async def _follow_topology(self) -> None:
        async with contextlib.aclosing(topology.follow_topology(self.client)) as graphs:
            async for graph in graphs:
                self.view.take_topology(graph)
                self._touch("topology")

    @contextlib.contextmanager
    def wanting_usage(self) -> Iterator[None]:
        """Follow what agents take while the block runs; else nothing of it is received."""
        self._usage_wanted += 1
        self._usage_asked.set()
        try:
            yield
        finally:
            self._usage_wanted -= 1
            if not self._usage_wanted:
                self._usage_asked.clear()

    async def _follow_usage(self) -> None:
        while True:
            await self._usage_asked.wait()
            async with contextlib.aclosing(follow_usage(self.client)) as pieces:
                async for piece in pieces:
                    if not self._usage_asked.is_set():
                        break
                    self.view.take_usage(piece)
                    self._touch("usage")

    async def _follow_tasks(self) -> None:
        async with contextlib.aclosing(follow_figures(self.client)) as pieces:
            async for figures in pieces:
                if figures != self.view.tasks:
                    self.view.tasks = figures
                    self._touch("tasks")

    async def _follow_schedules(self) -> None:
        async with contextlib.aclosing(schedules.follow(self.client)) as changes:
            async for found in changes:
                self.view.schedules = found
                self._touch("schedules")

    async def _follow_decisions(self) -> None:
        async with contextlib.aclosing(decisions.follow_asked(self.client)) as found:
            async for asked in found:
                self.view.decisions = asked
                self._touch("decisions")

    async def _follow_events(self) -> None:
        last = self.view.events[-1].sequence if self.view.events else None
        since = None if last is not None else EVENTS_SINCE_S
        stream = follow_events(self.client, since=since, after=last)
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if event is not None:
                    self.view.events.append(event)
                    self._touch("events")

    async def _follow_runs(self) -> None:
        async with contextlib.aclosing(LiveRuns(self.client).follow()) as changes:
            async for found in changes:
                self.view.runs = found
                self._touch("runs")

    async def _look(self) -> None:
        """Once a second: whether the server answers, and which nodes have fallen silent."""
        while True:
            connected = self.client.bus.connected
            if connected:
                self.answered = time.monotonic()
            changed = connected != self.connected
            if changed:
                self.connected = connected
                self._touch("link")
            if not connected or changed:
                self._noticed.set()
            nodes = self.view.observed.nodes.values()
            stale = frozenset(node.name for node in nodes if node_state(node) == "stale")
            if stale != self._stale:
                self._stale = stale
                self._touch("hosts", "agents")
            await asyncio.sleep(until_next(_LOOK_S))
