"""Connecting to NATS: one way for every process of ours, reconnecting for ever."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlparse

import nats.errors
from nats.aio.client import Client, Srv
from nats.aio.client import RawCredentials as NatsRawCredentials
from nats.js import JetStreamContext

from sparkplug.bus import cancellation
from sparkplug.bus.certificates import read_ca, tls_context
from sparkplug.bus.jwt import Credentials
from sparkplug.bus.server_record import read_server
from sparkplug.bus.websockets import take_websockets
from sparkplug.schema.errors import InvalidError, NoMeshError, RefusedError, SparkplugError

log = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT")

cancellation.install()
# nats-py upgrades its streams to TLS, and asyncio remarks on that at every end of one.
logging.getLogger("asyncio").addFilter(lambda record: "eof_received" not in record.getMessage())

#: Per-key TTL and message tracing came with this release.
FLOOR = (2, 11, 0)
_RECONNECT_WAIT_S = 0.25
_CLEAR = "it offers no TLS"
#: Seconds between pings, of which two may go unanswered: on this host only a server that hangs
#: is found so; on a network one that is cut off says nothing, and is to be noticed within 5 s.
#: An address of this host may be the near end of a tunnel: who shows what is there asks as often.
_PING_HERE_S = 10.0
_PING_NETWORK_S = 1.5
#: A server that refuses us so often in a row has shut us out.
_REFUSALS = 20
_SECRET = re.compile(r"://[^/@]*@")
_JETSTREAM_DEADLINE_S = 5.0


def without_secret(url: str) -> str:
    """A URL without the user and password in it, for messages."""
    return _SECRET.sub("://", url)


def parse_version(text: str) -> tuple[int, int, int]:
    """`2.15.1` or `nats-server: v2.15.1-beta` as numbers; zeros when there are none."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


class BusClient(Client):
    """nats-py's client, which looks for a private server where its host's record says it is now.

    It never talks in clear to a server that was to speak TLS: nats-py would, when the server (or
    who stands between) does not offer it.
    """

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self._bus = bus

    async def _connect_to_server(self, s: Srv) -> None:
        if self._bus.refresh():
            s.uri = urlparse(self._bus.url)
            self.options.update(self._bus.tls_options())
        await super()._connect_to_server(s)

    async def _process_op_err(self, e: Exception) -> None:
        # A goodbye to a server that is not there is waited for, over TLS for 30 s.
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None and not (self.is_closed or self.is_reconnecting):
            writer.transport.abort()
        await super()._process_op_err(e)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and self._bus.secure and not info.get("tls_required"):
            raise nats.errors.Error(_CLEAR)
        await super()._process_info(info, initial_connection)


