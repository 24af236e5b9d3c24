"""Editing a spec as text: read it, check what was made of it, show the difference, apply it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from sparkplug.client.agents import require_managed
from sparkplug.client.session import Client
from sparkplug.client.spec_history import history
from sparkplug.client.specs import (
    NO_REASON,
    Why,
    desired,
    lost_race,
    replace,
    replaces_processes,
    require,
    signed,
    tell,
)
from sparkplug.schema.agent import DesiredAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.agent_text import (
    agent_text,
    read_agent_text,
    refuse_other_name,
    unified,
    wanted_text,
)
from sparkplug.schema.documents import load_agents
from sparkplug.schema.errors import NotFoundError, SparkplugError


async def spec_text(client: Client, name: str) -> tuple[str, int]:
    """An agent's spec as YAML, and the revision it has: give both back to `apply_text`."""
    wanted, revision = await require(client, name)
    return agent_text(wanted.spec), revision


def check_text(text: str, name: str = "<text>") -> AgentSpec:
    """The spec in an edited text; `name` stands for its file in errors.

    Raises InvalidError that lists every problem with line and column.
    """
    return read_agent_text(text, name)


async def text_diff(client: Client, name: str, text: str) -> str:
    """What an edited text would change, as a unified diff; empty: nothing."""
    spec = check_text(text)
    refuse_other_name(spec, name)
    wanted, revision = await require(client, name)
    return unified(agent_text(wanted.spec), agent_text(spec), (f"{name} ({revision})", "edited"))


async def apply_text(
    client: Client, name: str, text: str, revision: int, why: Why = NO_REASON
) -> bool:
    """Want the agent to be as an edited text says, which began from `revision`.

    False when nothing differs. Raises InvalidError, and ConflictError that shows the difference
    when somebody else changed the agent since that revision.
    """
    spec = check_text(text)
    refuse_other_name(spec, name)
    before, current = await require(client, name)
    if current != revision:
        raise await lost_race(client, name, await _at(client, name, revision) or before)
    if spec == before.spec:
        return False
    after = signed(client, before.model_copy(update={"spec": spec}), "edit", why)
    if replaces_processes(before, after):
        after.succeed(before)
    await replace(client, before, after, revision)
    await tell(client, name, "edit", why, generation=after.generation)
    return True


async def diff_files(client: Client, path: Path) -> str:
    """How the agents of a file or folder differ from what is wanted; empty: not at all.

    Raises as `load_agents` does.
    """
    there = await desired(client)
    found = [
        unified(
            wanted_text(there.get(spec.name)),
            wanted_text(_as_file(spec, file)),
            (f"{spec.name} as wanted", str(file)),
        )
        for file, spec in load_agents(path)
    ]
    return "\n".join(text for text in found if text)


async def diff_agent(client: Client, name: str) -> str:
    """How the file an agent came from differs from what is wanted; empty: not at all.

    Raises NotFoundError when no file of its folder describes it any more.
    """
    await require_managed(client, name)
    wanted = (await desired(client))[name]
    for file, spec in await asyncio.to_thread(_files_of, wanted.folder):
        if spec.name == name:
            names = f"{name} as wanted", str(file)
            return unified(wanted_text(wanted), wanted_text(_as_file(spec, file)), names)
    raise NotFoundError(
        f"no file in {wanted.folder or 'its folder'} describes {name}",
        hint=f"name the file, or `sparkplug agents history {name}` shows its revisions",
    )


async def diff_revision(client: Client, name: str, revision: int) -> str:
    """How what is wanted of an agent differs from an earlier revision of it."""
    earlier = await _at(client, name, revision)
    if earlier is None:
        raise NotFoundError(
            f"{name} has no revision {revision}",
            hint=f"`sparkplug agents history {name}` shows those there are",
        )
    now = (await desired(client)).get(name)
    names = f"{name} at revision {revision}", f"{name} as wanted"
    return unified(wanted_text(earlier), wanted_text(now), names)


async def _at(client: Client, name: str, revision: int) -> DesiredAgent | None:
    kept = await history(client, name)
    return next((one.desired for one in kept if one.revision == revision), None)


def _files_of(folder: str) -> list[tuple[Path, AgentSpec]]:
    """The agents of a folder's files; files that are something else are left out."""
    found = []
    for file in sorted(Path(folder).glob("*.y*ml")) if folder else []:
        with contextlib.suppress(SparkplugError):
            found += load_agents(file)
    return found


def _as_file(spec: AgentSpec, file: Path) -> DesiredAgent:
    """What applying a file would have wanted: it also starts what was stopped."""
    return DesiredAgent(spec=spec, folder=str(file.resolve().parent))
