"""Actions on agents."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject
from sparkplug.schema.errors import NotFoundError
from sparkplug.shipped import shipped

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.errors import SparkplugError

_READY_S = 30.0
_STOP_S = 15.0
_PROMPT_S = 600.0
#: The states in which an agent takes no prompt (`schema.agent.SERVING` has the others).
_SILENT = frozenset(
    {"deploying", "starting", "waiting-gpu", "stopping", "stopped", "error", "stale"}
)

_AGENT = Argument("agent", "agent", "name of the agent", required=True)
_NO_WAIT = Argument("no_wait", "switch", "do not wait until it is so", flag="--no-wait")
_TIMEOUT = Argument(
    "timeout", "seconds", "longest wait, like 30s", default=_READY_S, flag="--timeout"
)


async def _deploy_files(
    client: Client, path: str, *, replace: bool, no_wait: bool, timeout: float
) -> ActionResult:
    from sparkplug.client import agents, readiness
    from sparkplug.schema.documents import load_agents
    from sparkplug.schema.errors import DeadlineError, SparkplugError

    found = load_agents(_agent_files(path))
    if not replace:
        await agents.refuse_taken(client, found)
    changed = [
        spec.name
        for file, spec in found
        if await agents.deploy(client, spec, file.resolve().parent, replace=replace)
    ]
    names = [spec.name for _, spec in found]
    if not no_wait:
        try:
            await readiness.wait_ready(client, names, timeout)
        except DeadlineError:
            raise  # they may still come up
        except SparkplugError as error:
            if replace or not changed:
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
            await agents.remove(client, name)
    hint = "nothing was deployed" + (f"; its last words:\n{said}" if said else "")
    return type(error)(error.message, where=error.where, hint=hint)


async def _check_managed(client: Client, agent: str, **_: Any) -> None:
    from sparkplug.client import agents

    await agents.require_managed(client, agent)


async def _check_prompt(client: Client, agent: str, **given: Any) -> None:
    from sparkplug.client import agents

    await agents.target(client, agent, given.get("replica"))


def _agent_files(path: str) -> Path:
    """The file or folder of that name; else the agent of that name that is shipped."""
    named = Path(path)
    if not named.exists() and named.name == path:
        shipped_file = shipped("config") / "agents" / f"{path}.yaml"
        if shipped_file.exists():
            return shipped_file
    return named


async def _check_deploy(client: Client, path: str, **_: Any) -> None:
    from sparkplug.client import agents
    from sparkplug.schema.documents import load_agents

    await agents.refuse_taken(client, load_agents(_agent_files(path)))


async def _try_deploy(client: Client, path: str, **_: Any) -> ActionResult:
    """Where the replicas would go, and why: the placer's own answer."""
    from sparkplug.client import placement
    from sparkplug.schema.documents import load_agents

    specs = [spec for _, spec in load_agents(_agent_files(path))]
    found = await placement.preview_deploy(client, specs)
    return ActionResult(
        placement.preview_text(found), {"placement": placement.preview_data(found)}, changed=False
    )


async def _check_apply(client: Client, path: str, **_: Any) -> None:
    from sparkplug.schema.documents import load_agents

    load_agents(_agent_files(path))


async def _deploy(
    client: Client, path: str, *, no_wait: bool = False, timeout: float = _READY_S
) -> ActionResult:
    return await _deploy_files(client, path, replace=False, no_wait=no_wait, timeout=timeout)


async def _apply(
    client: Client, path: str, *, no_wait: bool = False, timeout: float = _READY_S
) -> ActionResult:
    return await _deploy_files(client, path, replace=True, no_wait=no_wait, timeout=timeout)


async def _ready_result(
    client: Client, agent: str, what: str, changed: bool, no_wait: bool, timeout: float
) -> ActionResult:
    """Wait for an agent that was told to run, unless told not to."""
    from sparkplug.client import readiness

    if not no_wait:
        await readiness.wait_ready(client, [agent], timeout)
    text = f"{agent}: {what}" if changed else f"{agent}: nothing changed"
    return ActionResult(text, {"agent": agent, "changed": changed}, changed=changed)


