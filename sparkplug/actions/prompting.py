"""The actions that reach into what an agent works on: prompting it, cancelling what it does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject
from sparkplug.actions.agent_arguments import AGENT, REASON, managed
from sparkplug.actions.asked_of_agents import text_or_action

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.agent import ObservedAgent

_PROMPT_S = 600.0
#: The states in which an agent takes no prompt (`schema.agent.SERVING` has the others).
_SILENT = frozenset(
    {"deploying", "starting", "waiting-gpu", "stopping", "stopped", "error", "stale"}
)


async def _check_prompt(client: Client, agent: str, **given: Any) -> None:
    from sparkplug.client import agents

    await agents.target(client, agent, given.get("replica"))


async def _prompt(
    client: Client,
    agent: str,
    text: str = "",
    *,
    action: str | None = None,
    inputs: Sequence[str] = (),
    files: Sequence[str] = (),
    replica: str | None = None,
    thread: str = "",
    timeout: float = _PROMPT_S,
) -> ActionResult:
    import secrets

    from sparkplug.client import agents, cancelling, prompts
    from sparkplug.client.plan_files import parse_inputs
    from sparkplug.schema.errors import InvalidError

    values: dict[str, Any] = parse_inputs(inputs)
    if values and action is None:
        raise InvalidError("--input goes with --action", hint="a plain prompt is only text")
    if action is None and not text.strip():
        raise InvalidError("a prompt says something", hint="or names an action: --action")
    target = await agents.target(client, agent, replica)
    who, call = f"{target.name}/{target.replica}", secrets.token_hex(16)

    async def cancel() -> str:
        ended = await cancelling.cancel_asked(client, target, call)
        return f"{who}: cancelled" if ended else f"{who}: it had ended"

    chunks = prompts.prompt(
        client,
        target,
        text,
        action=action,
        input=values,
        files=[Path(file) for file in files],
        thread=thread,
        call=call,
        deadline=timeout,
    )
    data = {"agent": target.name, "replica": target.replica}
    return ActionResult(f"{who} answers", data, chunks=chunks, cancel=cancel)


def _can_prompt(subject: Subject | None) -> str | None:
    if subject is None or subject.kind != "agent":
        return "select an agent"
    agent: ObservedAgent | None = subject.value
    if agent is not None and str(agent.state) in _SILENT:
        return f"it takes no prompts, it is {agent.state}"
    if agent is not None and not agent.accepting:
        return f"it takes no prompts: {agent.reason}"
    return None


def _split(agent: str) -> tuple[str, str | None]:
    """NAME or NAME/REPLICA."""
    name, slash, replica = agent.partition("/")
    return name, replica if slash else None


async def _check_cancel(client: Client, agent: str, **given: Any) -> str:
    """What would be cancelled, by replica."""
    from sparkplug.client import cancelling

    name, replica = _split(agent)
    lines = []
    for one in await cancelling.in_hand(client, name, replica):
        if one.requests is None:
            lines.append(f"{name}/{one.replica} does not answer: its code does not yield")
        for view in one.requests or ():
            if given.get("request") in (None, view.id):
                of = f" for run {view.run}, step {view.step}" if view.run else ""
                lines.append(
                    f"would cancel {view.id} of {name}/{one.replica}: {view.action}{of}, "
                    f"for {view.age_seconds:.1f} s"
                )
    return "\n".join(lines) or f"{agent} works on nothing"


async def _cancel(
    client: Client,
    agent: str,
    *,
    every: bool = False,
    request: str | None = None,
    reason: str | None = None,
) -> ActionResult:
    from sparkplug.client import cancelling

    name, replica = _split(agent)
    done = await cancelling.cancel(
        client, name, replica, every=every, request=request, reason=reason or ""
    )
    ids = [f"{name}/{one.replica} {id_}" for one in done for id_ in one.cancelled]
    count = len(ids)
    text = f"{agent}: cancelled {count} request{'s' * (count != 1)}" if ids else ""
    data = {
        "agent": name,
        "changed": bool(ids),
        "cancelled": [
            {"replica": one.replica, "requests": one.cancelled} for one in done if one.cancelled
        ],
    }
    return ActionResult(text or f"{agent}: works on nothing", data, changed=bool(ids))


def _can_cancel(subject: Subject | None) -> str | None:
    why = managed(subject)
    if why or subject is None or subject.value is None:
        return why
    return None if subject.value.inflight else "it works on nothing"


PROMPT = Action(
    id="agents.prompt",
    title="Prompt agent",
    help="send a prompt and stream the answer",
    verb=("prompt",),
    key="t",
    target="agent",
    arguments=(
        AGENT,
        *text_or_action("what to say"),
        Argument("files", "path", "attach a file", flag="--file", repeated=True),
        Argument("replica", "text", "this replica, not the least busy", flag="--replica"),
        Argument(
            "thread",
            "text",
            "the conversation it belongs to, any name",
            default="",
            flag="--thread",
        ),
        Argument("timeout", "seconds", "longest wait", default=_PROMPT_S, flag="--timeout"),
    ),
    applies=_can_prompt,
    writes=True,
    check=_check_prompt,
    run=_prompt,
    preview=lambda agent, **_: f"would send a prompt to {agent}",
)

CANCEL = Action(
    id="agents.cancel",
    title="Cancel agent's work",
    help="cancel what an agent works on; its process runs on",
    verb=("agents", "cancel"),
    key="C",
    target="agent",
    arguments=(
        Argument("agent", "agent", "name of the agent, or name/replica", required=True),
        Argument("every", "switch", "of all its replicas", flag="--all"),
        Argument("request", "text", "this request alone, by its id", flag="--request"),
        REASON,
    ),
    many=True,
    danger=True,
    applies=_can_cancel,
    check=_check_cancel,
    run=_cancel,
    preview=lambda agent, **_: f"would cancel what {agent} works on; its callers are told",
)
