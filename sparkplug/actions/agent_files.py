"""The actions that take agent files: deploying, applying, comparing."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument
from sparkplug.actions.agent_arguments import (
    FILES,
    NO_WAIT,
    READY_S,
    REASON,
    STOP_S,
    TIMEOUT,
    agent_files,
)
from sparkplug.schema.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from sparkplug.client.applying import Planned
    from sparkplug.client.session import Client
    from sparkplug.schema.agent_spec import AgentSpec
    from sparkplug.schema.errors import SparkplugError


async def _check_deploy(client: Client, path: str, **_: Any) -> None:
    from sparkplug.client import agents
    from sparkplug.schema.documents import load_agents

    await agents.refuse_taken(client, load_agents(agent_files(path)))


async def check_spec(client: Client, spec: AgentSpec, folder: str) -> str:
    """As the check of `agents.deploy`, of a spec that is in no file: modules are in `folder`.

    What it returns says where each replica would go, and why, as the placer answers it.
    """
    from sparkplug.client import agents, placement

    await agents.refuse_taken(client, [_in_folder(spec, folder)])
    return placement.preview_text(await placement.preview_deploy(client, [spec]))


async def deploy_spec(
    client: Client, spec: AgentSpec, folder: str, *, timeout: float = READY_S
) -> ActionResult:
    """As `agents.deploy`, of a spec that is in no file: modules are in `folder`."""
    return await _deploy_found(client, [_in_folder(spec, folder)], False, timeout, None)


def _in_folder(spec: AgentSpec, folder: str) -> tuple[Path, AgentSpec]:
    """The file that would have given the spec, and the spec as it would have."""
    from sparkplug.schema.documents import beside
    from sparkplug.schema.textfile import expanded

    file = expanded(folder) / f"{spec.name}.yaml"
    return file, beside(spec, file)


async def _deploy(
    client: Client,
    path: str,
    *,
    no_wait: bool = False,
    timeout: float = READY_S,
    reason: str | None = None,
) -> ActionResult:
    from sparkplug.schema.documents import load_agents

    return await _deploy_found(client, load_agents(agent_files(path)), no_wait, timeout, reason)


async def _deploy_found(
    client: Client,
    found: Sequence[tuple[Path, AgentSpec]],
    no_wait: bool,
    timeout: float,
    reason: str | None,
) -> ActionResult:
    from sparkplug.client import agents, readiness
    from sparkplug.schema.errors import DeadlineError, SparkplugError

    await agents.refuse_taken(client, found)
    why = agents.Why(reason or "")
    changed = [
        spec.name
        for file, spec in found
        if await agents.deploy(client, spec, file.resolve().parent, why=why)
    ]
    names = [spec.name for _, spec in found]
    if not no_wait:
        try:
            await readiness.wait_ready(client, names, timeout)
        except DeadlineError:
            raise  # they may still come up
        except SparkplugError as error:
            if not changed:
                raise
            raise await _taken_back(client, changed, error) from error
    how = "as wanted" if no_wait else "ready"
    done = f"{', '.join(names)}: {how}" if changed else f"{', '.join(names)}: nothing changed"
    return ActionResult(done, {"agents": names, "changed": changed}, changed=bool(changed))


async def _taken_back(
    client: Client, names: Sequence[str], error: SparkplugError
) -> SparkplugError:
    """Remove new agents of which one failed, so that nothing is half-done; the error to raise."""
    from sparkplug.client import agents, logs

    said = ""
    for name in names:
        said = said or await logs.last_words(client, name)
        with contextlib.suppress(NotFoundError):
            await agents.remove(client, name, agents.Why("it failed when it was deployed"))
    hint = "nothing was deployed" + (f"; its last words:\n{said}" if said else "")
    return type(error)(error.message, where=error.where, hint=hint)


async def _try_placing(client: Client, path: str, **_: Any) -> ActionResult:
    """Where the replicas would go, and why: the placer's own answer."""
    from sparkplug.client import placement
    from sparkplug.schema.documents import load_agents

    specs = [spec for _, spec in load_agents(agent_files(path))]
    found = await placement.preview_deploy(client, specs)
    return ActionResult(
        placement.preview_text(found), {"placement": placement.preview_data(found)}, changed=False
    )


async def _planned(
    client: Client, path: str, prune: bool, labels: Sequence[str], reason: str | None = None
) -> list[Planned]:
    from sparkplug.client import applying
    from sparkplug.client.agents import Why
    from sparkplug.schema.documents import load_agents

    if prune and not labels:
        raise InvalidError(
            "--prune needs -l label=value",
            hint="what carries the label and is in no file is removed; nothing else is touched",
        )
    if labels and not prune:
        raise InvalidError("-l goes with --prune", hint="it says what --prune may remove")
    found = load_agents(agent_files(path))
    return await applying.plan(client, found, prune=labels, why=Why(reason or ""))


