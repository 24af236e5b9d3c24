"""Applying agent files: what would become of each agent, then all of it or nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sparkplug.client.observed import read_observed
from sparkplug.client.session import Client
from sparkplug.client.specs import (
    NO_REASON,
    Why,
    create,
    lost_race,
    read_all,
    replace,
    signed,
    specs_of,
    succeeding,
    tell,
)
from sparkplug.schema.agent import AgentState, DesiredAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.agent_text import unified, wanted_text
from sparkplug.schema.errors import ConflictError, InvalidError, SparkplugError

log = logging.getLogger(__name__)

Outcome = Literal["created", "changed", "unchanged", "removed"]


@dataclass(frozen=True, slots=True)
class Planned:
    """What applying makes of one agent. `revision` is the one it began from; 0: none."""

    name: str
    outcome: Outcome
    before: DesiredAgent | None
    after: DesiredAgent | None
    revision: int
    where: str = ""

    @property
    def difference(self) -> str:
        """The unified diff of what is wanted; empty where nothing of the text differs."""
        if self.outcome == "removed":
            return ""
        names = f"{self.name} as wanted", self.where or self.name
        return unified(wanted_text(self.before), wanted_text(self.after), names)


async def plan(
    client: Client,
    found: Sequence[tuple[Path, AgentSpec]],
    *,
    prune: Sequence[str] = (),
    why: Why = NO_REASON,
) -> list[Planned]:
    """What making agents be as these (file, spec) say would do, changing nothing.

    With `prune` (key=value, all of them) agents with those labels that are in no file go.
    """
    there = await read_all(client)
    observed = await read_observed(client.bus)
    failed = {
        agent.name
        for agent in observed.agents.values()
        if agent.state is AgentState.ERROR and not agent.foreign
    }
    planned = [
        _plan_one(client, file, spec, there.get(spec.name), spec.name in failed, why)
        for file, spec in found
    ]
    names = {spec.name for _, spec in found}
    if prune:
        wanted = _labels(prune)
        planned += [
            Planned(name, "removed", before, None, revision)
            for name, (before, revision) in sorted(there.items())
            if name not in names and wanted.items() <= before.spec.labels.items()
        ]
    return planned


def _plan_one(
    client: Client,
    file: Path,
    spec: AgentSpec,
    there: tuple[DesiredAgent, int] | None,
    failed: bool,
    why: Why,
) -> Planned:
    folder = str(file.resolve().parent)
    if there is None:
        wanted = signed(client, DesiredAgent(spec=spec, folder=folder), "apply", why)
        return Planned(spec.name, "created", None, wanted, 0, str(file))
    before, revision = there
    if before.run and not failed and before.spec == spec and before.folder == folder:
        return Planned(spec.name, "unchanged", before, before, revision, str(file))
    wanted = succeeding(client, before, spec, folder, "apply", why, anew=failed)
    return Planned(spec.name, "changed", before, wanted, revision, str(file))


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise InvalidError(
                f"{pair!r} is no label=value", hint="--prune -l team=research removes by a label"
            )
        labels[key] = value
    return labels


async def apply(client: Client, planned: Sequence[Planned], why: Why = NO_REASON) -> None:
    """Do what was planned: all of it, or nothing.

    When somebody else changed one of the agents since, what was written is put back, and the
    ConflictError says so and shows the difference.
    """
    done: list[tuple[Planned, int]] = []
    for one in planned:
        if one.outcome == "unchanged":
            continue
        try:
            done.append((one, await _write(client, one, why)))
        except SparkplugError as error:
            left = await _put_back(client, done)
            told = f"; not put back: {', '.join(left)}" if left else ""
            raise type(error)(
                f"nothing was applied{told}: {error.message}", where=error.where, hint=error.hint
            ) from error
    for one, _ in done:
        what = "remove" if one.outcome == "removed" else "apply"
        await tell(client, one.name, what, why, outcome=one.outcome)


async def _write(client: Client, one: Planned, why: Why) -> int:
    if one.before is None:
        assert one.after is not None
        return await create(client, one.after)
    if one.after is not None:
        return await replace(client, one.before, one.after, one.revision)
    ending = signed(client, one.before.model_copy(update={"run": False}), "remove", why)
    try:
        return await specs_of(client).delete(one.name, revision=one.revision, note=ending)
    except ConflictError as error:
        raise await lost_race(client, one.name, one.before) from error


async def _put_back(client: Client, done: Sequence[tuple[Planned, int]]) -> list[str]:
    """Take back what was written; the names of those for which that was not possible."""
    left = []
    why = Why(reason="another agent of the same files could not be applied")
    for one, revision in reversed(done):
        try:
            if one.before is None:
                await specs_of(client).delete(one.name, revision=revision)
                continue
            back = signed(client, one.before, "put back", why)
            if one.after is not None and one.after.generation != one.before.generation:
                back.succeed(one.after)
            await specs_of(client).put(one.name, back, revision=revision)
        except SparkplugError as error:
            log.warning("%s was not put back: %s", one.name, error)
            left.append(one.name)
    return left
