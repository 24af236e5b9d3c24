"""What the actions on agents share: arguments, when they fit, what keeps them from being done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import ActionResult, Argument, Subject
from sparkplug.schema.text import one_line
from sparkplug.shipped import shipped

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.agent import ObservedAgent

#: Characters of a path that is none that are told.
_TOLD = 80
READY_S = 30.0
STOP_S = 15.0

AGENT = Argument("agent", "agent", "name of the agent", required=True)
NO_WAIT = Argument("no_wait", "switch", "do not wait until it is so", flag="--no-wait")
TIMEOUT = Argument(
    "timeout", "seconds", "longest wait, like 30s", default=READY_S, flag="--timeout"
)
STOP_TIMEOUT = Argument(
    "timeout", "seconds", "longest wait, like 30s", default=STOP_S, flag="--timeout"
)
REASON = Argument("reason", "text", "why; kept with the change and its event", flag="--reason")
DRAIN = Argument(
    "drain", "seconds", "time to finish what is in hand, then it is killed", flag="--drain"
)
NOW = Argument("now", "switch", "do not let it finish what is in hand", flag="--now")
FILES = Argument(
    "path", "path", "agent file, a folder of them, or the name of a shipped agent", required=True
)


def agent_files(path: str) -> Path:
    """The file or folder of that name; else the agent of that name that is shipped."""
    named = Path(path)
    try:
        there = named.exists()
    except OSError as error:
        from sparkplug.schema.errors import InvalidError

        told = f"{one_line(path[:_TOLD])}: {error.strerror}"
        raise InvalidError(told, hint="give an agent file or a folder of them") from error
    if not there and named.name == path:
        shipped_file = shipped("config") / "agents" / f"{path}.yaml"
        if shipped_file.exists():
            return shipped_file
    return named


async def check_managed(client: Client, agent: str, **_: Any) -> None:
    """Raise what keeps an agent from being managed from here."""
    from sparkplug.client import agents

    await agents.require_managed(client, agent)


async def ready_result(
    client: Client, agent: str, what: str, changed: bool, no_wait: bool, timeout: float
) -> ActionResult:
    """Wait for an agent that was told to run, unless told not to."""
    from sparkplug.client import readiness

    if not no_wait:
        await readiness.wait_ready(client, [agent], timeout)
    return changed_result(agent, what, changed)


def changed_result(agent: str, what: str, changed: bool) -> ActionResult:
    """Tell what was done to an agent, or that nothing was."""
    text = f"{agent}: {what}" if changed else f"{agent}: nothing changed"
    return ActionResult(text, {"agent": agent, "changed": changed}, changed=changed)


def managed(subject: Subject | None) -> str | None:
    """Why an agent cannot be managed."""
    if subject is None or subject.kind != "agent":
        return "select an agent"
    agent: ObservedAgent | None = subject.value
    if agent is not None and agent.foreign:
        return "a foreign agent can be prompted, not managed"
    return None
