"""The actions that start and end an agent's processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject
from sparkplug.actions.agent_arguments import (
    AGENT,
    DRAIN,
    NO_WAIT,
    NOW,
    READY_S,
    REASON,
    STOP_S,
    STOP_TIMEOUT,
    TIMEOUT,
    changed_result,
    check_managed,
    managed,
    ready_result,
)

if TYPE_CHECKING:
    from sparkplug.client.session import Client

#: More than a drain alone: what has not finished is killed, and that is seen too.
_AFTER_DRAIN_S = 5.0
#: What each would do to an agent, of one replica or of all.
_WOULD_RESTART = "would replace the processes of {}; work in hand ends"
_WOULD_STOP = "would stop {}; work in hand ends"
_WOULD_REMOVE = "would stop {} and forget its spec"


async def _start(
    client: Client,
    agent: str,
    *,
    no_wait: bool = False,
    timeout: float = READY_S,
    reason: str | None = None,
) -> ActionResult:
    from sparkplug.client import agents

    changed = await agents.start(client, agent, agents.Why(reason or ""))
    return await ready_result(client, agent, "started", changed, no_wait, timeout)


async def _restart(
    client: Client,
    agent: str,
    *,
    all_at_once: bool = False,
    drain: float | None = None,
    no_wait: bool = False,
    timeout: float = READY_S,
    reason: str | None = None,
) -> ActionResult:
    from sparkplug.client import agents

    why = agents.Why(reason or "", drain, all_at_once)
    changed = await agents.restart(client, agent, why)
    return await ready_result(client, agent, "restarted", changed, no_wait, timeout)


async def _scale(
    client: Client,
    agent: str,
    replicas: int,
    *,
    no_wait: bool = False,
    timeout: float = READY_S,
    reason: str | None = None,
) -> ActionResult:
    from sparkplug.client import agents

    changed = await agents.scale(client, agent, replicas, agents.Why(reason or ""))
    what = f"scaled to {replicas}"
    wanted = (await agents.desired(client)).get(agent)
    running = wanted is not None and wanted.run
    return await ready_result(client, agent, what, changed, no_wait or not running, timeout)


def _drain(drain: float | None, now: bool) -> float | None:
    from sparkplug.schema.errors import InvalidError

    if now and drain:
        raise InvalidError("--now and --drain say two things; give one of them")
    return 0.0 if now else drain


async def _stop(
    client: Client,
    agent: str,
    *,
    drain: float | None = None,
    now: bool = False,
    no_wait: bool = False,
    timeout: float = STOP_S,
    reason: str | None = None,
) -> ActionResult:
    from sparkplug.client import agents, readiness

    given = _drain(drain, now)
    changed = await agents.stop(client, agent, agents.Why(reason or "", given))
    if not no_wait:
        await readiness.wait_stopped(client, agent, max(timeout, (given or 0) + _AFTER_DRAIN_S))
    return changed_result(agent, "stopped", changed)


async def _remove(
    client: Client,
    agent: str,
    *,
    drain: float | None = None,
    now: bool = False,
    no_wait: bool = False,
    timeout: float = STOP_S,
    reason: str | None = None,
) -> ActionResult:
    from sparkplug.client import agents, readiness

    given = _drain(drain, now)
    await agents.remove(client, agent, agents.Why(reason or "", given))
    if not no_wait:
        await readiness.wait_stopped(client, agent, max(timeout, (given or 0) + _AFTER_DRAIN_S))
    return changed_result(agent, "removed", True)


def _look(would: str) -> Callable[..., Awaitable[str | None]]:
    """What would become of an agent that has several replicas: all of them are meant."""

    async def look(client: Client, agent: str, **_: Any) -> str | None:
        from sparkplug.client import agents

        await check_managed(client, agent)
        count = sum(one.pid is not None for one in await agents.replicas(client, agent))
        return would.format(f"{agent}, all {count} replicas of it") if count > 1 else None

    return look


def _can_start(subject: Subject | None) -> str | None:
    why = managed(subject)
    if why or subject is None or subject.value is None:
        return why
    return None if subject.value.state in ("stopped", "error") else "it runs already"


def _can_stop(subject: Subject | None) -> str | None:
    why = managed(subject)
    if why or subject is None or subject.value is None:
        return why
    return "it is stopped already" if subject.value.state == "stopped" else None


RESTART = Action(
    id="agents.restart",
    title="Restart agent",
    help="replace the processes of an agent, one replica after the other",
    verb=("agents", "restart"),
    key="r",
    target="agent",
    arguments=(
        AGENT,
        Argument("all_at_once", "switch", "not one after the other", flag="--all-at-once"),
        DRAIN,
        NO_WAIT,
        TIMEOUT,
        REASON,
    ),
    many=True,
    danger=True,
    applies=managed,
    check=_look(_WOULD_RESTART),
    run=_restart,
    preview=lambda agent, **_: _WOULD_RESTART.format(agent),
)

START = Action(
    id="agents.start",
    title="Start agent",
    help="run an agent that was stopped, or that gave up",
    verb=("agents", "start"),
    key="S",
    target="agent",
    arguments=(AGENT, NO_WAIT, TIMEOUT, REASON),
    many=True,
    applies=_can_start,
    check=check_managed,
    run=_start,
    preview=lambda agent, **_: f"would start {agent}",
)

STOP = Action(
    id="agents.stop",
    title="Stop agent",
    help="end the processes of an agent once they finished what they have; its spec stays",
    verb=("agents", "stop"),
    key="x",
    target="agent",
    arguments=(AGENT, DRAIN, NOW, NO_WAIT, STOP_TIMEOUT, REASON),
    many=True,
    danger=True,
    applies=_can_stop,
    check=_look(_WOULD_STOP),
    run=_stop,
    preview=lambda agent, **_: _WOULD_STOP.format(agent),
)

SCALE = Action(
    id="agents.scale",
    title="Scale agent",
    help="set how many replicas of an agent run",
    verb=("agents", "scale"),
    key="n",
    target="agent",
    arguments=(
        AGENT,
        Argument("replicas", "integer", "how many", required=True),
        NO_WAIT,
        TIMEOUT,
        REASON,
    ),
    applies=managed,
    check=check_managed,
    run=_scale,
    preview=lambda agent, replicas, **_: f"would run {replicas} replicas of {agent}",
)

REMOVE = Action(
    id="agents.remove",
    title="Remove agent",
    help="end an agent and forget its spec; `agents undo` brings it back",
    verb=("agents", "remove"),
    key="ctrl+d",
    target="agent",
    arguments=(AGENT, DRAIN, NOW, NO_WAIT, STOP_TIMEOUT, REASON),
    many=True,
    danger=True,
    applies=managed,
    check=_look(_WOULD_REMOVE),
    run=_remove,
    preview=lambda agent, **_: _WOULD_REMOVE.format(agent),
)
