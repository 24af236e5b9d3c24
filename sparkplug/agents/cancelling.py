"""The requests an agent process works on: each can be cancelled from outside, by its id."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nats.aio.msg import Msg
from pydantic import ValidationError
from synadia_ai.agent_service import RequestRejectedError
from synadia_ai.agents import Envelope

from sparkplug.agents.activity import RequestActivity
from sparkplug.bus import synadia as wire
from sparkplug.schema.agent_control import (
    LET_GO_S,
    ControlReply,
    ControlRequest,
    RequestView,
    Withdrawal,
)
from sparkplug.schema.errors import SparkplugError

_MOST_SHOWN = 100


@dataclass(slots=True, eq=False)
class _Request:
    id: str
    action: str
    run: str
    step: str
    began: float
    task: asyncio.Task[None]
    activity: RequestActivity
    thread: str = ""
    #: The id under which its caller may take it back; empty: it may not.
    call: str = ""
    cancelled: str = ""

    def view(self) -> RequestView:
        return RequestView(
            id=self.id,
            action=self.action[:100],
            age_seconds=round(time.monotonic() - self.began, 3),
            run=self.run[:100],
            step=self.step[:100],
            cancelled_by=self.cancelled,
            steps=[name[:100] for name in self.activity.steps],
            thread=self.thread[:100],
        )


class CodeExitError(SparkplugError):
    """The agent's own code called `sys.exit(status)` while it worked on a request.

    The caller is told, the process finishes what else it has in hand, and ends as was asked.
    """

    def __init__(self, status: Any) -> None:
        super().__init__(f"its code called sys.exit({'' if status is None else repr(status)})")
        self.status = status

    @property
    def number(self) -> int:
        """The exit code that gives a process."""
        number = self.status if isinstance(self.status, int) else int(self.status is not None)
        return number & 0xFF


async def _kept_here(work: Coroutine[Any, Any, None]) -> None:
    """Do the work. A `SystemExit` would leave by the event loop, past whoever waits for this."""
    try:
        await work
    except SystemExit as error:
        raise CodeExitError(error.code) from error


class Requests:
    """What one replica has in hand."""

    def __init__(self) -> None:
        self._hand: dict[str, _Request] = {}
        #: Seconds this replica was given to finish; None: as it was started with.
        self.drain: float | None = None

    async def run(
        self, work: Coroutine[Any, Any, None], envelope: Envelope, activity: RequestActivity
    ) -> None:
        """Do the work of one request, in a task of its own that can be cancelled.

        Raises RequestRejectedError when it was cancelled from outside.
        """
        ids = envelope.extras.get(wire.CONTEXT_FIELD)
        ids = ids if isinstance(ids, dict) else {}
        thread = str(envelope.extras.get(wire.THREAD_FIELD) or "")
        action = str(envelope.extras.get("action") or "prompt")
        await self.run_named(work, action, ids, activity, thread)

    async def run_named(
        self,
        work: Coroutine[Any, Any, None],
        action: str,
        ids: Mapping[str, Any],
        activity: RequestActivity,
        thread: str = "",
    ) -> None:
        """As `run`, of what came by another way than a prompt."""
        request = _Request(
            id=secrets.token_hex(4),
            action=action,
            run=str(ids.get("run") or ""),
            step=str(ids.get("step") or ""),
            began=time.monotonic(),
            task=asyncio.create_task(_kept_here(work)),
            activity=activity,
            thread=thread,
            call=str(ids.get("call") or ""),
        )
        self._hand[request.id] = request
        try:
            await request.task
        except asyncio.CancelledError:
            here = asyncio.current_task()
            if not request.cancelled or (here is not None and here.cancelling()):
                raise
        finally:
            del self._hand[request.id]
        if request.cancelled:
            raise RequestRejectedError(wire.CANCELLED_CODE, request.cancelled)

    async def control(self, asked: ControlRequest) -> ControlReply:
        """Do what was asked over the bus. What does not let go within `LET_GO_S` is told."""
        if asked.drain is not None:
            self.drain = asked.drain
        if not asked.cancel:
            return ControlReply(requests=self._views())
        chosen = [r for r in self._hand.values() if asked.request in (None, r.id, r.call or r.id)]
        why = f"cancelled by {asked.by or 'somebody'}"
        stuck = await self._cancel(chosen, f"{why}: {asked.reason}" if asked.reason else why)
        return ControlReply(
            requests=self._views(),
            cancelled=[r.id for r in chosen if r not in stuck],
            stuck=[r.id for r in stuck],
        )

    async def withdraw(self, message: Msg) -> None:
        """Let go of what its caller no longer waits for; only it knows the id."""
        try:
            told = Withdrawal.model_validate_json(message.data)
        except ValidationError:
            return
        for request in list(self._hand.values()):
            if request.call == told.call and not request.cancelled:
                request.cancelled = "its caller no longer waits"
                request.task.cancel()

    async def abandon(self, why: str, within: float) -> None:
        """Cancel all that is in hand, its callers told why, for at most `within` seconds."""
        await self._cancel(list(self._hand.values()), why, within)

    async def _cancel(
        self, chosen: Iterable[_Request], why: str, within: float = LET_GO_S
    ) -> list[_Request]:
        """Those that did not let go."""
        requests = list(chosen)
        for request in requests:
            request.cancelled = request.cancelled or why
            request.task.cancel()
        if requests:
            await asyncio.wait({request.task for request in requests}, timeout=within)
        return [request for request in requests if not request.task.done()]

    def _views(self) -> list[RequestView]:
        oldest = sorted(self._hand.values(), key=lambda request: request.began)
        return [request.view() for request in oldest[:_MOST_SHOWN] if not request.task.done()]
