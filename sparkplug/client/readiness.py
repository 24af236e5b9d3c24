"""Waiting until agents are as they are wanted, by following observed state."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.client.agents import desired
from sparkplug.client.observed import Observed
from sparkplug.client.session import Client
from sparkplug.schema.agent import AgentState, DesiredAgent, ObservedAgent
from sparkplug.schema.errors import DeadlineError, NotFoundError, SparkplugError

_GONE = frozenset({AgentState.STOPPED, AgentState.ERROR})


async def wait_ready(
    client: Client, names: Iterable[str], deadline: float
) -> dict[str, list[ObservedAgent]]:
    """Wait until every replica that is wanted takes prompts; their final states by name.

    Raises SparkplugError with the agent's own reason as soon as one is in error, DeadlineError
    after `deadline` seconds, NotFoundError for a name nobody wants.
    """
    wanted = await desired(client)
    chosen: dict[str, DesiredAgent] = {}
    for name in names:
        if name not in wanted:
            raise NotFoundError(f"no agent {name}")
        chosen[name] = wanted[name]

    def settled(observed: Observed) -> bool:
        return all(_ready(observed, agent) for agent in chosen.values())

    observed = await _follow(client, settled, deadline, lambda seen: _waiting(seen, chosen))
    return {name: _replicas(observed, name) for name in chosen}


async def settle(client: Client, names: Iterable[str], deadline: float) -> list[str]:
    """Wait until every replica that is wanted takes prompts or is in error; the errors, by name.

    Raises DeadlineError after `deadline` seconds.
    """
    wanted = await desired(client)
    chosen = {name: wanted[name] for name in names if name in wanted}
    errors: dict[str, str] = {}

    def one(observed: Observed, agent: DesiredAgent) -> bool:
        try:
            ready = _ready(observed, agent)
        except SparkplugError as error:
            errors[agent.spec.name] = error.message
            return True
        if ready:
            errors.pop(agent.spec.name, None)
        return ready

    def settled(observed: Observed) -> bool:
        # The last look goes over all of them.
        return all(one(observed, agent) for agent in chosen.values())

    await _follow(client, settled, deadline, lambda seen: _waiting(seen, chosen))
    return [errors[name] for name in sorted(errors)]


async def wait_stopped(client: Client, name: str, deadline: float) -> None:
    """Wait until no process of the agent is left. DeadlineError after `deadline` seconds."""

    def settled(observed: Observed) -> bool:
        return all(agent.state in _GONE for agent in _replicas(observed, name))

    await _follow(client, settled, deadline, lambda seen: f"{name} has not stopped")


async def _follow(
    client: Client,
    settled: Callable[[Observed], bool],
    deadline: float,
    missing: Callable[[Observed], str],
) -> Observed:
    observed = Observed()
    complete = False
    try:
        async with asyncio.timeout(deadline):
            watch = Bucket(client.bus, subjects.BUCKET_OBSERVED).watch()
            async with contextlib.aclosing(watch) as changes:
                async for change in changes:
                    if change.reset:
                        observed, complete = Observed(), False
                        continue
                    if change.entry is None:
                        complete = True
                    else:
                        observed.take(change.entry)
                    if complete and settled(observed):
                        return observed
    except TimeoutError as error:
        raise DeadlineError(
            f"after {deadline:g} s {missing(observed)}",
            hint="`sparkplug agents list` shows the states, `sparkplug hosts` whether a node is up",
        ) from error
    raise SparkplugError("the connection was closed while waiting")


def _replicas(observed: Observed, name: str) -> list[ObservedAgent]:
    found = [a for a in observed.agents.values() if a.name == name and not a.foreign]
    return sorted(found, key=lambda agent: (len(agent.replica), agent.replica))


def _ready(observed: Observed, wanted: DesiredAgent) -> bool:
    """True when every wanted replica serves. Raises SparkplugError when one is in error."""
    serving = 0
    for agent in _replicas(observed, wanted.spec.name):
        if agent.generation < wanted.generation:
            continue
        if agent.state is AgentState.ERROR:
            raise SparkplugError(
                f"{agent.name}/{agent.replica} failed: {agent.reason or 'it gave no reason'}",
                hint=f"`sparkplug agents logs {agent.name}` shows what it said",
            )
        serving += agent.takes_prompts
    return serving >= wanted.spec.least


def _is_ready(observed: Observed, wanted: DesiredAgent) -> bool:
    try:
        return _ready(observed, wanted)
    except SparkplugError:
        return False


def _waiting(observed: Observed, chosen: Mapping[str, DesiredAgent]) -> str:
    late = [name for name, wanted in chosen.items() if not _is_ready(observed, wanted)]
    parts = []
    for name in late:
        late_ones = [a for a in _replicas(observed, name) if not a.takes_prompts]
        states = {f"{a.state}: {a.reason}" if a.reason else str(a.state) for a in late_ones}
        parts.append(f"{name} is {'/'.join(sorted(states)) or 'not taken by a node'}")
    return ", ".join(parts)
