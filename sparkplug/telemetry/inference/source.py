"""The inference servers of this host, looked for now and then and asked every few seconds."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sparkplug.schema.errors import DeadlineError
from sparkplug.schema.inference import InferenceServer, ServerState
from sparkplug.telemetry.daemon_thread import DaemonThread
from sparkplug.telemetry.inference.asking import NoServerError, Said, ask
from sparkplug.telemetry.inference.finder import Candidate, Finder
from sparkplug.telemetry.inference.http import NoAnswerError
from sparkplug.telemetry.inference.metrics import Histogram
from sparkplug.telemetry.paced import Paced

LOG = logging.getLogger(__name__)

FIND_SECONDS = 10.0
FIND_DEADLINE_SECONDS = 10.0
ASK_SECONDS = 2.0
#: Of one core, for looking through the process table.
SHARE = 0.005
#: What is no inference server is asked again so seldom; it may have been one that was starting.
AGAIN_SECONDS = 60.0
#: A server that does not answer is shown so long.
FORGET_SECONDS = 60.0
SERVERS = 32
FIRST_TOKEN_SECONDS = 60.0


@dataclass
class _Server:
    """One server that was found."""

    candidate: Candidate
    seen: InferenceServer
    heard: float
    asked: float
    tokens: tuple[float | None, float | None] = (None, None)
    first: deque[tuple[float, Histogram]] = field(default_factory=deque)


class InferenceSource:
    """Finds and asks; `servers` is what was heard last, and reading it costs nothing.

    `on_gpu` tells the processes that hold GPU memory and the UUIDs of their GPUs. `urls` are
    asked whether or not a process of this host is seen to listen there.
    """

    def __init__(
        self,
        on_gpu: Callable[[], Mapping[int, Iterable[str]]],
        *,
        urls: Iterable[str] = (),
        owner_of: Callable[[int], str | None] = lambda pid: None,
        every: float = ASK_SECONDS,
        find_every: float = FIND_SECONDS,
    ) -> None:
        self._on_gpu = on_gpu
        self._owner_of = owner_of
        self._every = every
        finder = Finder(urls)
        self._thread = DaemonThread("looking for inference servers")
        self._find = Paced(
            lambda: finder.find(frozenset(self._on_gpu())), at_least=find_every, share=SHARE
        )
        self._servers: dict[str, _Server] = {}
        self._others: dict[str, float] = {}

    def servers(self) -> list[InferenceServer]:
        """The servers by URL, as they were heard last, with the age of that."""
        return [server.seen for _, server in sorted(self._servers.items())]

    async def run(self) -> None:
        """Find and ask until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self.read()
            await asyncio.sleep(max(self._every - (loop.time() - began), self._every / 4))

    async def read(self) -> None:
        """Look for servers where that is due, and ask all of them at once."""
        try:
            found = await self._thread.call(self._find.get, timeout=FIND_DEADLINE_SECONDS)
        except (DeadlineError, OSError) as error:
            LOG.warning("inference servers are not looked for: %s", error)
            found = [server.candidate for server in self._servers.values()]
        now = asyncio.get_running_loop().time()
        urls = {candidate.url for candidate in found}
        for url in [url for url in self._servers if url not in urls]:
            del self._servers[url]
        self._others = {url: at for url, at in self._others.items() if url in urls}
        asked = [c for c in found if self._is_due(c, now)][:SERVERS]
        ended = await asyncio.gather(*map(self._ask, asked), return_exceptions=True)
        for failure in ended:
            if isinstance(
                failure, Exception
            ):  # what a server says must not end the asking of others
                LOG.error("asking an inference server failed", exc_info=failure)

    def _is_due(self, candidate: Candidate, now: float) -> bool:
        refused = self._others.get(candidate.url)
        pause = self._every if candidate.certain else AGAIN_SECONDS
        return refused is None or now - refused >= pause

    async def _ask(self, candidate: Candidate) -> None:
        loop = asyncio.get_running_loop()
        server = self._servers.get(candidate.url)
        try:
            said = await ask(candidate.url, server.seen.kind if server is not None else "")
        except NoServerError:
            self._servers.pop(candidate.url, None)
            self._others[candidate.url] = loop.time()
        except NoAnswerError as error:
            self._silent(candidate, server, str(error), loop.time())
        else:
            self._others.pop(candidate.url, None)
            self._heard(candidate, said, loop.time())

    def _silent(
        self, candidate: Candidate, server: _Server | None, reason: str, now: float
    ) -> None:
        if server is None or now - server.heard > FORGET_SECONDS:
            self._servers.pop(candidate.url, None)
            self._others[candidate.url] = now
            return
        # What it said last does not hold any more, and is not shown as if it did.
        server.seen = InferenceServer(
            kind=server.seen.kind,
            url=server.seen.url,
            openai=server.seen.openai,
            state=ServerState.NOT_ANSWERING,
            reason=reason,
            age_seconds=round(now - server.heard, 1),
            version=server.seen.version,
            models=server.seen.models,
            **self._placed(candidate),
        )

    def _heard(self, candidate: Candidate, said: Said, now: float) -> None:
        seen = InferenceServer(
            kind=said.kind,
            url=candidate.url,
            openai=said.openai,
            state=said.state,
            reason=said.reason,
            version=said.version,
            models=said.models,
            requests_running=said.running,
            **self._placed(candidate),
        )
        server = self._servers.get(candidate.url)
        if server is None:
            server = self._servers[candidate.url] = _Server(candidate, seen, now, now)
        page = said.page
        if page is not None:
            seen.requests_running = _count(page.running)
            seen.requests_waiting = _count(page.waiting)
            seen.kv_cache_percent = _rounded(page.kv_percent)
            seen.prompt_tokens_total = page.prompt_tokens
            seen.generated_tokens_total = page.generated_tokens
            span = now - server.asked
            before = server.tokens
            seen.prompt_tokens_per_second = _rate(before[0], page.prompt_tokens, span)
            seen.generated_tokens_per_second = _rate(before[1], page.generated_tokens, span)
            server.tokens = (page.prompt_tokens, page.generated_tokens)
            self._first_token(server, seen, page.first_token, now)
        server.candidate, server.seen, server.heard, server.asked = candidate, seen, now, now

    def _first_token(
        self, server: _Server, seen: InferenceServer, now_is: Histogram | None, now: float
    ) -> None:
        """Over the requests of the last minute: those since the last answer are often none."""
        if now_is is None:
            return
        first = server.first
        first.append((now, now_is))
        while len(first) > 2 and first[1][0] <= now - FIRST_TOKEN_SECONDS:
            first.popleft()
        if len(first) < 2:
            return
        recent = now_is.since(first[0][1])
        mean, slow = recent.mean, recent.quantile(0.95)
        seen.first_token_seconds = None if mean is None else round(mean, 4)
        seen.first_token_p95_seconds = None if slow is None else round(slow, 4)

    def _placed(self, candidate: Candidate) -> dict[str, object]:
        gpus: dict[str, None] = {}
        for pid, uuids in self._on_gpu().items():
            if pid in candidate.family:
                gpus |= dict.fromkeys(uuids)
        agent = self._owner_of(candidate.pid) if candidate.pid is not None else None
        return {
            "pid": candidate.pid,
            "name": candidate.name,
            "agent": agent,
            "gpus": list(gpus),
        }


def _count(value: float | None) -> int | None:
    return None if value is None else max(0, round(value))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _rate(before: float | None, now: float | None, seconds: float) -> float | None:
    """A second; a server that begins anew counts from 0."""
    if before is None or now is None or seconds <= 0:
        return None
    return round((now - before if now >= before else now) / seconds, 2)