async def _start(
    client: Client, agent: str, *, no_wait: bool = False, timeout: float = _READY_S
) -> ActionResult:
    from sparkplug.client import agents

    changed = await agents.start(client, agent)
    return await _ready_result(client, agent, "started", changed, no_wait, timeout)


async def _restart(
    client: Client, agent: str, *, no_wait: bool = False, timeout: float = _READY_S
) -> ActionResult:
    from sparkplug.client import agents

    changed = await agents.restart(client, agent)
    return await _ready_result(client, agent, "restarted", changed, no_wait, timeout)


async def _scale(
    client: Client,
    agent: str,
    replicas: int,
    *,
    no_wait: bool = False,
    timeout: float = _READY_S,
) -> ActionResult:
    from sparkplug.client import agents

    changed = await agents.scale(client, agent, replicas)
    what = f"scaled to {replicas}"
    wanted = (await agents.desired(client)).get(agent)
    running = wanted is not None and wanted.run
    return await _ready_result(client, agent, what, changed, no_wait or not running, timeout)


async def _stop(
    client: Client, agent: str, *, no_wait: bool = False, timeout: float = _STOP_S
) -> ActionResult:
    from sparkplug.client import agents, readiness

    changed = await agents.stop(client, agent)
    if not no_wait:
        await readiness.wait_stopped(client, agent, timeout)
    text = f"{agent}: stopped" if changed else f"{agent}: nothing changed"
    return ActionResult(text, {"agent": agent, "changed": changed}, changed=changed)


async def _remove(
    client: Client, agent: str, *, no_wait: bool = False, timeout: float = _STOP_S
) -> ActionResult:
    from sparkplug.client import agents, readiness

    await agents.remove(client, agent)
    if not no_wait:
        await readiness.wait_stopped(client, agent, timeout)
    return ActionResult(f"{agent}: removed", {"agent": agent, "changed": True})


async def _prompt(
    client: Client,
    agent: str,
    text: str,
    *,
    files: Sequence[str] = (),
    action: str | None = None,
    inputs: Sequence[str] = (),
    replica: str | None = None,
    timeout: float = _PROMPT_S,
) -> ActionResult:
    from sparkplug.client import agents, prompts
    from sparkplug.client.plan_files import parse_inputs
    from sparkplug.schema.errors import InvalidError

    values: dict[str, Any] = parse_inputs(inputs)
    if values and action is None:
        raise InvalidError("--input goes with --action", hint="a plain prompt is only text")
    target = await agents.target(client, agent, replica)
    chunks = prompts.prompt(
        client,
        target,
        text,
        action=action,
        input=values,
        files=[Path(file) for file in files],
        deadline=timeout,
    )
    data = {"agent": target.name, "replica": target.replica}
    return ActionResult(f"{target.name}/{target.replica} answers", data, chunks=chunks)


def _managed(subject: Subject | None) -> str | None:
    """Why an agent cannot be managed."""
    if subject is None or subject.kind != "agent":
        return "select an agent"
    agent: ObservedAgent | None = subject.value
    if agent is not None and agent.foreign:
        return "a foreign agent can be prompted, not managed"
    return None


def _can_start(subject: Subject | None) -> str | None:
    why = _managed(subject)
    if why or subject is None or subject.value is None:
        return why
    return None if subject.value.state in ("stopped", "error") else "it runs already"


def _can_stop(subject: Subject | None) -> str | None:
    why = _managed(subject)
    if why or subject is None or subject.value is None:
        return why
    return "it is stopped already" if subject.value.state == "stopped" else None


def _can_prompt(subject: Subject | None) -> str | None:
    if subject is None or subject.kind != "agent":
        return "select an agent"
    agent: ObservedAgent | None = subject.value
    if agent is not None and str(agent.state) in _SILENT:
        return f"it takes no prompts, it is {agent.state}"
    if agent is not None and not agent.accepting:
        return f"it takes no prompts: {agent.reason}"
    return None


_PATH = Argument(
    "path", "path", "agent file, a folder of them, or the name of a shipped agent", required=True
)

