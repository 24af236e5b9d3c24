"""Specs on the bus: read with their revision, changed by one at a time, the loser told how."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.client.deadline import READ_S, within
from sparkplug.client.observed import read_observed, read_observed_of
from sparkplug.client.session import Client
from sparkplug.schema.agent import DesiredAgent
from sparkplug.schema.agent_spec import LIVE_FIELDS, AgentSpec
from sparkplug.schema.agent_text import unified, wanted_text
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError, RefusedError
from sparkplug.schema.problems import did_you_mean

_MOST_REASON = 500


@dataclass(frozen=True, slots=True)
class Why:
    """What comes with a change: the reason somebody gave, and how long work in hand may take."""

    reason: str = ""
    drain: float | None = None
    all_at_once: bool = False

    def __post_init__(self) -> None:
        if len(self.reason) > _MOST_REASON:
            raise InvalidError(f"a reason is at most {_MOST_REASON} characters")


NO_REASON = Why()


def specs_of(client: Client) -> Bucket:
    """The bucket of specs."""
    return Bucket(client.bus, subjects.BUCKET_SPECS)


async def desired(client: Client) -> dict[str, DesiredAgent]:
    """What is wanted of every agent, by name."""
    async with within(READ_S, "the agents' specs"):
        return await specs_of(client).read_all(DesiredAgent)


async def read_all(client: Client) -> dict[str, tuple[DesiredAgent, int]]:
    """What is wanted of every agent, and its revision, by name."""
    async with within(READ_S, "the agents' specs"):
        entries = await specs_of(client).entries()
    decoded = ((entry, decode(DesiredAgent, entry)) for entry in entries)
    return {e.key: (wanted, e.revision) for e, wanted in decoded if wanted is not None}


async def read(client: Client, name: str) -> tuple[DesiredAgent, int] | None:
    """What is wanted of an agent, and its revision; None when nothing is."""
    entry = await specs_of(client).get(name)
    wanted = decode(DesiredAgent, entry) if entry else None
    return (wanted, entry.revision) if wanted and entry else None


async def require(client: Client, name: str) -> tuple[DesiredAgent, int]:
    """As `read`. Raises NotFoundError, and RefusedError for a foreign agent."""
    found = await read(client, name)
    if found is None:
        agents = (await read_observed_of(client.bus, name)).agents.values()
        if any(agent.foreign for agent in agents):
            raise RefusedError(
                f"{name} is a foreign agent: it can be prompted, not managed from here",
                hint="whoever started it can stop it",
            )
        raise await no_agent(client, name)
    return found


async def no_agent(client: Client, name: str) -> NotFoundError:
    """The error for a name that nobody has, with the nearest there is."""
    observed = await read_observed(client.bus)
    names = {agent.name for agent in observed.agents.values()} | set(await desired(client))
    near = did_you_mean(name, names)
    return NotFoundError(
        f"no agent {name}{near}", hint="`sparkplug agents list` shows all there are"
    )


async def create(client: Client, wanted: DesiredAgent) -> int:
    """Write a spec for the first time; after a removal the key's last revision is its marker."""
    name = wanted.spec.name
    try:
        return await specs_of(client).put(name, wanted, revision=0)
    except ConflictError:
        revision, removed = await _last_write(client, name)
        if not removed:
            raise ConflictError(
                f"the name {name} was taken by somebody else just now",
                hint=f"`sparkplug agents describe {name}` shows it",
            ) from None
        return await specs_of(client).put(name, wanted, revision=revision)


async def replace(client: Client, before: DesiredAgent, after: DesiredAgent, revision: int) -> int:
    """Write what is wanted now, if it is still what it was at `revision`; the new revision.

    Raises ConflictError that shows what somebody else made of it meanwhile.
    """
    name = before.spec.name
    try:
        return await specs_of(client).put(name, after, revision=revision)
    except ConflictError as error:
        raise await lost_race(client, name, before) from error


async def lost_race(client: Client, name: str, base: DesiredAgent) -> ConflictError:
    """What to tell somebody whose change came second: by whom, and how it differs now."""
    found = await read(client, name)
    if found is None:
        return ConflictError(
            f"{name} was removed by somebody else meanwhile",
            hint=f"`sparkplug agents undo {name}` brings it back",
        )
    now, revision = found
    what = f": {now.what or now.reason}" if now.what or now.reason else ""
    difference = unified(
        wanted_text(base), wanted_text(now), ("what you began from", f"what it is now ({revision})")
    )
    told = difference or "its text is the same as before; its processes are replaced"
    return ConflictError(
        f"{name} was changed by {now.changed_by or 'somebody else'} first{what}; "
        "nothing of yours was taken",
        where=f"revision {revision}",
        hint=f"look at it, and do it again:\n{told}",
    )


async def change(
    client: Client,
    name: str,
    what: str,
    make: Callable[[DesiredAgent], DesiredAgent | None],
    why: Why = NO_REASON,
) -> bool:
    """Change what is wanted, unless somebody else did first. False when nothing changes.

    `make` gives what is wanted next, or None; with another generation it succeeds the present
    one, which replicas run until their turn.
    """
    before, revision = await require(client, name)
    after = make(before)
    if after is None:
        return False
    after = signed(client, after, what, why)
    if after.generation != before.generation:
        after.succeed(before)
    await replace(client, before, after, revision)
    await tell(client, name, what, why, generation=after.generation)
    return True


def signed(client: Client, wanted: DesiredAgent, what: str, why: Why) -> DesiredAgent:
    """What is wanted, with who wants it so, since when and why."""
    return wanted.model_copy(
        update={
            "changed_by": client.actor,
            "changed": utc_now(),
            "what": what,
            "reason": why.reason or what,
            "drain": why.drain,
            "all_at_once": why.all_at_once,
        }
    )


def succeeding(
    client: Client,
    before: DesiredAgent,
    spec: AgentSpec,
    folder: str,
    what: str,
    why: Why,
    *,
    anew: bool = False,
) -> DesiredAgent:
    """What a file makes of an agent that is wanted already: another generation where it needs
    new processes, or where those that gave up are to be tried `anew`."""
    wanted = signed(client, DesiredAgent(spec=spec, folder=folder), what, why)
    wanted.generation, wanted.former = before.generation, before.former
    if anew or replaces_processes(before, wanted):
        wanted.succeed(before)
    return wanted


async def tell(client: Client, name: str, what: str, why: Why, **data: object) -> None:
    """Record the event of a change that was made."""
    given = {"reason": why.reason} if why.reason else {}
    await client.emit("agent:changed", name, what=what, **given, **data)


def replaces_processes(before: DesiredAgent, after: DesiredAgent) -> bool:
    """Whether the difference reaches replicas only through new processes."""
    if before.folder != after.folder:
        return True
    old = before.spec.model_dump(exclude=set(LIVE_FIELDS))
    return old != after.spec.model_dump(exclude=set(LIVE_FIELDS))


async def _last_write(client: Client, name: str) -> tuple[int, bool]:
    """The revision of the last write to a spec's key, and whether that write removed it."""
    last: tuple[int, bool] = (0, True)
    async with (
        within(READ_S, f"the spec of {name}"),
        contextlib.aclosing(specs_of(client).watch(name)) as changes,
    ):
        async for found in changes:
            if found.entry is not None:
                last = (found.entry.revision, found.entry.value is None)
            elif not found.reset:
                break
    return last