class Bus:
    """A connection to the mesh. Survives the server: callers are told when it came back.

    `ca` is the PEM text of the authority to trust, empty for those the system trusts. `record`
    is the run directory of the host whose private server this is: it may come back elsewhere.
    """

    def __init__(
        self, url: str, inbox_prefix: str, ca: str = "", record: Path | None = None
    ) -> None:
        self.url = url
        self.ca = ca
        self.record = record
        self.inbox_prefix = inbox_prefix
        self.name = ""
        self.credentials: Credentials | None = None
        self.nc: Client = self._client()
        #: Set when the server will not have us any more: nothing reconnects.
        self.shut_out = asyncio.Event()
        #: Whether a server that hangs is to be noticed soon, also on this host.
        self.attentive = False
        self._closing = False
        self._refusals = 0
        self._reconnected: list[Callable[[], Awaitable[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        #: Done when the connection that is there now is lost.
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.epoch = 0

    def _client(self) -> Client:
        return BusClient(self)

    @property
    def shown_url(self) -> str:
        """The URL without secrets, for messages."""
        return without_secret(self.url)

    @property
    def secure(self) -> bool:
        """Whether this connection has to be over TLS."""
        return bool(self.ca) or self.url.startswith(("tls://", "wss://"))

    def refresh(self) -> bool:
        """Look where the private server is now. True when it moved, or has got TLS."""
        found = read_server(self.record) if self.record is not None else None
        if found is None or found.url == self.url:
            return False
        try:
            self.ca = read_ca(Path(found.ca)) if found.ca else ""
        except SparkplugError as error:
            log.warning("the server moved to %s: %s", found.url, error)
            return False
        self.url = found.url
        return True

    def tls_options(self) -> dict[str, Any]:
        """What nats-py is told of TLS. Raises InvalidError for an authority that is none."""
        if not self.ca:
            return {}
        context, name = tls_context(self.ca)
        return {"tls": context, "tls_hostname": name} if name else {"tls": context}

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
        self.name, self.credentials = name, credentials
        urls = [url.strip() for url in self.url.split(",")]
        if any(url.startswith(("ws://", "wss://")) for url in urls):
            _take_websockets()
        if not self.secure:
            # A server of TLS logs an error for each that looks and leaves.
            await _probe(urls, deadline)
        refused: list[Exception] = []

        async def on_error(error: Exception) -> None:
            log.debug("nats: %s", error)
            if self._closing:
                refused.append(error)
            elif not self.nc.is_connected and _is_refusal(error):
                self._refusals += 1
                if self._refusals >= _REFUSALS:
                    self.shut_out.set()

        async def on_disconnected() -> None:
            self._lose()

        async def on_reconnected() -> None:
            self.epoch += 1
            self._refusals = 0
            for callback in list(self._reconnected):
                task = asyncio.ensure_future(_guarded(callback))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        async def on_closed() -> None:
            if not self._closing:
                log.warning("the server closed the connection: %s", self.nc.last_error)
                self.shut_out.set()

        options: dict[str, object] = self.tls_options()
        if credentials is not None:
            options["user_credentials"] = NatsRawCredentials(credentials.as_creds_file())
        self._closing = True
        try:
            async with asyncio.timeout(deadline):
                await self.nc.connect(
                    urls,
                    name=name,
                    error_cb=on_error,
                    disconnected_cb=on_disconnected,
                    reconnected_cb=on_reconnected,
                    closed_cb=on_closed,
                    allow_reconnect=True,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=_RECONNECT_WAIT_S,  # type: ignore[arg-type]
                    ping_interval=self._ping_interval(urls),  # type: ignore[arg-type]
                    max_outstanding_pings=2,
                    inbox_prefix=self.inbox_prefix,
                    **options,  # type: ignore[arg-type]
                )
        except (TimeoutError, OSError, nats.errors.Error) as error:
            await self._abandon()
            distrusted = next((e for e in [error, *refused] if _is_distrust(e)), None)
            if distrusted is not None:
                raise RefusedError(
                    f"the NATS server at {self.shown_url} is not one we trust: "
                    f"{getattr(distrusted, 'verify_message', '') or distrusted}",
                    hint="nats.ca, or `contexts add --ca`, names the certificate of its authority",
                ) from error
            cause = next((e for e in [error, *refused] if _is_refusal(e)), None)
            if cause is not None:
                raise RefusedError(
                    f"the NATS server at {self.shown_url} refuses us: {cause}",
                    hint=(
                        "it belongs to another user or mesh; check the credentials in use. "
                        "A host that was expelled goes back by `sparkplug mesh leave`"
                    ),
                ) from error
            why = next((e for e in refused if isinstance(e, OSError)), error)
            raise NoMeshError(
                f"no NATS server answers at {self.shown_url}: {_said(why)}",
                hint="`sparkplug up` starts the node on this host, `sparkplug doctor` says more",
            ) from error
        # The first connect may fail fast; from now on the server is waited for, for ever.
        self.nc.options["max_reconnect_attempts"] = -1
        self._closing = False
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
        self._closing = True
        try:
            async with asyncio.timeout(1):
                await self.nc.close()
        except (TimeoutError, OSError, nats.errors.Error) as error:
            log.debug("closing after a failed connect: %s", error)

    def _ping_interval(self, urls: list[str]) -> float:
        near = self.record is not None or all(
            _host_port(url)[0] in ("127.0.0.1", "::1", "localhost") for url in urls
        )
        return _PING_HERE_S if near and not self.attentive else _PING_NETWORK_S

    async def flush(self, deadline: float = 5.0) -> None:
        """Wait until the server has seen everything sent so far."""
        until = time.monotonic() + deadline
        await self.nc.flush(timeout=deadline)  # type: ignore[arg-type]
        # nats-py writes its PING before what still waits to be written, as subscriptions do: by
        # its PONG that is written, not read. What is asked by then of who serves is lost to it.
        left = max(0.001, until - time.monotonic())
        await self.nc.flush(timeout=left)  # type: ignore[arg-type]

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
    ca: str = "",
    record: Path | None = None,
    deadline: float = 5.0,
    attentive: bool = False,
) -> Bus:
    """A connected Bus. Raises NoMeshError or RefusedError within `deadline` seconds.

    `ca` is the PEM text of the authority to trust; `record` the run directory of this host's
    private server, when it is that one: see Bus. One that is `attentive` notices within 5 s that
    the server says nothing any more, wherever it is.
    """
    bus = Bus(url, inbox_prefix, ca, record)
    bus.attentive = attentive
    await bus.open(name, credentials, deadline)
    return bus


async def _guarded(callback: Callable[[], Awaitable[None]]) -> None:
    try:
        await callback()
    except (TimeoutError, nats.errors.Error) as error:
        log.warning("after a reconnect: %s", error)


def _take_websockets() -> None:
    try:
        take_websockets()
    except ImportError as error:
        raise InvalidError(
            "NATS over WebSockets needs aiohttp",
            hint="pip install aiohttp, or name the server by nats:// or tls://",
        ) from error


def _said(error: Exception | None) -> str:
    """What an error says, the system's in plain words; a timeout says nothing itself."""
    if isinstance(error, OSError) and error.errno:
        named = os.strerror(error.errno) if error.errno > 0 else error.strerror or str(error)
        return named[:1].lower() + named[1:]
    return str(error or "") or "no answer in time"


async def _probe(urls: list[str], deadline: float) -> None:
    """Fail at once when nothing listens: nats-py would retry for two seconds and print."""
    failed: Exception | None = None
    for url in urls:
        host, port = _host_port(url)
        try:
            async with asyncio.timeout(deadline / len(urls)):
                _, writer = await asyncio.open_connection(host, port)
        except (TimeoutError, OSError) as error:
            failed = error
            continue
        writer.close()
        return
    raise NoMeshError(
        f"no NATS server answers at {without_secret(','.join(urls))}: {_said(failed)}",
        hint="`sparkplug up` starts the node on this host, `sparkplug doctor` says more",
    ) from failed


def _host_port(url: str) -> tuple[str, int]:
    parsed = urlparse(url if "://" in url else f"nats://{url}")
    return parsed.hostname or "127.0.0.1", parsed.port or 4222


def _is_distrust(error: BaseException) -> bool:
    return isinstance(error, ssl.SSLError) or _CLEAR in str(error)


def _is_refusal(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, nats.errors.AuthorizationError) or (
        "authorization" in text or "authentication" in text or "nkey" in text
    )
