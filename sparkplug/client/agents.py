"""Agents: what is wanted of them, how they are, and changing what is wanted."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.service import call
from sparkplug.client.deadline import READ_S, within
from sparkplug.client.observed import merge_agents, read_observed, replicas_of
from sparkplug.client.placement import read_scaled
from sparkplug.client.session import Client
from sparkplug.schema.agent import (
    AgentSpec,
    AgentState,
    DesiredAgent,
    ObservedAgent,
    ResolveReply,
    ResolveRequest,
    ScaledAgent,
    Target,
)
from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError, RefusedError
from sparkplug.schema.problems import did_you_mean

#: What can change in a spec while its processes run on.
_LIVE_FIELDS = frozenset({"replicas", "scale", "restart", "labels"})
_RESOLVE_DEADLINE_S = 3.0


_SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|(^|_)(PWD|AUTH|SEED)($|_)", re.IGNORECASE
)
_HIDDEN = "(not shown)"


def without_secrets(env: Mapping[str, str]) -> dict[str, str]:
    """An environment for showing: values of names that look like a secret's are left out."""
    return {name: _HIDDEN if _SECRET_NAME.search(name) else env[name] for name in env}


class AgentDescription(Record):
    """Everything known of one agent."""

    name: str
    desired: DesiredAgent | None = None
    revision: int | None = None
    replicas: list[ObservedAgent]
    recovery: dict[str, list[str]] = Field(
        default_factory=dict, description="what can be done about each replica that failed"
    )
    scaled: ScaledAgent | None = None


async def list_agents(client: Client) -> list[ObservedAgent]:
    """Every replica of the mesh, foreign ones last."""
    observed = await read_observed(client.bus)
    return merge_agents(observed, await desired(client))


async def desired(client: Client) -> dict[str, DesiredAgent]:
    """What is wanted of every agent, by name."""
    async with within(READ_S, "the agents' specs"):
        return await _specs(client).read_all(DesiredAgent)


async def describe(client: Client, name: str) -> AgentDescription:
    """One agent: its spec, and how each replica is. Raises NotFoundError."""
    found = await _read(client, name)
    replicas = replicas_of(await list_agents(client), name)
    if found is None and not replicas:
        raise await _no_agent(client, name)
    wanted, revision = found or (None, None)
    if wanted is not None:
        spec = wanted.spec.model_copy(update={"env": without_secrets(wanted.spec.env)})
        wanted = wanted.model_copy(update={"spec": spec})
    recovery = {a.replica: [one.value for one in a.recovery] for a in replicas if a.recovery}
    scaled = await read_scaled(client, name) if wanted and wanted.spec.scale else None
    return AgentDescription(
        name=name,
        desired=wanted,
        revision=revision,
        replicas=replicas,
        recovery=recovery,
        scaled=scaled,
    )


async def deploy(client: Client, spec: AgentSpec, folder: Path, *, replace: bool = False) -> bool:
    """Want this agent to run; `folder` is where its modules are found.

    One whose replicas gave up is tried anew; False when nothing had to change. Raises
    ConflictError when another spec has the name and `replace` is not given.
    """
    wanted = DesiredAgent(spec=spec, folder=str(folder), changed_by=client.actor, reason="deploy")
    found = await _read(client, spec.name)
    if found is None:
        await _create(client, wanted)
        await client.emit("agent:changed", spec.name, what="deploy", replicas=spec.replicas)
        return True
    before, revision = found
    failed = await _has_failed(client, spec.name)
    differs = _differs(before, spec, folder)
    if before.run and not differs and not failed:
        return False
    if differs and not replace:
        raise _taken(before)
    anew = failed or _replaces_processes(before, wanted)
    wanted.generation = before.generation + anew
    await _specs(client).put(spec.name, wanted, revision=revision)
    await client.emit("agent:changed", spec.name, what="replace", replicas=spec.replicas)
    return True


async def refuse_taken(client: Client, found: Sequence[tuple[Path, AgentSpec]]) -> None:
    """Raise ConflictError when one of these (file, spec) has a name that another spec has."""
    there = await desired(client)
    for file, spec in found:
        before = there.get(spec.name)
        if before is not None and _differs(before, spec, file.resolve().parent):
            raise _taken(before)


async def start(client: Client, name: str) -> bool:
    """Want the agent to run. One whose replicas gave up is tried anew. False: it runs already."""
    failed = await _has_failed(client, name)

    def change(wanted: DesiredAgent) -> DesiredAgent | None:
        if wanted.run and not failed:
            return None
        generation = wanted.generation + (1 if failed else 0)
        return wanted.model_copy(update={"run": True, "generation": generation})

    return await _change(client, name, "start", change)


async def stop(client: Client, name: str) -> bool:
    """Want the agent not to run; its spec stays. False when it is stopped already."""

    def change(wanted: DesiredAgent) -> DesiredAgent | None:
        return wanted.model_copy(update={"run": False}) if wanted.run else None

    return await _change(client, name, "stop", change)


async def restart(client: Client, name: str) -> bool:
    """Want the agent's processes replaced, all of them."""

    def change(wanted: DesiredAgent) -> DesiredAgent | None:
        return wanted.model_copy(update={"run": True, "generation": wanted.generation + 1})

    return await _change(client, name, "restart", change)


async def scale(client: Client, name: str, replicas: int) -> bool:
    """Want that many replicas. False when that many are wanted already."""
    most = 1000
    if not 0 <= replicas <= most:
        raise InvalidError(f"an agent has 0 to {most} replicas, not {replicas}")

    def change(wanted: DesiredAgent) -> DesiredAgent | None:
        if wanted.spec.scale is not None:
            bounds = wanted.spec.scale
            raise RefusedError(
                f"{name} is scaled by load, between {bounds.min} and {bounds.max} replicas",
                hint="change `scale` in its file, or take it out, and `sparkplug apply` it",
            )
        if wanted.spec.replicas == replicas:
            return None
        spec = wanted.spec.model_copy(update={"replicas": replicas})
        return wanted.model_copy(update={"spec": spec})

    return await _change(client, name, f"scale to {replicas}", change)


