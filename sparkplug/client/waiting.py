"""Waiting until something is as one says, by following it; nothing is asked again and again."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, Change, decode
from sparkplug.bus.cancellation import end
from sparkplug.client import runs
from sparkplug.client.nodes import node_state
from sparkplug.client.session import Client
from sparkplug.client.specs import no_agent, specs_of
from sparkplug.schema.agent import SERVING, AgentState, DesiredAgent, ObservedAgent
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import DeadlineError, InvalidError, NotFoundError, SparkplugError
from sparkplug.schema.node import NodeState, ObservedNode
from sparkplug.schema.problems import did_you_mean
from sparkplug.schema.run import RUN_ENDED, RunState

#: The states that can be waited for, by what they are of; the first is the default.
WAIT_STATES: dict[str, tuple[str, ...]] = {
    "agent": ("ready", "gone", *(str(state) for state in AgentState)),
    "run": ("succeeded", "ended", *(str(state) for state in RunState)),
    "host": ("ready", "gone", *(str(state) for state in NodeState)),
}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ENDED = frozenset({AgentState.STOPPED, AgentState.ERROR})
#: A silent node sends nothing that would say so: how often its age is looked at.
_AGE_S = 1.0


@dataclass(slots=True)
class _Seen:
    """What was read of one agent, or one host."""

    wanted: DesiredAgent | None = None
    agents: dict[str, ObservedAgent] = field(default_factory=dict)
    node: ObservedNode | None = None


def parse_what(what: str, state: str | None) -> tuple[str, str, str]:
    """`agent/NAME` and a state as kind, name and state. Raises InvalidError."""
    kind, slash, name = what.partition("/")
    kind = kind.removesuffix("s")
    if kind not in WAIT_STATES or not slash or not name:
        raise InvalidError(
            f"{what} is nothing one can wait for", hint="agent/NAME, run/ID or host/NAME is"
        )
    known = WAIT_STATES[kind]
    if state is not None and state not in known:
        raise InvalidError(
            f"{kind}s are never {state}{did_you_mean(state, known)}",
            hint=f"they are: {', '.join(known)}",
        )
    return kind, name, state or known[0]


async def wait_for(client: Client, what: str, state: str | None, deadline: float) -> str:
    """Wait until `what` is in a state; a sentence that says so.

    Raises DeadlineError after `deadline` seconds, NotFoundError for what is not there,
    SparkplugError as soon as it can no longer come true.
    """
    kind, name, wanted = parse_what(what, state)
    waits = {"agent": _agent, "run": _run, "host": _host}[kind]
    last = [f"{what} is not {wanted}"]
    try:
        async with asyncio.timeout(deadline):
            await waits(client, name, wanted, last)
    except TimeoutError as error:
        raise DeadlineError(
            f"{last[0]} after {deadline:g} s", hint="--timeout waits longer"
        ) from error
    return f"{kind}/{name} is {wanted}"


async def _agent(client: Client, name: str, state: str, last: list[str]) -> None:
    seen = _Seen()
    if not _NAME.fullmatch(name):
        raise await no_agent(client, name)

    def take_spec(change: Change) -> None:
        if change.reset:
            seen.wanted = None
        elif change.entry is not None:
            seen.wanted = decode(DesiredAgent, change.entry)

    def take_agent(change: Change) -> None:
        if change.reset:
            seen.agents.clear()
        elif change.entry is not None:
            agent = decode(ObservedAgent, change.entry)
            if agent is None:
                seen.agents.pop(change.entry.key, None)
            else:
                seen.agents[change.entry.key] = agent

    observed = Bucket(client.bus, subjects.BUCKET_OBSERVED)
    watches = [
        (specs_of(client).watch(name), take_spec),
        (observed.watch(f"agents.{name}.*"), take_agent),
    ]
    async with _followed(watches) as looks:
        async for _ in looks:
            if seen.wanted is None and not seen.agents and state != "gone":
                raise await no_agent(client, name)
            if _agent_is(seen, state):
                return
            last[0] = f"agent/{name} is not {state}: {_states(seen)}"


def _agent_is(seen: _Seen, state: str) -> bool:
    """Whether an agent is so. Raises SparkplugError when it cannot become ready by itself."""
    agents = list(seen.agents.values())
    if state == "gone":
        return seen.wanted is None and not agents
    if state == "stopped":
        return all(agent.state in _ENDED for agent in agents)
    if state not in ("ready", "idle"):
        return any(agent.state == state for agent in agents)
    if seen.wanted is None:
        return False
    now = [agent for agent in agents if agent.generation >= seen.wanted.generation]
    for agent in now:
        if agent.state is AgentState.ERROR and "; restart " not in (agent.reason or ""):
            raise SparkplugError(
                f"{agent.name}/{agent.replica} failed: {agent.reason or 'it gave no reason'}",
                hint=f"`sparkplug agents logs {agent.name}` shows what it said",
            )
    good = SERVING if state == "ready" else {AgentState.IDLE}
    return sum(agent.state in good for agent in now) >= seen.wanted.spec.replicas


def _states(seen: _Seen) -> str:
    return (
        ", ".join(
            f"{agent.replica} {agent.state}" + (f" ({agent.reason})" if agent.reason else "")
            for agent in sorted(seen.agents.values(), key=lambda agent: agent.replica)[:5]
        )
        or "no node has taken it"
    )


async def _host(client: Client, name: str, state: str, last: list[str]) -> None:
    seen = _Seen()
    nodes: dict[str, ObservedNode] = {}

    def take(change: Change) -> None:
        if change.reset:
            nodes.clear()
        elif change.entry is not None:
            node = decode(ObservedNode, change.entry)
            if node is not None:
                nodes[node.name] = node
            else:
                nodes.pop(change.entry.key.removeprefix("nodes."), None)
        seen.node = nodes.get(name)

    watch = Bucket(client.bus, subjects.BUCKET_OBSERVED).watch("nodes.>")
    async with _followed([(watch, take)], every=_AGE_S) as looks:
        async for _ in looks:
            if seen.node is None:
                if state == "gone":
                    return
                raise NotFoundError(
                    f"no host {name}{did_you_mean(name, nodes)}",
                    hint="`sparkplug hosts` shows all there are",
                )
            now = node_state(seen.node, utc_now())
            if now == state:
                return
            last[0] = f"host/{name} is not {state}, it is {now}"


async def _run(client: Client, run: str, state: str, last: list[str]) -> None:
    wanted = RunState.DONE if state == "succeeded" else state
    view = await runs.describe(client, run)
    async with contextlib.aclosing(runs.watch(client, view.id)) as views:
        async for now in views:
            if now.state == wanted or (state == "ended" and now.state in RUN_ENDED):
                return
            last[0] = f"run/{now.id} is not {state}, it is {now.state}"
            if now.state in RUN_ENDED:
                why = f": {now.error}" if now.error else ""
                raise SparkplugError(
                    f"run/{now.id} is {now.state}{why}",
                    hint=f"`sparkplug runs describe {now.id}` shows its steps",
                )


@contextlib.asynccontextmanager
async def _followed(
    watches: Sequence[tuple[AsyncGenerator[Change, None], Callable[[Change], None]]],
    every: float | None = None,
) -> AsyncGenerator[AsyncGenerator[None, None], None]:
    """Watches followed at the same time; what is given yields once all were read, and then
    after every change, or when `every` seconds passed."""
    changed = asyncio.Event()
    complete = [False] * len(watches)

    async def follow(
        number: int, watch: AsyncGenerator[Change, None], take: Callable[[Change], None]
    ) -> None:
        async with contextlib.aclosing(watch) as changes:
            async for change in changes:
                take(change)
                if change.entry is None:
                    complete[number] = not change.reset
                changed.set()
        raise SparkplugError("the connection was closed while waiting")

    tasks = [
        asyncio.create_task(follow(number, watch, take))
        for number, (watch, take) in enumerate(watches)
    ]

    async def looks() -> AsyncGenerator[None, None]:
        while True:
            woken = asyncio.create_task(changed.wait())
            try:
                await asyncio.wait(
                    {*tasks, woken}, timeout=every, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                woken.cancel()
            for task in tasks:
                if task.done():
                    task.result()
            changed.clear()
            if all(complete):
                yield

    found = looks()
    try:
        yield found
    finally:
        await found.aclose()
        await end(*tasks)
