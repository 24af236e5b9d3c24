"""Waiting until something is in a state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkplug.actions.action import Action, ActionResult, Argument

if TYPE_CHECKING:
    from sparkplug.client.session import Client

_WAIT_S = 60.0


async def _wait(
    client: Client, what: str, *, state: str | None = None, timeout: float = _WAIT_S
) -> ActionResult:
    from sparkplug.client import waiting

    text = await waiting.wait_for(client, what, state, timeout)
    return ActionResult(text, {"what": what, "state": text.rpartition(" ")[2]}, changed=False)


WAIT = Action(
    id="mesh.wait",
    title="Wait for",
    help="wait until an agent, a run or a host is in a state",
    verb=("wait",),
    arguments=(
        Argument("what", "text", "agent/NAME, run/ID or host/NAME", required=True),
        Argument("state", "text", "ready, stopped, idle, gone, succeeded, …", flag="--for"),
        Argument("timeout", "seconds", "longest wait, like 5m", default=_WAIT_S, flag="--timeout"),
    ),
    writes=False,
    run=_wait,
    preview=lambda what, **_: f"would wait for {what}",
)