async def _check_apply(
    client: Client, path: str, *, prune: bool = False, labels: Sequence[str] = (), **_: Any
) -> str:
    lines = []
    for one in await _planned(client, path, prune, labels):
        lines.append(f"{one.name}: would be {one.outcome}")
        if one.outcome == "changed" and one.difference:
            lines.append(one.difference)
    return "\n".join(lines)


async def _confirm_apply(
    client: Client, path: str, *, prune: bool = False, labels: Sequence[str] = (), **_: Any
) -> str | None:
    """Only what ends something is asked about."""
    if not prune:
        return None
    planned = await _planned(client, path, prune, labels)
    gone = [one.name for one in planned if one.outcome == "removed"]
    return f"would remove {', '.join(gone)}: no file of {path} has them" if gone else None


async def _apply(
    client: Client,
    path: str,
    *,
    prune: bool = False,
    labels: Sequence[str] = (),
    no_wait: bool = False,
    timeout: float = READY_S,
    reason: str | None = None,
) -> ActionResult:
    from sparkplug.client import applying, readiness
    from sparkplug.client.agents import Why

    planned = await _planned(client, path, prune, labels, reason)
    await applying.apply(client, planned, Why(reason or ""))
    kept = [one.name for one in planned if one.outcome != "removed"]
    if not no_wait:
        errors = await readiness.settle(client, kept, timeout)
        for one in planned:
            if one.outcome == "removed":
                await readiness.wait_stopped(client, one.name, max(timeout, STOP_S))
        if errors:
            raise _some_failed(errors, len(kept))
    changed = [one.name for one in planned if one.outcome not in ("unchanged", "removed")]
    removed = [one.name for one in planned if one.outcome == "removed"]
    data = {
        "agents": kept,
        "changed": changed,
        "removed": removed,
        "outcomes": {one.name: one.outcome for one in planned},
    }
    text = "\n".join(f"{one.name}: {one.outcome}" for one in planned)
    return ActionResult(text, data, changed=bool(changed or removed))


def _some_failed(errors: Sequence[str], count: int) -> SparkplugError:
    """What of the applied is not well; all of it is as the files say, and stays."""
    from sparkplug.schema.errors import SparkplugError

    rest = count - len(errors)
    well = f"the other {rest} are ready; " if rest else ""
    agent = errors[0].partition("/")[0]
    return SparkplugError(
        "; ".join(errors), hint=f"applied, {well}`sparkplug agents logs {agent}` shows what it said"
    )


def _is_path(what: str) -> bool:
    return Path(what).exists()


async def _diff(client: Client, what: str, *, revision: int | None = None) -> ActionResult:
    from sparkplug.client import editing
    from sparkplug.client.agents import desired

    if revision is not None:
        text = await editing.diff_revision(client, what, revision)
    elif _is_path(what) or what not in await desired(client):
        text = await editing.diff_files(client, agent_files(what))
    else:
        text = await editing.diff_agent(client, what)
    message = f"{what} differs from what is wanted" if text else f"{what} is as wanted"
    return ActionResult(
        message,
        {"differs": bool(text), "diff": text},
        changed=False,
        text=text,
        exit_code=1 if text else 0,
    )


DEPLOY = Action(
    id="agents.deploy",
    title="Deploy agent",
    help="run new agents from a file or folder; a taken name is refused",
    verb=("agents", "deploy"),
    key="D",
    arguments=(FILES, NO_WAIT, TIMEOUT, REASON),
    check=_check_deploy,
    trial=_try_placing,
    run=_deploy,
    preview=lambda path, **_: f"would deploy what {path} describes",
)

APPLY = Action(
    id="agents.apply",
    title="Apply agent files",
    help="make the agents of a file or folder be as it says",
    verb=("apply",),
    arguments=(
        FILES,
        Argument(
            "prune", "switch", "remove agents with the label that no file has", flag="--prune"
        ),
        Argument(
            "labels",
            "pairs",
            "what --prune may remove, label=value",
            flag="--label",
            short="-l",
            repeated=True,
        ),
        NO_WAIT,
        TIMEOUT,
        REASON,
    ),
    check=_check_apply,
    trial=_try_placing,
    confirm=_confirm_apply,
    run=_apply,
    preview=lambda path, **_: f"would make agents be as {path} says",
)

DIFF = Action(
    id="agents.diff",
    title="Diff agent",
    help="how a file, or the file of an agent, differs from what is wanted; exit 1 when it does",
    verb=("agents", "diff"),
    target="agent",
    arguments=(
        Argument("what", "agent", "agent, agent file or folder", required=True),
        Argument("revision", "integer", "compare with this revision", flag="--revision"),
    ),
    writes=False,
    run=_diff,
    preview=lambda what, **_: f"would show how {what} differs from what is wanted",
)
