"""Showing messages to who asked for them: redacted, cut, and no more a second than is bearable.

Bodies are looked at only while a tap wants them, and are never kept: what a tap does not take at
once is counted and gone.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import nats.errors

from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.node.observer.redacting import Redaction
from sparkplug.schema.errors import InvalidError, NotFoundError, RefusedError
from sparkplug.schema.node import Nothing
from sparkplug.schema.tap import (
    MOST_SHOWN_BYTES,
    TAP_KEPT_S,
    TapKeep,
    TappedMessage,
    TapReply,
    TapRequest,
)

log = logging.getLogger(__name__)

_MOST_TAPS = 16
#: A message that is larger is not read as JSON.
_MOST_READ_BYTES = 256 << 10
_INBOX = re.compile(r"_INBOX\.[^\s*>]{4,400}")
_OPEN_EVERY_S = 2.0
_ERROR_TEXT = b"Nats-Service-Error:"


@dataclass(slots=True)
class _Tap:
    id: str
    request: TapRequest
    most: int
    until: float
    subject: re.Pattern[str] | None
    second: int = 0
    shown: int = 0
    skipped: int = 0
    told: float = 0.0

    def wants(self, sender: str, receiver: str, subject: bytes, hub: str) -> bool:
        """Whether what `sender` said to `receiver`, or the answer to it, was asked for.

        What was said to all of a hub is from it and to it, too.
        """
        asked = self.request
        return (
            (not asked.agents or not {sender, receiver, hub}.isdisjoint(asked.agents))
            and (not asked.from_ or asked.from_ in (sender, hub))
            and (not asked.to or asked.to in (receiver, hub))
            and (
                self.subject is None
                or bool(self.subject.fullmatch(subject.decode(errors="replace")))
            )
        )


class Taps:
    """The taps that are open at one observer."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        events: EventLog,
        redaction: Redaction,
        *,
        most_bytes: int,
        per_second: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._node = node
        self._events = events
        self._redaction = redaction
        self._most = most_bytes
        self._per_second = per_second
        self._now = now
        self._taps: dict[str, _Tap] = {}
        self._ready: list[tuple[_Tap, TappedMessage]] = []

    def __bool__(self) -> bool:
        return bool(self._taps)

    async def open(self, request: TapRequest) -> TapReply:
        """Begin to show. Raises InvalidError, or RefusedError when too many look already."""
        if not _INBOX.fullmatch(request.inbox):
            raise InvalidError("messages are shown in an inbox alone", where="inbox")
        if len(self._taps) >= _MOST_TAPS:
            raise RefusedError(
                f"{_MOST_TAPS} taps are open already", hint="each ends when nobody looks at it"
            )
        most = min(self._most, MOST_SHOWN_BYTES)
        if request.max_bytes is not None:
            most = min(most, request.max_bytes)
        tap = _Tap(
            secrets.token_hex(8),
            request,
            most if request.bodies else 0,
            self._now() + TAP_KEPT_S,
            as_pattern(request.subject) if request.subject else None,
        )
        self._taps[tap.id] = tap
        # Who looks at what others say is written down.
        self._events.emit(
            "agent:tapped",
            ",".join(request.agents) or request.to or request.from_ or "*",
            actor=request.actor,
            data=request.model_dump(exclude={"v", "inbox", "actor"}, exclude_defaults=True),
        )
        return TapReply(id=tap.id, node=self._node, max_bytes=most, per_second=self._per_second)

    async def keep(self, asked: TapKeep) -> Nothing:
        """Go on showing, or end it. Raises NotFoundError when it has ended."""
        tap = self._taps.get(asked.id)
        if tap is None:
            raise NotFoundError("that tap has ended", hint="open another")
        if asked.end:
            del self._taps[asked.id]
        else:
            tap.until = self._now() + TAP_KEPT_S
        return Nothing()

    def take(
        self,
        sender: str,
        receiver: str,
        subject: bytes,
        headers: bytes | None,
        data: bytes,
        *,
        answer: bool,
        hub: str = "",
    ) -> None:
        """Show a message to whom it is for; `hub` is set where it was said to all there."""
        for tap in self._taps.values():
            if not tap.wants(sender, receiver, subject, hub):
                continue
            second = int(self._now())
            if tap.second != second:
                tap.second, tap.shown = second, 0
            if tap.shown >= self._per_second:
                tap.skipped += 1
                continue
            tap.shown += 1
            kind, action, text = _read(headers, data, answer=answer)
            shown, cut, taken = ("", False, 0)
            if tap.request.bodies:
                shown, cut, taken = self._redaction.shown(text, tap.most)
            parties = (receiver, sender) if answer else (sender, receiver)
            message = TappedMessage(
                kind=kind,
                from_=parties[0],
                to=parties[1],
                subject=subject.decode(errors="replace"),
                action=action[:100],
                text=shown,
                bytes=len(data),
                cut=cut,
                redacted=taken,
                skipped=tap.skipped,
            )
            tap.skipped = 0
            self._ready.append((tap, message))

    async def send(self) -> None:
        """Send what was taken; once in a while a sign that each tap is open; end what nobody
        keeps. To be called many times a second while there is any."""
        now = self._now()
        for tap in list(self._taps.values()):
            if now > tap.until:
                del self._taps[tap.id]
            elif now - tap.told >= _OPEN_EVERY_S:
                tap.told = now
                sign = TappedMessage(kind="open", skipped=tap.skipped)
                tap.skipped = 0
                self._ready.append((tap, sign))
        ready, self._ready = self._ready, []
        for tap, message in ready:
            try:
                await self._bus.nc.publish(
                    tap.request.inbox, message.model_dump_json(by_alias=True).encode()
                )
            except nats.errors.Error as error:
                log.debug("a tapped message is not sent: %s", error)
                return


def as_pattern(subject: str) -> re.Pattern[str]:
    """What a subject with NATS's wildcards matches. Raises InvalidError for what is none."""
    words = subject.split(".")
    if not all(words) or any(c.isspace() for c in subject) or ">" in words[:-1]:
        raise InvalidError(
            f"{subject[:100]!r} is not a subject", where="subject", hint="like agents.prompt.*.>"
        )
    parts = [r"[^.]+" if word == "*" else re.escape(word) for word in words]
    if words[-1] == ">":
        parts[-1] = ".+"
    return re.compile(r"\.".join(parts))


def _read(headers: bytes | None, data: bytes, *, answer: bool) -> tuple[str, str, bytes | str]:
    """What a message is, its action, and what it says."""
    if headers and answer:
        at = headers.find(_ERROR_TEXT)
        if at >= 0:
            line = headers[at + len(_ERROR_TEXT) :].split(b"\r\n", 1)[0]
            return "error", "", line.strip() or data
        if headers[8:9] == b" ":
            return "error", "", "nobody serves it"
    if answer and not data:
        return "end", "", b""
    kind = "answer" if answer else "request"
    if len(data) > _MOST_READ_BYTES:
        return kind, "", data
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return kind, "", data
    if not isinstance(found, dict):
        return kind, "", data
    if answer:
        said = found.get("data")
        if found.get("type") == "status":
            kind = "status"
        if said is None:
            return kind, "", data
        return kind, "", said if isinstance(said, str) else json.dumps(said)
    if "topic" in found and "data" in found:
        said = found["data"]
        return "message", "", said if isinstance(said, str) else json.dumps(said)
    action = found.get("action")
    if isinstance(action, str) and action:
        return kind, action, json.dumps(found.get("input") or {})
    text = found.get("prompt")
    return kind, "", text if isinstance(text, str) else data
