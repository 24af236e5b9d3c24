"""Connecting to NATS: one way for every process of ours, reconnecting for ever."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from urllib.parse import urlparse

import nats.errors
from nats.aio.client import Client
from nats.aio.client import RawCredentials as NatsRawCredentials
from nats.js import JetStreamContext

from sparkplug.bus import cancellation
from sparkplug.bus.jwt import Credentials
from sparkplug.schema.errors import NoMeshError, RefusedError

log = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT")

cancellation.install()

#: Per-key TTL and message tracing came with this release.
FLOOR = (2, 11, 0)
_RECONNECT_WAIT_S = 0.25
_SECRET = re.compile(r"://[^/@]*@")
_JETSTREAM_DEADLINE_S = 5.0


def without_secret(url: str) -> str:
    """A URL without the user and password in it, for messages."""
    return _SECRET.sub("://", url)


def parse_version(text: str) -> tuple[int, int, int]:
    """`2.15.1` or `nats-server: v2.15.1-beta` as numbers; zeros when there are none."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


class Bus:
    """A connection to the mesh. Survives the server: callers are told when it came back."""

    def __init__(self, url: str, inbox_prefix: str) -> None:
        self.url = url
        self.inbox_prefix = inbox_prefix
        self.nc = Client()
        self._reconnected: list[Callable[[], Awaitable[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        #: Done when the connection that is there now is lost.
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.epoch = 0

    @property
    def shown_url(self) -> str:
        """The URL without secrets, for messages."""
        return without_secret(self.url)

    @property
    def js(self) -> JetStreamContext:
        """JetStream on this connection, with a deadline on every call."""
        return self._js

    @property
    def connected(self) -> bool:
        """True while the server can be reached."""
        return bool(self.nc.is_connected)

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Run `callback` after every reconnect; the result removes it again."""
        self._reconnected.append(callback)

        def remove() -> None:
            if callback in self._reconnected:
                self._reconnected.remove(callback)

        return remove

    async def answer(self, call: Coroutine[Any, Any, AnswerT]) -> AnswerT:
        """What the server answers to `call`; the answer of a server that went does not come.

        Raises ConnectionReconnectingError as soon as the connection it was asked on is lost,
        instead of waiting until the time of the call is up.
        """
        lost = self._lost
        asked = asyncio.ensure_future(call)
        try:
            waits: set[asyncio.Future[Any]] = {asked, lost}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise nats.errors.ConnectionReconnectingError
            return asked.result()
        finally:
            asked.cancel()

    def _lose(self) -> None:
        """What was asked so far is not answered any more."""
        self._lost.set_result(None)
        self._lost = asyncio.get_running_loop().create_future()

    async def wait_connected(self, deadline: float) -> bool:
        """Wait until the server can be reached, at most `deadline` seconds."""
        try:
            async with asyncio.timeout(deadline):
                while not self.connected:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            return False
        return True

    async def open(self, name: str, credentials: Credentials | None, deadline: float) -> None:
        """Connect. Raises NoMeshError, or RefusedError when the server does not accept us."""
        await _probe(self.url, deadline)
        refused: list[Exception] = []

        async def on_error(error: Exception) -> None:
            refused.append(error)
            log.debug("nats: %s", error)

        async def on_disconnected() -> None:
            self._lose()

        async def on_reconnected() -> None:
            self.epoch += 1
            for callback in list(self._reconnected):
                task = asyncio.ensure_future(_guarded(callback))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        options: dict[str, object] = {}
        if credentials is not None:
            options["user_credentials"] = NatsRawCredentials(credentials.as_creds_file())
        try:
            async with asyncio.timeout(deadline):
                await self.nc.connect(
                    self.url,
                    name=name,
                    error_cb=on_error,
                    disconnected_cb=on_disconnected,
                    reconnected_cb=on_reconnected,
                    allow_reconnect=True,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=_RECONNECT_WAIT_S,  # type: ignore[arg-type]
                    ping_interval=10,
                    max_outstanding_pings=2,
                    inbox_prefix=self.inbox_prefix,
                    **options,  # type: ignore[arg-type]
                )
        except (TimeoutError, OSError, nats.errors.Error) as error:
            await self._abandon()
            cause = next((e for e in [error, *refused] if _is_refusal(e)), None)
            if cause is not None:
                raise RefusedError(
                    f"the NATS server at {self.shown_url} refuses us: {cause}",
                    hint="it belongs to another user or mesh; check the credentials in use",
                ) from error
            raise NoMeshError(
                f"no NATS server answers at {self.shown_url}: {error or 'no answer in time'}",
                hint="`sparkplug up` starts the node on this host, `sparkplug doctor` says more",
            ) from error
        # The first connect may fail fast; from now on the server is waited for, for ever.
        self.nc.options["max_reconnect_attempts"] = -1
        await self._require_floor()
        self._js = self.nc.jetstream(timeout=_JETSTREAM_DEADLINE_S)

    async def _require_floor(self) -> None:
        version = self.nc.connected_server_version
        if (version.major, version.minor, version.patch) < FLOOR:
            found = f"{version.major}.{version.minor}.{version.patch}"
            await self._abandon()
            raise NoMeshError(
                f"the NATS server at {self.shown_url} is {found}; SparkPlug needs 2.11 or newer",
                hint="upgrade it, or unset nats.url to let SparkPlug start its own",
            )

    async def _abandon(self) -> None:
        try:
            async with asyncio.timeout(1):
                await self.nc.close()
        except (TimeoutError, OSError, nats.errors.Error) as error:
            log.debug("closing after a failed connect: %s", error)

    async def flush(self, deadline: float = 5.0) -> None:
        """Wait until the server has seen everything sent so far."""
        await self.nc.flush(timeout=deadline)  # type: ignore[arg-type]

    async def close(self) -> None:
        """Say goodbye; at most a second, whatever the server does."""
        for task in list(self._tasks):
            task.cancel()
        if self.nc.is_connected:
            try:
                await self.flush(0.5)
            except (TimeoutError, nats.errors.Error) as error:
                log.debug("flush at close: %s", error)
        await self._abandon()


async def connect(
    url: str,
    *,
    name: str,
    inbox_prefix: str,
    credentials: Credentials | None = None,
    deadline: float = 5.0,
) -> Bus:
    """A connected Bus. Raises NoMeshError or RefusedError within `deadline` seconds."""
    bus = Bus(url, inbox_prefix)
    await bus.open(name, credentials, deadline)
    return bus


async def _guarded(callback: Callable[[], Awaitable[None]]) -> None:
    try:
        await callback()
    except (TimeoutError, nats.errors.Error) as error:
        log.warning("after a reconnect: %s", error)


async def _probe(url: str, deadline: float) -> None:
    """Fail at once when nothing listens: nats-py would retry for two seconds and print."""
    parsed = urlparse(url if "://" in url else f"nats://{url}")
    host, port = parsed.hostname or "127.0.0.1", parsed.port or 4222
    try:
        async with asyncio.timeout(deadline):
            _, writer = await asyncio.open_connection(host, port)
    except (TimeoutError, OSError) as error:
        raise NoMeshError(
            f"no NATS server answers at {without_secret(url)}: {error or 'no answer in time'}",
            hint="`sparkplug up` starts the node on this host, `sparkplug doctor` says more",
        ) from error
    writer.close()


def _is_refusal(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, nats.errors.AuthorizationError) or (
        "authorization" in text or "authentication" in text or "nkey" in text
    )