async def remove(client: Client, name: str) -> None:
    """Forget the agent: its processes end, its spec is gone. Raises NotFoundError."""
    found = await _require(client, name)
    await _specs(client).delete(name, revision=found[1])
    await client.emit("agent:changed", name, what="remove")


async def require_managed(client: Client, name: str) -> None:
    """Raise NotFoundError for a name nobody has, InvalidError for a foreign agent."""
    await _require(client, name)


async def target(client: Client, name: str, replica: str | None = None) -> Target:
    """A replica that takes prompts: the named one, else the least busy.

    Raises NotFoundError when no agent has that name or replica, NoMeshError when no node
    answers, ConflictError when none of its replicas takes prompts now.
    """
    request = ResolveRequest(name=name)
    answer = await call(
        client.bus,
        subjects.AGENTS_RESOLVE,
        request,
        ResolveReply,
        deadline=_RESOLVE_DEADLINE_S,
    )
    for found in answer.targets:
        if replica is None or found.replica == replica:
            return found
    agents = replicas_of(await list_agents(client), name)
    if not agents:
        raise await _no_agent(client, name)
    if replica is not None and replica not in {agent.replica for agent in agents}:
        there = ", ".join(agent.replica for agent in agents)
        raise NotFoundError(f"{name} has no replica {replica}", hint=f"there are: {there}")
    worst = next((a for a in agents if not a.takes_prompts), agents[0])
    why = f": {worst.reason}" if worst.reason else ""
    raise ConflictError(
        f"{name} takes no prompts now, it is {worst.state}{why}",
        hint=f"`sparkplug agents describe {name}` and `sparkplug agents logs {name}` say more",
    )


def _specs(client: Client) -> Bucket:
    return Bucket(client.bus, subjects.BUCKET_SPECS)


async def _read(client: Client, name: str) -> tuple[DesiredAgent, int] | None:
    entry = await _specs(client).get(name)
    wanted = decode(DesiredAgent, entry) if entry else None
    return (wanted, entry.revision) if wanted and entry else None


async def _require(client: Client, name: str) -> tuple[DesiredAgent, int]:
    found = await _read(client, name)
    if found is None:
        agents = replicas_of(await list_agents(client), name)
        if any(agent.foreign for agent in agents):
            raise RefusedError(
                f"{name} is a foreign agent: it can be prompted, not managed from here",
                hint="whoever started it can stop it",
            )
        raise await _no_agent(client, name)
    return found


async def _create(client: Client, wanted: DesiredAgent) -> None:
    """Write a spec for the first time; after a removal the key's last revision is its marker."""
    name = wanted.spec.name
    try:
        await _specs(client).put(name, wanted, revision=0)
    except ConflictError:
        revision, removed = await _last_write(client, name)
        if not removed:
            raise ConflictError(
                f"the name {name} was taken by somebody else just now",
                hint=f"`sparkplug agents describe {name}` shows it",
            ) from None
        await _specs(client).put(name, wanted, revision=revision)


async def _last_write(client: Client, name: str) -> tuple[int, bool]:
    """The revision of the last write to a spec's key, and whether that write removed it."""
    last: tuple[int, bool] = (0, True)
    async with (
        within(READ_S, f"the spec of {name}"),
        contextlib.aclosing(_specs(client).watch(name)) as changes,
    ):
        async for change in changes:
            if change.entry is not None:
                last = (change.entry.revision, change.entry.value is None)
            elif not change.reset:
                break
    return last


async def _change(
    client: Client,
    name: str,
    what: str,
    change: Callable[[DesiredAgent], DesiredAgent | None],
) -> bool:
    """Change what is wanted, unless somebody else did first. False when nothing changes."""
    before, revision = await _require(client, name)
    after = change(before)
    if after is None:
        return False
    after = after.model_copy(
        update={"changed_by": client.actor, "changed": utc_now(), "reason": what}
    )
    await _specs(client).put(name, after, revision=revision)
    await client.emit("agent:changed", name, what=what, generation=after.generation)
    return True


async def _has_failed(client: Client, name: str) -> bool:
    """Whether a replica of ours is in error, and would stay so."""
    replicas = replicas_of(await list_agents(client), name)
    return any(a.state is AgentState.ERROR for a in replicas if not a.foreign)


def _differs(before: DesiredAgent, spec: AgentSpec, folder: Path) -> bool:
    return before.spec != spec or before.folder != str(folder)


def _taken(before: DesiredAgent) -> ConflictError:
    name = before.spec.name
    return ConflictError(
        f"the name {name} is taken by an agent with another spec",
        where=before.folder or None,
        hint=f"`sparkplug apply` replaces it; `sparkplug agents describe {name}` shows it",
    )


def _replaces_processes(before: DesiredAgent, after: DesiredAgent) -> bool:
    if before.folder != after.folder:
        return True
    old = before.spec.model_dump(exclude=set(_LIVE_FIELDS))
    return old != after.spec.model_dump(exclude=set(_LIVE_FIELDS))


async def _no_agent(client: Client, name: str) -> NotFoundError:
    names = {agent.name for agent in await list_agents(client)} | set(await desired(client))
    near = did_you_mean(name, names)
    return NotFoundError(
        f"no agent {name}{near}", hint="`sparkplug agents list` shows all there are"
    )
