"""`sparkplug agents usage`: what agents take and do, now and for a while back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.plain import plain
from sparkplug.schema.usage import AgentUsage, UsageHistory, UsagePoint

if TYPE_CHECKING:
    from sparkplug.client.usage import UsageByReplica


async def usage(cli: Cli) -> int:
    """What every replica takes, or those of one agent; with --since its history."""
    from sparkplug.client import agents as room
    from sparkplug.client.usage import read_history, read_usage

    name, since = cli.args.agent, cli.args.since
    async with cli.connect() as client:
        if name is not None:
            await room.require_managed(client, name)
        if name is not None and since is not None:
            _print_history(cli, await read_history(client, name, since))
            return 0

        async def fetch() -> Iterable[AgentUsage]:
            found = await read_usage(client, name)
            return [found[key] for key in sorted(found)]

        return await show(cli, fetch, USAGE)


def usage_data(usage: AgentUsage) -> dict[str, Any]:
    """A replica's usage as `--json` has it."""
    return plain(usage)


def in_words(usage: AgentUsage) -> str:
    """A replica's usage on a line."""
    memory = f"memory {figures.size(usage.rss_bytes)}"
    if usage.pss_bytes is not None:
        memory += f" (its share of shared pages counted: {figures.size(usage.pss_bytes)})"
    if usage.shared:
        memory += f" of the process that {usage.shared} agents share"
    parts = [f"CPU {_percent(usage.cpu_percent) or '—'}", memory]
    if usage.gpu_memory_bytes is not None:
        parts.append(f"GPU memory {figures.size(usage.gpu_memory_bytes)}")
    parts.append(f"{usage.received} messages in, {usage.sent} out")
    if usage.latency_p50_ms is not None:
        p50, p95 = _ms(usage.latency_p50_ms), _ms(usage.latency_p95_ms)
        parts.append(f"answers in {p50} (p95 {p95})")
    if usage.model_calls:
        parts.append(
            f"{usage.model_calls} calls of models: {usage.tokens_in} tokens in, "
            f"{usage.tokens_out} out, cost {_cost(usage) or 'nothing'}"
        )
    return ", ".join(parts)


def with_usage(listing: Listing[ObservedAgent], used: UsageByReplica) -> Listing[ObservedAgent]:
    """The listing of agents with columns of what they take, before the reason."""

    def cell(of: Callable[[AgentUsage], object]) -> Callable[[ObservedAgent], object]:
        def value(agent: ObservedAgent) -> object:
            found = None if agent.foreign else used.get((agent.name, agent.replica))
            return None if found is None else of(found)

        return value

    taken = [Column(column.title, cell(column.cell), wide=True, right=True) for column in _TAKEN]

    def data(agent: ObservedAgent) -> dict[str, Any]:
        found = None if agent.foreign else used.get((agent.name, agent.replica))
        thought = {name: None if found is None else getattr(found, name) for name in _THOUGHT}
        return {**listing.data(agent), **thought}

    columns = (*listing.columns[:-1], *taken, listing.columns[-1])
    return replace(listing, columns=columns, data=data)


def _print_history(cli: Cli, found: list[UsageHistory]) -> None:
    if cli.out.structured:
        cli.out.data([plain(history) for history in found])
        return
    points = [(history, point) for history in found for point in history.points]
    cli.out.stdout.write(cli.out.render(points, HISTORY))
    if not points and not cli.out.structured:
        cli.out.talk(HISTORY.empty)


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}%"


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f}ms" if value >= 10 else f"{value:.1f}ms"


def _rate(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}/s"


def _cost(usage: AgentUsage) -> str | None:
    return f"{usage.model_cost:.4g}" if usage.model_cost else None


def _size(value: int | None) -> str | None:
    return None if value is None else figures.size(value)


#: What `agents list --json` tells of models.
_THOUGHT = ("tokens_in", "tokens_out", "tokens_per_second", "model_cost")

_TAKEN: tuple[Column[AgentUsage], ...] = (
    Column("cpu", lambda u: _percent(u.cpu_percent), right=True),
    Column("memory", lambda u: _size(u.rss_bytes), right=True),
    Column("shared", lambda u: u.shared or None, right=True),
    Column("gpu mem", lambda u: _size(u.gpu_memory_bytes), right=True),
    Column("p50", lambda u: _ms(u.latency_p50_ms), right=True),
    Column("p95", lambda u: _ms(u.latency_p95_ms), right=True),
    Column("tokens/s", lambda u: u.tokens_per_second, right=True),
    Column("cost", lambda u: _cost(u), right=True),
)

USAGE: Listing[AgentUsage] = Listing(
    columns=(
        Column("name", lambda u: u.agent),
        Column("replica", lambda u: u.replica),
        *_TAKEN[:3],
        Column("pss", lambda u: _size(u.pss_bytes), wide=True, right=True),
        Column("cpu time", lambda u: figures.span(u.cpu_seconds), wide=True, right=True),
        _TAKEN[3],
        Column("gpu", lambda u: _percent(u.gpu_percent), wide=True, right=True),
        Column("prompts", lambda u: u.prompts, right=True),
        Column("errors", lambda u: u.errors, right=True),
        *_TAKEN[4:6],
        Column("tokens in", lambda u: u.tokens_in or None, wide=True, right=True),
        Column("tokens out", lambda u: u.tokens_out or None, wide=True, right=True),
        *_TAKEN[6:],
        Column("messages in", lambda u: u.received, wide=True, right=True),
        Column("out", lambda u: u.sent, wide=True, right=True),
        Column("restarts", lambda u: u.restarts, right=True),
    ),
    name=lambda u: u.agent,
    data=usage_data,
    empty="no node tells of agents",
)

HISTORY: Listing[tuple[UsageHistory, UsagePoint]] = Listing(
    columns=(
        Column("time", lambda p: figures.clock(p[1].time)),
        Column("replica", lambda p: p[0].replica),
        Column("cpu", lambda p: _percent(p[1].cpu_percent), right=True),
        Column("memory", lambda p: _size(p[1].rss_bytes), right=True),
        Column("gpu mem", lambda p: _size(p[1].gpu_memory_bytes), right=True),
        Column("prompts", lambda p: _rate(p[1].prompts_per_second), right=True),
        Column("errors", lambda p: _rate(p[1].errors_per_second), right=True),
        Column("messages", lambda p: _rate(p[1].messages_per_second), right=True),
        Column("p95", lambda p: _ms(p[1].latency_p95_ms), right=True),
    ),
    name=lambda p: p[0].agent,
    data=lambda p: plain(p[1]),
    empty="no history yet: a point is kept every ten seconds",
)