AGENT_ACTIONS: tuple[Action, ...] = (
    Action(
        id="agents.prompt",
        title="Prompt agent",
        help="send a prompt and stream the answer",
        verb=("prompt",),
        key="t",
        target="agent",
        arguments=(
            _AGENT,
            Argument("text", "text", "what to say; - reads it from stdin", required=True),
            Argument("files", "path", "attach a file", flag="--file", repeated=True),
            Argument("action", "text", "call this typed action instead", flag="--action"),
            Argument(
                "inputs", "pairs", "input of the action, key=value", flag="--input", repeated=True
            ),
            Argument("replica", "text", "this replica, not the least busy", flag="--replica"),
            Argument("timeout", "seconds", "longest wait", default=_PROMPT_S, flag="--timeout"),
        ),
        applies=_can_prompt,
        writes=True,
        check=_check_prompt,
        run=_prompt,
        preview=lambda agent, **_: f"would send a prompt to {agent}",
    ),
    Action(
        id="agents.restart",
        title="Restart agent",
        help="replace the processes of an agent",
        verb=("agents", "restart"),
        key="r",
        target="agent",
        arguments=(_AGENT, _NO_WAIT, _TIMEOUT),
        many=True,
        danger=True,
        applies=_managed,
        check=_check_managed,
        run=_restart,
        preview=lambda agent, **_: f"would replace the processes of {agent}; work in hand ends",
    ),
    Action(
        id="agents.start",
        title="Start agent",
        help="run an agent that was stopped, or that gave up",
        verb=("agents", "start"),
        key="S",
        target="agent",
        arguments=(_AGENT, _NO_WAIT, _TIMEOUT),
        many=True,
        applies=_can_start,
        check=_check_managed,
        run=_start,
        preview=lambda agent, **_: f"would start {agent}",
    ),
    Action(
        id="agents.stop",
        title="Stop agent",
        help="end the processes of an agent; its spec stays",
        verb=("agents", "stop"),
        key="x",
        target="agent",
        arguments=(
            _AGENT,
            _NO_WAIT,
            Argument("timeout", "seconds", "longest wait", default=_STOP_S, flag="--timeout"),
        ),
        many=True,
        danger=True,
        applies=_can_stop,
        check=_check_managed,
        run=_stop,
        preview=lambda agent, **_: f"would stop {agent}; work in hand ends",
    ),
    Action(
        id="agents.scale",
        title="Scale agent",
        help="set how many replicas of an agent run",
        verb=("agents", "scale"),
        key="n",
        target="agent",
        arguments=(
            _AGENT,
            Argument("replicas", "integer", "how many", required=True),
            _NO_WAIT,
            _TIMEOUT,
        ),
        applies=_managed,
        check=_check_managed,
        run=_scale,
        preview=lambda agent, replicas, **_: f"would run {replicas} replicas of {agent}",
    ),
    Action(
        id="agents.remove",
        title="Remove agent",
        help="end an agent and forget its spec",
        verb=("agents", "remove"),
        key="ctrl+d",
        target="agent",
        arguments=(
            _AGENT,
            _NO_WAIT,
            Argument("timeout", "seconds", "longest wait", default=_STOP_S, flag="--timeout"),
        ),
        many=True,
        danger=True,
        applies=_managed,
        check=_check_managed,
        run=_remove,
        preview=lambda agent, **_: f"would stop {agent} and forget its spec",
    ),
    Action(
        id="agents.deploy",
        title="Deploy agent",
        help="run new agents from a file or folder; a taken name is refused",
        verb=("agents", "deploy"),
        key="D",
        arguments=(_PATH, _NO_WAIT, _TIMEOUT),
        check=_check_deploy,
        trial=_try_deploy,
        run=_deploy,
        preview=lambda path, **_: f"would deploy what {path} describes",
    ),
    Action(
        id="agents.apply",
        title="Apply agent files",
        help="make the agents of a file or folder be as it says",
        verb=("apply",),
        arguments=(_PATH, _NO_WAIT, _TIMEOUT),
        check=_check_apply,
        trial=_try_deploy,
        run=_apply,
        preview=lambda path, **_: f"would make agents be as {path} says",
    ),
)
