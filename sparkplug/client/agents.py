"""Agents: what is wanted of them, how they are, and changing what is wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from sparkplug.bus import subjects
from sparkplug.bus.service import call
from sparkplug.client.observed import merge_agents, read_observed, read_observed_of, replicas_of
from sparkplug.client.placement import read_scaled
from sparkplug.client.session import Client
from sparkplug.client.specs import (
    NO_REASON,
    Why,
    change,
    create,
    desired,
    lost_race,
    no_agent,
    read,
    require,
    signed,
    specs_of,
    succeeding,
    tell,
)
from sparkplug.client.specs import (
    replace as write,
)
from sparkplug.schema.agent import (
    AgentState,
    DesiredAgent,
    ObservedAgent,
    ResolveReply,
    ResolveRequest,
    ScaledAgent,
    Target,
)
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.base import Record
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError, RefusedError

__all__ = ["NO_REASON", "AgentDescription", "Why", "desired"]

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


async def replicas(client: Client, name: str) -> list[ObservedAgent]:
    """The replicas of one agent, as `list_agents` has them."""
    found = await read(client, name)
    return await _shown(client, name, found[0] if found else None)


async def _shown(client: Client, name: str, wanted: DesiredAgent | None) -> list[ObservedAgent]:
    observed = await read_observed_of(client.bus, name)
    return replicas_of(merge_agents(observed, {name: wanted} if wanted else {}), name)


async def describe(client: Client, name: str) -> AgentDescription:
    """One agent: its spec, and how each replica is. Raises NotFoundError."""
    found = await read(client, name)
    wanted, revision = found or (None, None)
    there = await _shown(client, name, wanted)
    if wanted is None and not there:
        raise await no_agent(client, name)
    if wanted is not None:
        spec = wanted.spec.model_copy(update={"env": without_secrets(wanted.spec.env)})
        wanted = wanted.model_copy(update={"spec": spec})
    recovery = {a.replica: [one.value for one in a.recovery] for a in there if a.recovery}
    scaled = await read_scaled(client, name) if wanted and wanted.spec.scale else None
    return AgentDescription(
        name=name,
        desired=wanted,
        revision=revision,
        replicas=there,
        recovery=recovery,
        scaled=scaled,
    )


async def deploy(
    client: Client,
    spec: AgentSpec,
    folder: Path,
    *,
    replace: bool = False,
    why: Why = NO_REASON,
) -> bool:
    """Want this agent to run; `folder` is where its modules are found.

    One whose replicas gave up is tried anew; False when nothing had to change. Raises
    ConflictError when another spec has the name and `replace` is not given.
    """
    found = await read(client, spec.name)
    if found is None:
        fresh = DesiredAgent(spec=spec, folder=str(folder))
        await create(client, signed(client, fresh, "deploy", why))
        await tell(client, spec.name, "deploy", why, replicas=spec.replicas)
        return True
    before, revision = found
    failed = await _has_failed(client, spec.name)
    differs = _differs(before, spec, folder)
    if before.run and not differs and not failed:
        return False
    if differs and not replace:
        raise _taken(before)
    what = "replace" if differs else "start"
    wanted = succeeding(client, before, spec, str(folder), what, why, anew=failed)
    await write(client, before, wanted, revision)
    await tell(client, spec.name, wanted.what, why, replicas=spec.replicas)
    return True


async def refuse_taken(client: Client, found: Sequence[tuple[Path, AgentSpec]]) -> None:
    """Raise ConflictError when one of these (file, spec) has a name that another spec has."""
    there = await desired(client)
    for file, spec in found:
        before = there.get(spec.name)
        if before is not None and _differs(before, spec, file.resolve().parent):
            raise _taken(before)


async def start(client: Client, name: str, why: Why = NO_REASON) -> bool:
    """Want the agent to run. One whose replicas gave up is tried anew. False: it runs already."""
    failed = await _has_failed(client, name)

    def make(wanted: DesiredAgent) -> DesiredAgent | None:
        if wanted.run and not failed:
            return None
        generation = wanted.generation + (1 if failed else 0)
        return wanted.model_copy(update={"run": True, "generation": generation})

    return await change(client, name, "start", make, why)


async def stop(client: Client, name: str, why: Why = NO_REASON) -> bool:
    """Want the agent not to run; its spec stays. False when it is stopped already.

    Asked again with another `why.drain`, what still finishes its work is given that long.
    """

    def make(wanted: DesiredAgent) -> DesiredAgent | None:
        if not wanted.run and (why.drain is None or why.drain == wanted.drain):
            return None
        return wanted.model_copy(update={"run": False})

    return await change(client, name, "stop", make, why)


async def restart(client: Client, name: str, why: Why = NO_REASON) -> bool:
    """Want the agent's processes replaced, one after the other as its `rollout` says."""

    def make(wanted: DesiredAgent) -> DesiredAgent | None:
        return wanted.model_copy(update={"run": True, "generation": wanted.generation + 1})

    return await change(client, name, "restart", make, why)


async def scale(client: Client, name: str, replicas: int, why: Why = NO_REASON) -> bool:
    """Want that many replicas. False when that many are wanted already."""
    most = 1000
    if not 0 <= replicas <= most:
        raise InvalidError(f"an agent has 0 to {most} replicas, not {replicas}")

    def make(wanted: DesiredAgent) -> DesiredAgent | None:
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

    return await change(client, name, f"scale to {replicas}", make, why)


async def remove(client: Client, name: str, why: Why = NO_REASON) -> None:
    """Forget the agent: its processes end, its spec is gone but for its history.

    Raises NotFoundError.
    """
    before, revision = await require(client, name)
    ending = signed(client, before.model_copy(update={"run": False}), "remove", why)
    if why.drain is not None:
        # Only a record that is there can tell the node how long work in hand may take.
        revision = await write(client, before, ending, revision)
    try:
        await specs_of(client).delete(name, revision=revision, note=ending)
    except ConflictError as error:
        raise await lost_race(client, name, before) from error
    await tell(client, name, "remove", why)


async def require_managed(client: Client, name: str) -> None:
    """Raise NotFoundError for a name nobody has, RefusedError for a foreign agent."""
    await require(client, name)


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
    agents = await replicas(client, name)
    for agent in agents:
        # Written down a moment ago, so that the directory has yet to hear of it.
        if agent.takes_prompts and agent.subject and replica in (None, agent.replica):
            return Target.of(agent)
    if not agents:
        raise await no_agent(client, name)
    if replica is not None and replica not in {agent.replica for agent in agents}:
        there = ", ".join(agent.replica for agent in agents)
        raise NotFoundError(f"{name} has no replica {replica}", hint=f"there are: {there}")
    worst = next((a for a in agents if not a.takes_prompts), agents[0])
    why = f": {worst.reason}" if worst.reason else ""
    raise ConflictError(
        f"{name} takes no prompts now, it is {worst.state}{why}",
        hint=f"`sparkplug agents describe {name}` and `sparkplug agents logs {name}` say more",
    )


async def _has_failed(client: Client, name: str) -> bool:
    """Whether a replica of ours is in error, and would stay so."""
    there = await replicas(client, name)
    return any(a.state is AgentState.ERROR for a in there if not a.foreign)


def _differs(before: DesiredAgent, spec: AgentSpec, folder: Path) -> bool:
    return before.spec != spec or before.folder != str(folder)


def _taken(before: DesiredAgent) -> ConflictError:
    name = before.spec.name
    return ConflictError(
        f"the name {name} is taken by an agent with another spec",
        where=before.folder or None,
        hint=f"`sparkplug apply` replaces it; `sparkplug agents describe {name}` shows it",
    )
