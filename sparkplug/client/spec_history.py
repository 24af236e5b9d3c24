"""The history of a spec: who changed what, when and why, and going back to an earlier one."""

from __future__ import annotations

import logging
from datetime import datetime

from pydantic import Field, ValidationError

from sparkplug.client.deadline import READ_S, within
from sparkplug.client.session import Client
from sparkplug.client.specs import (
    NO_REASON,
    Why,
    create,
    no_agent,
    read,
    replace,
    replaces_processes,
    require,
    signed,
    specs_of,
    tell,
)
from sparkplug.schema.agent import DesiredAgent
from sparkplug.schema.agent_text import unified, wanted_text
from sparkplug.schema.base import Record
from sparkplug.schema.errors import ConflictError, NotFoundError

log = logging.getLogger(__name__)


class SpecRevision(Record):
    """One revision of what was wanted of an agent."""

    revision: int
    removal: bool = False
    changed: datetime | None = None
    changed_by: str = ""
    what: str = ""
    reason: str = Field("", description="why, where somebody said so")
    changes: list[str] = Field(
        default_factory=list, description="the lines that came and went since the one before"
    )
    desired: DesiredAgent | None = Field(None, description="None: it was removed")


async def history(client: Client, name: str) -> list[SpecRevision]:
    """The revisions of an agent that are kept, the newest first; a removed one's too.

    Raises NotFoundError for a name that never was, RefusedError for a foreign agent.
    """
    async with within(READ_S, f"the history of {name}"):
        kept = await specs_of(client).history(name)
    found: list[SpecRevision] = []
    before: DesiredAgent | None = None
    for number, one in enumerate(kept):
        wanted: DesiredAgent | None = None
        try:
            wanted = DesiredAgent.model_validate_json(one.data) if one.data else None
        except ValidationError as error:
            log.warning("revision %d of %s does not hold: %s", one.revision, name, error)
        now = None if one.removal else wanted
        revision = SpecRevision(revision=one.revision, removal=one.removal, desired=now)
        if wanted is not None:
            revision.changed, revision.changed_by = wanted.changed, wanted.changed_by
            revision.what = wanted.what or wanted.reason
            revision.reason = wanted.reason if wanted.reason != revision.what else ""
        elif one.removal:
            revision.what = "remove"
        if number and not one.removal and before is not None:
            revision.changes = _changes(before, now)
        found.append(revision)
        before = now if now is not None else before
    if not found:
        await require(client, name)
        raise await no_agent(client, name)
    return found[::-1]


async def find_revision(client: Client, name: str, to: int | None) -> SpecRevision:
    """The revision that `undo` would bring back: the one asked for, else the last that differs.

    Raises NotFoundError when it is not kept or nothing was different before, and ConflictError
    when it is what is wanted already.
    """
    kept = await history(client, name)
    current = kept[0].desired
    hint = f"`sparkplug agents history {name}` shows those there are"
    if to is not None:
        chosen = next((one for one in kept if one.revision == to), None)
        if chosen is None:
            raise NotFoundError(f"{name} has no revision {to}", hint=hint)
        if chosen.desired is None:
            raise NotFoundError(f"revision {to} of {name} is its removal", hint=hint)
        if _same(chosen.desired, current):
            raise ConflictError(f"revision {to} is what is wanted of {name} already", hint=hint)
        return chosen
    for one in kept[1:]:
        ending = current is None and one.what == "remove"
        if one.desired is not None and not ending and not _same(one.desired, current):
            return one
    raise NotFoundError(f"nothing else was wanted of {name} before", hint=hint)


async def undo_diff(client: Client, name: str, to: int | None = None) -> str:
    """What `undo` would change, as a unified diff. Raises as `find_revision` does."""
    chosen = await find_revision(client, name, to)
    found = await read(client, name)
    now, revision = found or (None, "removed")
    names = f"{name} now ({revision})", f"{name} at revision {chosen.revision}"
    return unified(wanted_text(now), wanted_text(chosen.desired), names)


async def undo(
    client: Client, name: str, to: int | None = None, why: Why = NO_REASON
) -> SpecRevision:
    """Want again what was wanted at an earlier revision; that revision.

    A removed agent is deployed again. Raises as `find_revision` does, and ConflictError when
    somebody else changes the agent at the same time.
    """
    chosen = await find_revision(client, name, to)
    assert chosen.desired is not None
    what = f"undo to {chosen.revision}"
    found = await read(client, name)
    former = chosen.desired
    if found is None:
        wanted = signed(client, former.model_copy(update={"former": []}), what, why)
        wanted.generation += 1
        await create(client, wanted)
    else:
        before, revision = found
        update = {"generation": before.generation, "former": before.former}
        wanted = signed(client, former.model_copy(update=update), what, why)
        if replaces_processes(before, wanted):
            wanted.succeed(before)
        await replace(client, before, wanted, revision)
    await tell(client, name, what, why, generation=wanted.generation)
    return chosen


def _same(one: DesiredAgent, other: DesiredAgent | None) -> bool:
    return other is not None and wanted_text(one) == wanted_text(other)


def _changes(before: DesiredAgent, after: DesiredAgent | None) -> list[str]:
    lines = unified(wanted_text(before), wanted_text(after), ("", "")).splitlines()[2:]
    return [line for line in lines if line[:1] in "+-"]
