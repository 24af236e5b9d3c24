"""Actions on what agents say to each other: seeing it, and saying something oneself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument
from sparkplug.actions.asked_of_agents import text_or_action
from sparkplug.schema.plain import plain

if TYPE_CHECKING:
    from sparkplug.client.prompts import PromptChunk
    from sparkplug.client.session import Client
    from sparkplug.client.tap import TapFilter


async def _tap(
    client: Client,
    *,
    agents: Sequence[str] = (),
    text: str | None = None,
    sender: str | None = None,
    receiver: str | None = None,
    subject: str | None = None,
    quiet: bool = False,
    size: int | None = None,
    count: int | None = None,
    seconds: float | None = None,
) -> ActionResult:
    from sparkplug.client.tap import TapFilter
    from sparkplug.schema.errors import InvalidError

    if count is not None and count < 1:
        raise InvalidError("--count is at least 1")
    if size is not None and size < 0:
        raise InvalidError("--size is not below zero")
    wanted = TapFilter(
        agents=tuple(agents),
        from_=sender or "",
        to=receiver or "",
        subject=subject or "",
        text=text or "",
    )
    wanted.matcher()
    lines = _lines(client, wanted, bodies=not quiet, size=size, count=count, seconds=seconds)
    who = ", ".join(agents) or " to ".join(name for name in (sender, receiver) if name)
    return ActionResult(f"messages of {who or 'all'}", {}, chunks=lines, stream=True)


async def _lines(
    client: Client,
    wanted: TapFilter,
    *,
    bodies: bool,
    size: int | None,
    count: int | None,
    seconds: float | None,
) -> AsyncGenerator[PromptChunk, None]:
    """A line for each message; it ends after so many, or so long."""
    from sparkplug.client.prompts import PromptChunk
    from sparkplug.client.tap import tap, tap_line

    until = None if seconds is None else time.monotonic() + seconds
    shown = 0
    messages = tap(client, wanted, bodies=bodies, max_bytes=size)
    async with contextlib.aclosing(messages):
        async for message in messages:
            if message.skipped:
                yield PromptChunk("status", f"{message.skipped} more were not shown")
            if message.kind != "open":
                shown += 1
                yield PromptChunk(
                    "text",
                    f"{message.time.astimezone():%H:%M:%S} {tap_line(message)}\n",
                    data=plain(message, by_alias=True),
                )
            if shown == count or (until is not None and time.monotonic() >= until):
                return


_SILENT_GROUPS = "agent, agent/replica, all, capability:X, type:X, group:X, label:K=V or topic:X"


async def _check_send(client: Client, agent: str, **_: Any) -> None:
    if ":" not in agent and agent != "all":
        from sparkplug.client import agents

        name, slash, replica = agent.partition("/")
        await agents.target(client, name, replica if slash else None)


async def _send(
    client: Client,
    agent: str,
    text: str = "",
    *,
    action: str | None = None,
    inputs: Sequence[str] = (),
) -> ActionResult:
    from sparkplug.client.plan_files import parse_inputs
    from sparkplug.client.sending import send
    from sparkplug.schema.errors import InvalidError

    values = parse_inputs(inputs)
    if values and action is None:
        raise InvalidError("--input goes with --action", hint="a message is only text")
    if action is None and not text:
        raise InvalidError("a message says something", hint="or names an action: --action")
    sent = await send(client, agent, text, action=action, input=values)
    taken = [one.to for one in sent if not one.error]
    data = {
        "to": agent,
        "taken": taken,
        "refused": [{"agent": one.to, "why": one.error} for one in sent if one.error],
    }
    told = f"{', '.join(taken) or 'nobody'}: told"
    for one in sent:
        told += f"\n{one.to}: {one.error}" if one.error else ""
    return ActionResult(told, data, exit_code=0 if taken else 1)


TALK_ACTIONS: tuple[Action, ...] = (
    Action(
        id="talk.tap",
        title="Tap messages",
        help="show messages as they pass; secrets are taken out",
        verb=("tap",),
        writes=False,
        arguments=(
            Argument("agents", "agent", "said by or to it", flag="--agent", repeated=True),
            Argument("text", "text", "those that match this expression; !x: not", flag="--match"),
            Argument("sender", "agent", "said by it, and the answers to it", flag="--from"),
            Argument("receiver", "agent", "said to it, and its answers", flag="--to"),
            Argument("subject", "text", "on this NATS subject, like agents.>", flag="--subject"),
            Argument("quiet", "switch", "who to whom and how large alone", flag="--no-bodies"),
            Argument("size", "integer", "bytes shown of each", flag="--size"),
            Argument("count", "integer", "end after so many", flag="--count", short="-n"),
            Argument("seconds", "seconds", "end after so long", flag="--for"),
        ),
        run=_tap,
        preview=lambda **_: "would show the next messages as they pass",
    ),
    Action(
        id="talk.send",
        title="Send message",
        help="tell agents something and wait for no answer; publish on a topic",
        verb=("send",),
        target="agent",
        arguments=(
            Argument("agent", "agent", _SILENT_GROUPS, required=True),
            *text_or_action("what to say"),
        ),
        check=_check_send,
        run=_send,
        preview=lambda agent, text="", action=None, **_: f"would tell {agent}: {text or action}",
    ),
)
