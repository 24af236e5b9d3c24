"""Services: a typed request and a typed reply on one subject, with errors that stay errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic import BaseModel, ValidationError

from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import (
    DeadlineError,
    InvalidError,
    NoMeshError,
    SparkplugError,
    error_from_json,
)
from sparkplug.schema.text import one_line

log = logging.getLogger(__name__)

RequestT = TypeVar("RequestT", bound=BaseModel)
ReplyT = TypeVar("ReplyT", bound=BaseModel)

_ERROR_HEADER = "Sparkplug-Error"
_INBOXES = "_INBOX."
_MAX_REQUEST_BYTES = 4 << 20


class Services:
    """The services one process offers; requests are worked on at the same time."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: list[Subscription] = []

    async def serve(
        self,
        subject: str,
        model: type[RequestT],
        handler: Callable[[RequestT], Awaitable[BaseModel]],
        *,
        queue: str = "",
    ) -> None:
        """Answer requests on `subject`; with `queue` one of its members answers each."""
        await self._subscribe(subject, model, lambda _: handler, queue)

    async def serve_named(
        self,
        subject: str,
        model: type[RequestT],
        handler: Callable[[str, RequestT], Awaitable[BaseModel]],
        *,
        queue: str = "",
    ) -> None:
        """As `serve`, of a subject with wildcards: the handler is told which was asked on."""

        async def answer(request: RequestT, message: Msg) -> BaseModel:
            return await handler(message.subject, request)

        await self.serve_message(subject, model, answer, queue=queue)

    async def _subscribe(
        self,
        subject: str,
        model: type[RequestT],
        handler_of: Callable[[Msg], Callable[[RequestT], Awaitable[BaseModel | None]]],
        queue: str,
    ) -> None:
        async def receive(message: Msg) -> None:
            if message.reply and not message.reply.startswith(_INBOXES):
                # Who may publish little would have us publish for it, into a bucket perhaps.
                log.warning("a request on %s wants its answer elsewhere", message.subject)
                return
            task = asyncio.create_task(
                _answer(self._bus, message, model, handler_of(message)), name=f"serve {subject}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._subscriptions.append(await self._bus.nc.subscribe(subject, queue=queue, cb=receive))

    async def serve_message(
        self,
        subject: str,
        model: type[RequestT],
        handler: Callable[[RequestT, Msg], Awaitable[BaseModel | None]],
        *,
        queue: str = "",
    ) -> None:
        """As `serve`, for one that has to look at the message too: at who signed it.

        A handler that returns None leaves the answer to somebody else.
        """

        def bound(message: Msg) -> Callable[[RequestT], Awaitable[BaseModel | None]]:
            return lambda request: handler(request, message)

        await self._subscribe(subject, model, bound, queue)

    async def close(self) -> None:
        """Take no more requests, and give up those in hand."""
        for subscription in self._subscriptions:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _answer(
    bus: Bus,
    message: Msg,
    model: type[RequestT],
    handler: Callable[[RequestT], Awaitable[BaseModel | None]],
) -> None:
    try:
        if len(message.data) > _MAX_REQUEST_BYTES:
            raise InvalidError(f"the request is larger than {_MAX_REQUEST_BYTES} bytes")
        try:
            request = model.model_validate_json(message.data or b"{}")
        except ValidationError as error:
            raise InvalidError(f"not a {model.__name__}: {_first(error)}") from error
        reply = await handler(request)
        if message.reply and reply is not None:  # else it was only told
            await message.respond(reply.model_dump_json(by_alias=True).encode())
    except SparkplugError as error:
        await _respond_error(bus, message, error)
    except Exception as error:
        log.exception("service %s", message.subject)
        await _respond_error(bus, message, SparkplugError(f"{type(error).__name__}: {error}"))


async def _respond_error(bus: Bus, message: Msg, error: SparkplugError) -> None:
    if not message.reply:
        return
    body = json.dumps(error.as_json()["error"])
    try:
        await bus.nc.publish(message.reply, body.encode(), headers={_ERROR_HEADER: error.code})
    except nats.errors.Error:
        log.debug("no way to tell %s: %s", message.reply, error.message)


async def call(
    bus: Bus,
    subject: str,
    request: BaseModel,
    reply: type[ReplyT],
    *,
    deadline: float = 5.0,
    signed: bool = False,
) -> ReplyT:
    """Ask a service and return its typed reply. `signed` proves whose request it is, where this
    connection has a user with a key.

    Raises what the service raised, NoMeshError when nothing serves the subject, and
    DeadlineError when it does not answer within `deadline` seconds.
    """
    body = request.model_dump_json(by_alias=True).encode()
    headers = None
    if signed:
        # What signs takes long to import, and most verbs sign nothing.
        from sparkplug.bus.senders import signed_headers

        headers = await signed_headers(bus, subject, body)
    try:
        message = await bus.nc.request(subject, body, timeout=deadline, headers=headers)
    except nats.errors.NoRespondersError as error:
        raise NoMeshError(
            f"nothing answers on {subject}", hint="is that node up? `sparkplug hosts` tells"
        ) from error
    except (TimeoutError, nats.errors.TimeoutError) as error:
        raise DeadlineError(f"no answer on {subject} within {deadline:g} s") from error
    except nats.errors.BadSubjectError as error:
        raise InvalidError(f"nothing can be asked on {one_line(subject)}") from error
    except nats.errors.MaxPayloadError as error:
        raise InvalidError("the request is larger than the server takes") from error
    except (nats.errors.ConnectionClosedError, nats.errors.OutboundBufferLimitError) as error:
        raise NoMeshError(f"the connection to {bus.shown_url} is gone") from error
    if message.headers and _ERROR_HEADER in message.headers:
        try:
            raise error_from_json(json.loads(message.data))
        except ValueError as error:
            raise SparkplugError(f"{subject} failed and did not say how") from error
    try:
        return reply.model_validate_json(message.data)
    except ValidationError as error:
        raise SparkplugError(
            f"{subject} answered something that is not a {reply.__name__}: {_first(error)}",
            hint="do the versions differ? `sparkplug status` tells",
        ) from error


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(str(part) for part in problem['loc']) or 'it'}: {problem['msg']}"
