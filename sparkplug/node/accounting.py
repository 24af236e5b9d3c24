"""Accounting: what each replica of this node takes and does, now and for a while back.

Processor time and memory are read from /proc (proc(5)) every two seconds for all processes
at once, in a thread; PSS, which the kernel has to walk page tables for, of one fifteenth of
them at a time. Counts come with the agents' own heartbeats, GPU memory with the telemetry.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import nats.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import Services
from sparkplug.clock import until_next
from sparkplug.node.token_rate import TokenRate
from sparkplug.node.usage_history import KEEP_EVERY_S, UsageTrack
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.host import Gpu
from sparkplug.schema.usage import (
    AgentCounts,
    AgentUsage,
    Latency,
    NodeUsage,
    UsageReply,
    UsageRequest,
)
from sparkplug.telemetry.process_states import read_stat, stat_fields

log = logging.getLogger(__name__)

PERIOD_S = 2.0
_PSS_EVERY_S = 30.0
_PSS_TURNS = int(_PSS_EVERY_S / PERIOD_S)
_LATENCY_S = 300.0
_LATENCY_STEP_S = 30.0
#: Replicas in one message: a message of any server holds them.
_PIECE = 1000
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Serving(NamedTuple):
    """A replica with a process: how it is, and what it counted. `shared` names its process."""

    observed: ObservedAgent
    incarnation: str
    shared: str
    counts: AgentCounts | None


@dataclass(slots=True)
class _Process:
    """What was read of a process."""

    cpu: float = 0.0
    percent: float | None = None
    spent: float = 0.0
    rss: int | None = None
    pss: int | None = None
    started: int = 0


class _Read(NamedTuple):
    started: int
    cpu: float
    rss: int


@dataclass(slots=True)
class _Account:
    """One replica over all its restarts."""

    usage: AgentUsage
    track: UsageTrack
    life: tuple[int | None, str] = (None, "")
    #: What was counted in lives before this one, and what of this one was seen last.
    before: AgentCounts = field(default_factory=AgentCounts)
    last: AgentCounts = field(default_factory=AgentCounts)
    answered_before: tuple[int, int] = (0, 0)
    answered: tuple[int, int] = (0, 0)
    #: Its own steps in a shared process: seconds a second, and when they were told last.
    rate: float = 0.0
    told: float = 0.0
    latencies: deque[tuple[float, Latency]] = field(default_factory=deque)
    tokens: TokenRate = field(default_factory=TokenRate)


class Accounting:
    """Measures, publishes the latest and keeps the history of this node's replicas."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        *,
        serving: Callable[[], Iterable[Serving]],
        gpus: Callable[[], Iterable[Gpu]],
        history_seconds: float,
    ) -> None:
        self._bus = bus
        self._node = node
        self._serving = serving
        self._gpus = gpus
        self._points = max(1, int(history_seconds / KEEP_EVERY_S))
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._processes: dict[int, _Process] = {}
        self._read_at = time.monotonic()
        self._kept_at = time.monotonic()
        self._turn = 0

    async def run(self, services: Services) -> None:
        """Account for ever, and answer what is asked."""
        subject = subjects.node_service(self._node, "usage")
        await services.serve(subject, UsageRequest, self.answer)
        while True:
            await asyncio.sleep(until_next(PERIOD_S))
            await self.take()
            await self._publish()

    async def answer(self, request: UsageRequest) -> UsageReply:
        """Usage now, and the history that was asked for."""
        chosen = [
            account
            for (name, _), account in self._accounts.items()
            if request.agent in (None, name)
        ]
        now = NodeUsage(node=self._node, agents=[account.usage for account in chosen])
        history = [a.track.since(request.seconds) for a in chosen] if request.seconds else []
        return UsageReply(now=now, history=history)

    async def take(self) -> None:
        """Measure once."""
        serving = list(self._serving())
        pids = sorted({s.observed.pid for s in serving if s.observed.pid})
        self._turn = (self._turn + 1) % _PSS_TURNS
        walked = [
            pid
            for pid in pids
            if pid % _PSS_TURNS == self._turn
            or pid not in self._processes
            or self._processes[pid].pss is None
        ]
        read, pss = await asyncio.to_thread(_read_all, pids, walked)
        now = time.monotonic()
        elapsed, self._read_at = now - self._read_at, now
        self._note_processes(read, pss, elapsed)
        gpus = _by_pid(self._gpus())
        busy: dict[str, float] = {}
        packed: dict[str, int] = {}
        known = set()
        for one in serving:
            key = (one.observed.name, one.observed.replica)
            known.add(key)
            account = self._accounts.get(key)
            if account is None:
                account = self._accounts[key] = _Account(
                    AgentUsage(agent=key[0], replica=key[1]), UsageTrack(*key, self._points)
                )
                account.track.keep(account.usage)
            self._note_counts(account, one, now)
            if one.shared:
                busy[one.shared] = busy.get(one.shared, 0.0) + account.rate
                packed[one.shared] = packed.get(one.shared, 0) + 1
        for key in self._accounts.keys() - known:
            del self._accounts[key]
        for one in serving:
            account = self._accounts[one.observed.name, one.observed.replica]
            count = packed.get(one.shared, 0)
            total = busy.get(one.shared, 0.0)
            # What a process did that was no agent's step is shared out as the steps are.
            share = 1.0 if not count else account.rate / total if total else 1.0 / count
            self._note_use(account, one, share, count, gpus)
        if now - self._kept_at >= KEEP_EVERY_S - PERIOD_S / 2:
            self._kept_at = now
            for account in self._accounts.values():
                account.track.keep(account.usage)

    def _note_processes(
        self, read: dict[int, _Read], pss: dict[int, int | None], elapsed: float
    ) -> None:
        before, self._processes = self._processes, {}
        for pid, (started, cpu, rss) in read.items():
            process = before.get(pid)
            if process is None or process.started != started:
                process = _Process(started=started, spent=cpu)
            else:
                process.spent = cpu - process.cpu
                process.percent = 100.0 * process.spent / elapsed
            process.cpu, process.rss = cpu, rss
            process.pss = pss.get(pid, process.pss)
            self._processes[pid] = process

    def _note_counts(self, account: _Account, one: Serving, now: float) -> None:
        """Add up over restarts what an agent counts from zero in each of its lives."""
        observed, counts, usage = one.observed, one.counts, account.usage
        usage.pid, usage.inflight = observed.pid, observed.inflight
        usage.restarts = observed.restarts
        if counts is None:
            # Between two lives, or not heard of yet in this one.
            return
        life = (observed.pid, one.incarnation)
        answered = (observed.served + observed.failed, observed.failed)
        if life != account.life or answered[0] < account.answered[0]:
            account.life = life
            account.before = _sum(account.before, account.last)
            account.answered_before = (
                account.answered_before[0] + account.answered[0],
                account.answered_before[1] + account.answered[1],
            )
            account.last, account.rate, account.told = AgentCounts(), 0.0, now
            account.latencies.clear()
        account.answered = answered
        if counts is account.last:
            # A shared process tells of an agent when there is something to tell.
            if now - account.told > 2 * PERIOD_S:
                account.rate = 0.0
        else:
            if counts.cpu_seconds is not None:
                spent = counts.cpu_seconds - (account.last.cpu_seconds or 0.0)
                account.rate = max(spent, 0.0) / max(now - account.told, PERIOD_S / 2)
            account.told, account.last = now, counts
        usage.prompts = account.answered_before[0] + answered[0]
        usage.errors = account.answered_before[1] + answered[1]
        usage.received = account.before.received + counts.received
        usage.sent = account.before.sent + counts.sent
        usage.received_bytes = account.before.received_bytes + counts.received_bytes
        usage.sent_bytes = account.before.sent_bytes + counts.sent_bytes
        usage.model_calls = account.before.model_calls + counts.model_calls
        usage.tokens_in = account.before.tokens_in + counts.tokens_in
        usage.tokens_out = account.before.tokens_out + counts.tokens_out
        usage.model_cost = round(account.before.model_cost + counts.model_cost, 9)
        usage.tokens_per_second = account.tokens.rate(usage.tokens_out, now)
        self._note_latency(account, counts, now)

    def _note_latency(self, account: _Account, counts: AgentCounts, now: float) -> None:
        """Quantiles of the last minutes: what is counted now less what was counted then."""
        seen = account.latencies
        if not counts.latency:
            account.usage.latency_p50_ms = account.usage.latency_p95_ms = None
            return
        if not seen:
            seen.append((now, Latency()))
        elif now - seen[-1][0] >= _LATENCY_STEP_S:
            seen.append((now, Latency(counts.latency)))
        while len(seen) > 1 and now - seen[1][0] >= _LATENCY_S:
            seen.popleft()
        recent = Latency(counts.latency).since(seen[0][1])
        p50, p95 = recent.quantile(0.5), recent.quantile(0.95)
        account.usage.latency_p50_ms = None if p50 is None else round(p50 * 1000, 1)
        account.usage.latency_p95_ms = None if p95 is None else round(p95 * 1000, 1)

    def _note_use(
        self,
        account: _Account,
        one: Serving,
        share: float,
        count: int,
        gpus: dict[int, tuple[int, float | None]],
    ) -> None:
        usage = account.usage
        usage.shared = count
        process = self._processes.get(one.observed.pid or 0)
        if process is None:
            usage.cpu_percent = usage.rss_bytes = usage.pss_bytes = None
        else:
            usage.cpu_percent = (
                None if process.percent is None else round(process.percent * share, 2)
            )
            usage.cpu_seconds = round(usage.cpu_seconds + process.spent * share, 4)
            usage.rss_bytes, usage.pss_bytes = process.rss, process.pss
        usage.gpu_memory_bytes, usage.gpu_percent = gpus.get(one.observed.pid or 0, (None, None))

    async def _publish(self) -> None:
        if not self._bus.connected:
            return
        found = [account.usage for account in self._accounts.values()]
        for at in range(0, max(len(found), 1), _PIECE):
            piece = NodeUsage(node=self._node, part=at // _PIECE, agents=found[at : at + _PIECE])
            body = piece.model_dump_json(exclude_defaults=True).encode()
            try:
                await self._bus.nc.publish(subjects.usage(self._node), body)
            except nats.errors.Error as error:
                log.debug("usage is not published: %s", error)


def _sum(one: AgentCounts, other: AgentCounts) -> AgentCounts:
    return AgentCounts(
        received=one.received + other.received,
        sent=one.sent + other.sent,
        received_bytes=one.received_bytes + other.received_bytes,
        sent_bytes=one.sent_bytes + other.sent_bytes,
        model_calls=one.model_calls + other.model_calls,
        tokens_in=one.tokens_in + other.tokens_in,
        tokens_out=one.tokens_out + other.tokens_out,
        model_cost=one.model_cost + other.model_cost,
    )


def _by_pid(gpus: Iterable[Gpu]) -> dict[int, tuple[int, float | None]]:
    """GPU memory of each process over all GPUs, and the use of the busiest it has memory on."""
    found: dict[int, tuple[int, float | None]] = {}
    for gpu in gpus:
        for process in gpu.processes:
            memory, percent = found.get(process.pid, (0, None))
            used = process.sm_percent
            if used is not None:
                percent = max(percent or 0.0, used)
            found[process.pid] = (memory + (process.used_bytes or 0), percent)
    return found


def _read_all(pids: list[int], walked: list[int]) -> tuple[dict[int, _Read], dict[int, int | None]]:
    """Of each process its start, CPU seconds and RSS; of some their PSS. Blocking."""
    read = {}
    for pid in pids:
        text = read_stat(str(pid))
        parsed = stat_fields(text) if text else None
        if parsed is not None and len(parsed[1]) > 21:
            fields = parsed[1]
            cpu = (int(fields[11]) + int(fields[12])) / _TICKS
            read[pid] = _Read(int(fields[19]), cpu, max(int(fields[21]), 0) * _PAGE)
    return read, {pid: _pss(pid) for pid in walked}


def _pss(pid: int) -> int | None:
    """Proportional set size; None where the kernel does not tell it of that process."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123 - hot path
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
