"""Agents that a plan starts for itself and removes: desired state, as a deploy writes it."""

from __future__ import annotations

from typing import Any

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.schema.agent import DesiredAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError
from sparkplug.schema.problems import validate

#: The label by which an agent of a team is known.
TEAM_LABEL = "sparkplug.team"


async def change_team(
    bus: Bus,
    *,
    name: str,
    start: list[dict[str, Any]],
    override: dict[str, Any],
    remove: bool,
    actor: str,
) -> dict[str, Any]:
    """Start the agents of a team, or remove them: `{team, agents}`. Doing it again changes nothing.

    An agent in `start` is as in its file, or `{from: NAME, name: NEW}`: like one that is deployed.
    Raises InvalidError for one that does not hold, NotFoundError for an unknown `from`, and
    ConflictError when a name is taken by an agent that is not of this team; then none is started.
    """
    bucket = Bucket(bus, subjects.BUCKET_SPECS)
    wanted = await bucket.read_all(DesiredAgent)
    if remove:
        of_team = [k for k, v in wanted.items() if v.spec.labels.get(TEAM_LABEL) == name]
        for key in sorted(of_team):
            entry = await bucket.get(key)
            if entry is None:
                continue
            ending = wanted[key].model_copy(
                update={"run": False, "changed_by": actor, "what": "remove"}
            )
            await bucket.delete(key, revision=entry.revision, note=ending)
        return {"team": name, "agents": sorted(of_team)}
    if not isinstance(override, dict):
        raise InvalidError("what is laid over the agents is keys with values")
    made = [_agent(one, override, name, wanted, actor) for one in start]
    for agent in made:
        taken = wanted.get(agent.spec.name)
        if taken is not None and taken.spec.labels.get(TEAM_LABEL) != name:
            raise ConflictError(f"there is an agent {agent.spec.name} already, of no such team")
    for agent in made:
        if agent.spec.name not in wanted:
            await _create(bucket, agent)
    return {"team": name, "agents": [agent.spec.name for agent in made]}


def _agent(
    one: dict[str, Any],
    override: dict[str, Any],
    team: str,
    wanted: dict[str, DesiredAgent],
    actor: str,
) -> DesiredAgent:
    given = dict(one)
    origin = given.pop("from", None)
    base: dict[str, Any] = {}
    folder = ""
    if origin is not None:
        like = wanted.get(str(origin))
        if like is None:
            raise NotFoundError(f"no agent {origin}, to start another like it")
        base, folder = like.spec.model_dump(mode="json", exclude_defaults=True), like.folder
    merged = _laid_over(_laid_over(base, given), {k: v for k, v in override.items() if k != "name"})
    merged["labels"] = {**merged.get("labels", {}), TEAM_LABEL: team}
    spec = validate(AgentSpec, merged)
    if isinstance(spec, list):
        raise InvalidError(f"agent {merged.get('name', '?')} of the team: {spec[0].message}")
    return DesiredAgent(spec=spec, folder=folder, changed_by=actor, what="deploy", reason="a plan")


def _laid_over(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on `base`, key by key."""
    merged = dict(base)
    for key, value in over.items():
        under = merged.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[key] = {**under, **value}
        else:
            merged[key] = value
    return merged


async def _create(bucket: Bucket, agent: DesiredAgent) -> None:
    """Write it, also where an agent of its name was removed before."""
    history = await bucket.history(agent.spec.name)
    revision = history[-1].revision if history else 0
    await bucket.put(agent.spec.name, agent, revision=revision)
