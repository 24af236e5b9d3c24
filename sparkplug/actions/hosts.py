"""Actions on hosts: cordon, uncordon, drain; acknowledge what their drivers reported."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject
from sparkplug.schema.host_needs import host_needs

if TYPE_CHECKING:
    from sparkplug.client.prompts import PromptChunk
    from sparkplug.client.session import Client
    from sparkplug.schema.node_services import HostView

_DRAIN_S = 300.0

_HOST = Argument("host", "host", "name of the host", required=True)
_REASON = Argument("reason", "text", "why, for others to read", default="", flag="--reason")


async def _check(client: Client, host: str, **_: Any) -> None:
    from sparkplug.client import node_orders

    await node_orders.require_host(client, host)


async def _cordon(client: Client, host: str, *, reason: str = "") -> ActionResult:
    from sparkplug.client import node_orders

    changed = await node_orders.cordon(client, host, reason)
    text = "cordoned" if changed else "nothing changed"
    return ActionResult(f"{host}: {text}", {"host": host, "changed": changed}, changed=changed)


async def _uncordon(client: Client, host: str) -> ActionResult:
    from sparkplug.client import node_orders

    changed = await node_orders.uncordon(client, host)
    text = "takes agents again" if changed else "nothing changed"
    return ActionResult(f"{host}: {text}", {"host": host, "changed": changed}, changed=changed)


async def _acknowledge(client: Client, host: str) -> ActionResult:
    from sparkplug.client import hosts

    changed = await hosts.acknowledge(client, host)
    text = "what its driver reported was seen to" if changed else "nothing changed"
    return ActionResult(f"{host}: {text}", {"host": host, "changed": changed}, changed=changed)


async def _drain(
    client: Client,
    host: str,
    *,
    reason: str = "",
    stop_pinned: bool = False,
    no_wait: bool = False,
    timeout: float = _DRAIN_S,
) -> ActionResult:
    from sparkplug.client import node_orders

    changed = await node_orders.drain(client, host, reason, stop_pinned=stop_pinned)
    data = {"host": host, "changed": changed}
    if no_wait:
        return ActionResult(f"{host}: draining", data, changed=changed)
    return ActionResult(f"drain {host}", data, chunks=_progress(client, host, timeout))


async def _progress(client: Client, host: str, timeout: float) -> AsyncGenerator[PromptChunk, None]:
    """What is left, while it goes on, and how it ended."""
    import contextlib

    from sparkplug.client import node_orders
    from sparkplug.client.prompts import PromptChunk

    pinned: list[str] = []
    async with contextlib.aclosing(node_orders.draining(client, host, timeout)) as steps:
        async for left in steps:
            pinned = left.pinned
            if left.moving:
                names = ", ".join(left.moving)
                yield PromptChunk("status", f"{len(left.moving)} to move off {host}: {names}")
    stay = f"; pinned to it and left: {', '.join(pinned)}" if pinned else ""
    yield PromptChunk("text", f"{host}: drained{stay}")


async def _try_drain(
    client: Client, host: str, *, stop_pinned: bool = False, **_: Any
) -> ActionResult:
    """Where what is on the host would go."""
    from sparkplug.client import placement

    found = await placement.preview_drain(client, host, stop_pinned=stop_pinned)
    data = {"placement": placement.preview_data(found)}
    text = placement.preview_text(found) or f"  nothing runs on {host}"
    return ActionResult(text, data, changed=False)


def _host(subject: Subject | None) -> HostView | str | None:
    if subject is None or subject.kind != "host":
        return "select a host"
    view: HostView | None = subject.value
    return view


def _can_cordon(subject: Subject | None) -> str | None:
    view = _host(subject)
    if view is None or isinstance(view, str):
        return view
    order = view.order
    return "it is cordoned already" if order and order.cordoned and not order.draining else None


def _can_uncordon(subject: Subject | None) -> str | None:
    view = _host(subject)
    if view is None or isinstance(view, str):
        return view
    return None if view.order and view.order.cordoned else "it is not cordoned"


def _can_acknowledge(subject: Subject | None) -> str | None:
    view = _host(subject)
    if view is None or isinstance(view, str):
        return view
    reported = any(need.since is not None for need in host_needs(view))
    return None if reported else "its driver reported nothing that needs you"


def _can_drain(subject: Subject | None) -> str | None:
    view = _host(subject)
    if view is None or isinstance(view, str):
        return view
    return "it is draining already" if view.order and view.order.draining else None


HOST_ACTIONS: tuple[Action, ...] = (
    Action(
        id="hosts.cordon",
        title="Cordon host",
        help="have a host take no new agents; what runs there stays",
        verb=("hosts", "cordon"),
        key="C",
        target="host",
        arguments=(_HOST, _REASON),
        many=True,
        applies=_can_cordon,
        check=_check,
        run=_cordon,
        preview=lambda host, **_: f"would have {host} take nothing new",
    ),
    Action(
        id="hosts.uncordon",
        title="Uncordon host",
        help="have a host take agents again, and end its draining",
        verb=("hosts", "uncordon"),
        key="U",
        target="host",
        arguments=(_HOST,),
        many=True,
        applies=_can_uncordon,
        check=_check,
        run=_uncordon,
        preview=lambda host, **_: f"would have {host} take agents again",
    ),
    Action(
        id="hosts.drain",
        title="Drain host",
        help="move what can run elsewhere off a host, and wait until it has gone",
        verb=("hosts", "drain"),
        key="x",
        target="host",
        arguments=(
            _HOST,
            _REASON,
            Argument(
                "stop_pinned",
                "switch",
                "stop agents that can run nowhere else, too",
                flag="--stop-pinned",
            ),
            Argument("no_wait", "switch", "do not wait until it is empty", flag="--no-wait"),
            Argument("timeout", "seconds", "longest wait", default=_DRAIN_S, flag="--timeout"),
        ),
        danger=True,
        applies=_can_drain,
        check=_check,
        trial=_try_drain,
        run=_drain,
        preview=lambda host, **_: (
            f"would move agents off {host}; each stops before it starts again"
        ),
    ),
    Action(
        id="hosts.acknowledge",
        title="Acknowledge reports",
        help="note that the XIDs and other events of a host's driver were seen to",
        verb=("hosts", "acknowledge"),
        key="A",
        target="host",
        arguments=(_HOST,),
        many=True,
        applies=_can_acknowledge,
        check=_check,
        run=_acknowledge,
        preview=lambda host: f"would have what the driver of {host} reported need nobody any more",
    ),
)
