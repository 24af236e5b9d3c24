"""Seeing messages as they pass: the observer shows them to who asks, redacted and cut."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from nats.aio.msg import Msg
from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.service import call
from sparkplug.client.session import Client
from sparkplug.schema.errors import (
    DeadlineError,
    InvalidError,
    NoMeshError,
    NotFoundError,
    SparkplugError,
)
from sparkplug.schema.node import Nothing
from sparkplug.schema.tap import TAP_KEPT_S, TapKeep, TappedMessage, TapReply, TapRequest

_DEADLINE_S = 3.0
#: No word of the observer for so long: another has taken over, and knows nothing of this tap.
_SILENT_S = 6.0
_QUEUED = 2_000
_AGAIN_S = 0.5
_LONGEST_LOOK = 64 << 10


@dataclass(frozen=True, slots=True)
class TapFilter:
    """Which messages: those of any of `agents`, from one, to one, on a subject.

    `text` is a regular expression, matched in any case against what is shown of a message; with
    `!` before it, those that do not match.
    """

    agents: Sequence[str] = ()
    from_: str = ""
    to: str = ""
    subject: str = ""
    text: str = ""

    def matcher(self) -> Callable[[TappedMessage], bool]:
        """Whether a message is one of these by its text. Raises InvalidError."""
        if not self.text:
            return lambda _: True
        inverse = self.text.startswith("!")
        try:
            pattern = re.compile(self.text.removeprefix("!"), re.IGNORECASE)
        except re.error as error:
            raise InvalidError(f"the filter {self.text!r} is no expression: {error}") from error

        def matches(message: TappedMessage) -> bool:
            return bool(pattern.search(tap_line(message)[:_LONGEST_LOOK])) is not inverse

        return matches


async def tap(
    client: Client, wanted: TapFilter, *, bodies: bool = True, max_bytes: int | None = None
) -> AsyncGenerator[TappedMessage, None]:
    """Messages as they pass, for ever; it outlives the observer.

    Of kind `open` are signs that it is open, given whatever the filter. Raises InvalidError for a
    filter that does not hold, RefusedError when too many look already, NoMeshError when nobody
    observes to begin with.
    """
    matches = wanted.matcher()
    inbox = client.bus.nc.new_inbox()
    queue: asyncio.Queue[TappedMessage] = asyncio.Queue(_QUEUED)
    lost = 0

    async def take(message: Msg) -> None:
        nonlocal lost
        try:
            found = TappedMessage.model_validate_json(message.data)
        except ValidationError:
            return
        if queue.full():
            lost += 1 + queue.get_nowait().skipped
        if lost:
            found.skipped, lost = found.skipped + lost, 0
        queue.put_nowait(found)

    subscription = await client.bus.nc.subscribe(inbox, cb=take)
    request = TapRequest(
        inbox=inbox,
        agents=list(wanted.agents),
        from_=wanted.from_,
        to=wanted.to,
        subject=wanted.subject,
        bodies=bodies,
        max_bytes=max_bytes,
        actor=client.actor,
    )
    opened: TapReply | None = None
    keeper: asyncio.Task[None] | None = None
    try:
        opened = await _open(client, request, first=True)
        while True:
            keeper = keeper or asyncio.create_task(_keep(client, opened.id))
            try:
                async with asyncio.timeout(_SILENT_S):
                    message = await queue.get()
            except TimeoutError:
                keeper.cancel()
                keeper = None
                opened = await _open(client, request, first=False)
                continue
            if message.kind == "open" or matches(message):
                yield message
    finally:
        if keeper is not None:
            keeper.cancel()
        if not client.bus.nc.is_closed:
            await subscription.unsubscribe()
            if opened is not None:
                with contextlib.suppress(SparkplugError):
                    await _ask_keep(client, TapKeep(id=opened.id, end=True))


async def _open(client: Client, request: TapRequest, *, first: bool) -> TapReply:
    while True:
        try:
            return await call(
                client.bus, subjects.TAP_OPEN, request, TapReply, deadline=_DEADLINE_S
            )
        except (NoMeshError, DeadlineError):
            if first:
                raise
            await asyncio.sleep(_AGAIN_S)


async def _keep(client: Client, tap_id: str) -> None:
    """Ask for more, until it is known no more; the silence then tells."""
    while True:
        await asyncio.sleep(TAP_KEPT_S / 3)
        try:
            await _ask_keep(client, TapKeep(id=tap_id))
        except NotFoundError:
            return
        except SparkplugError:
            continue


async def _ask_keep(client: Client, asked: TapKeep) -> None:
    await call(client.bus, subjects.TAP_KEEP, asked, Nothing, deadline=_DEADLINE_S)


def tap_line(message: TappedMessage) -> str:
    """A message in one line, as it is shown and searched."""
    signs = {"answer": "◂", "status": "·", "error": "✖", "end": "▪", "message": "▸"}
    sign = signs.get(message.kind, "▸")
    what = f" {message.action}" if message.action else ""
    text = " ".join(message.text.split())
    size = "" if message.text and not message.cut else f" ({message.bytes} B)"
    return f"{message.from_} {sign} {message.to}{what}: {text}{'…' if message.cut else ''}{size}"
