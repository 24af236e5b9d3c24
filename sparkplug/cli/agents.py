"""The verbs that show agents."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing, has_labels
from sparkplug.cli.usage import in_words, usage_data, with_usage
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.agent_state import Recovery
from sparkplug.schema.circuits import breaker_words, breakers_of
from sparkplug.schema.errors import InvalidError, SparkplugError
from sparkplug.schema.plain import plain

if TYPE_CHECKING:
    from sparkplug.client.agents import AgentDescription
    from sparkplug.client.cancelling import InHand
    from sparkplug.client.shells import Shell
    from sparkplug.client.usage import UsageByReplica


async def list_agents(cli: Cli) -> int:
    """Every agent, ours and foreign."""
    from sparkplug.client import agents as room
    from sparkplug.client.usage import read_usage

    wanted = cli.option("label", [])
    async with cli.connect() as client:

        async def fetch() -> Iterable[ObservedAgent]:
            found = await room.list_agents(client)
            if not wanted:
                return found
            specs = await room.desired(client)
            labels = {name: agent.spec.labels for name, agent in specs.items()}
            return [a for a in found if has_labels(labels.get(a.name, {}), wanted)]

        if cli.out.format not in ("wide", "json", "yaml"):
            return await show(cli, fetch, AGENTS)
        used: UsageByReplica = {}

        async def fetch_wide() -> Iterable[ObservedAgent]:
            used.clear()
            used.update(await read_usage(client))
            return await fetch()

        return await show(cli, fetch_wide, with_usage(AGENTS, used))


async def describe(cli: Cli) -> int:
    """All about one agent."""
    from sparkplug.client import agents as room
    from sparkplug.client import cancelling
    from sparkplug.client.rollouts import rollout_text
    from sparkplug.client.usage import read_usage

    async with cli.connect() as client:
        found = await room.describe(client, cli.args.agent)
        used = await read_usage(client, found.name)
        busy = any(agent.inflight for agent in found.replicas) and found.desired is not None
        work = await cancelling.in_hand(client, found.name) if busy else []
    rollout = rollout_text(found.desired, found.replicas)
    if cli.out.structured:
        data = plain(found, exclude={"desired": {"former"}})
        data["usage"] = [usage_data(usage) for usage in used.values()]
        requests = [
            {"replica": one.replica, **plain(view)} for one in work for view in one.requests or ()
        ]
        cli.out.data({**data, "rollout": rollout or None, "requests": requests})
        return 0
    if cli.out.format == "name":
        cli.out.text(found.name)
        return 0
    _print_description(cli, found, rollout, {one.replica: one for one in work}, used)
    return 0


def _print_description(
    cli: Cli,
    found: AgentDescription,
    rollout: str,
    work: dict[str, InHand],
    used: UsageByReplica,
) -> None:
    first = found.replicas[0] if found.replicas else None
    wanted = found.desired
    rows: list[tuple[str, object]] = [("name", found.name)]
    if wanted is not None:
        spec = wanted.spec
        rows += [
            ("runtime", spec.runtime),
            ("entrypoint", spec.entrypoint),
            ("folder", wanted.folder),
            ("description", spec.description),
            ("capabilities", ", ".join(spec.capabilities)),
            ("wanted", f"{_replicas(found, spec)} running" if wanted.run else "stopped"),
            ("scaled", _scaled(found)),
            ("restart", f"{spec.restart.policy}, at most {spec.restart.max or 'unlimited'}"),
            ("labels", ", ".join(f"{key}={value}" for key, value in spec.labels.items())),
            ("generation", wanted.generation),
            ("revision", found.revision),
            ("changed", f"by {wanted.changed_by or 'nobody known'}: {wanted.reason or '—'}"),
            ("rollout", rollout),
        ]
    elif first is not None:
        rows += [
            ("runtime", f"{first.runtime}, foreign ({first.sdk or first.owner})"),
            ("description", first.description),
        ]
    if first is not None and first.actions:
        rows.append(("actions", ", ".join(first.actions)))
    for title, value in rows:
        if value not in (None, ""):
            cli.out.text(f"{title:<12} {value}")
    for agent in found.replicas:
        where = f" on {agent.node or agent.host}" if agent.node or agent.host else ""
        cli.out.text(
            f"\nreplica {agent.replica}{where}: {agent.state} for {figures.age(agent.state_since)}"
        )
        if agent.reason:
            cli.out.text(f"  why        {agent.reason}")
        cli.out.text(f"  pid        {agent.pid or '—'}, {agent.restarts} restarts")
        cli.out.text(
            f"  requests   {agent.inflight} now, {agent.served} served, {agent.failed} failed"
        )
        in_hand = work.get(agent.replica)
        for view in (in_hand.requests or ()) if in_hand else ():
            of = f" for run {view.run}, step {view.step}" if view.run else ""
            cli.out.text(f"             {view.id}: {view.action}{of}, {view.age_seconds:.1f} s")
        if in_hand is not None and in_hand.requests is None:
            cli.out.text("             it does not say which: its code does not yield")
        usage = used.get((agent.name, agent.replica))
        if usage is not None and not agent.foreign:
            cli.out.text(f"  usage      {in_words(usage)}")
        for one in breakers_of([agent]):
            cli.out.text(f"  breaker    {one.to} is left alone: {breaker_words(one)}")
        if agent.gpus:
            cli.out.text(f"  gpus       {', '.join(agent.gpus)}")
        if agent.limits:
            cli.out.text(f"  limits     {agent.limits}")
        cli.out.text(f"  subject    {agent.subject or '—'}")
        _print_trouble(cli, agent)


def _print_trouble(cli: Cli, agent: ObservedAgent) -> None:
    """How a replica came to be as it is, its last words, and what can be done."""
    if agent.history:
        cli.out.text("  history")
    for one in agent.history:
        why = f": {one.reason}" if one.reason else ""
        cli.out.text(f"    {figures.clock(one.since)}  {one.state} (by the {one.source}){why}")
    if agent.last_lines:
        cli.out.text("  last lines of its log")
        for line in agent.last_lines.splitlines():
            cli.out.text(f"    {line}")
    offered = [line for one in agent.recovery if (line := _command(one, agent.name))]
    for place, line in enumerate(offered):
        cli.out.text(f"  {'you can' if not place else '':<10} {line}")


def _command(one: Recovery, name: str) -> str:
    """The verb for something that can be done about an agent; empty where there is none."""
    from sparkplug.actions.registry import ACTIONS

    if one is Recovery.LOGS:
        return f"sparkplug agents logs {name}"
    if one is Recovery.PREVIOUS_LOGS:
        return f"sparkplug agents logs {name} --previous"
    action = ACTIONS.get(one.value)
    return f"sparkplug {' '.join(action.verb)} {name}" if action is not None else ""


def _replicas(found: AgentDescription, spec: AgentSpec) -> str:
    """How many there are to be, and between which bounds load may change it."""
    if spec.scale is None:
        return str(spec.replicas)
    count = found.scaled.of(spec) if found.scaled is not None else spec.first
    return f"{count} ({spec.scale.min}..{spec.scale.max})"


def _scaled(found: AgentDescription) -> str:
    """When load changed it last, and why."""
    if found.scaled is None:
        return ""
    return f"{figures.age(found.scaled.changed)} ago: {found.scaled.why}"


def shell(cli: Cli) -> int:
    """Become a shell beside an agent."""
    found = asyncio.run(_beside(cli))
    try:
        os.chdir(found.folder)
        os.execvpe(found.words[0], list(found.words), dict(found.environment))  # noqa: S606
    except OSError as error:
        raise SparkplugError(
            f"{found.words[0]} in {found.folder}: {error.strerror or error}"
        ) from error


async def _beside(cli: Cli) -> Shell:
    from sparkplug.client import shells

    args = cli.args
    async with cli.connect() as client:
        return await shells.beside(client, args.agent, args.replica, args.command)


async def logs(cli: Cli) -> int:
    """What an agent wrote."""
    from sparkplug.client import logs as room

    args = cli.args
    if args.lines < 0:
        raise InvalidError("--lines is not below zero")
    async with cli.connect() as client:
        agent = await room.locate_log(client, args.agent, args.replica)
        if not args.follow:
            reply = await room.read_log(client, agent, lines=args.lines, previous=args.previous)
            if cli.out.structured:
                cli.out.data({"agent": agent.name, "replica": agent.replica, "text": reply.text})
            else:
                cli.out.piece(reply.text)
            return 0
        pieces = room.follow_log(client, agent, lines=args.lines, previous=args.previous)
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                cli.out.piece(piece)
    return 0


AGENTS: Listing[ObservedAgent] = Listing(
    columns=(
        Column("name", lambda a: a.name),
        Column("replica", lambda a: a.replica),
        Column("runtime", lambda a: a.runtime),
        Column("type", lambda a: a.type, wide=True),
        Column("state", lambda a: a.state),
        Column("since", lambda a: figures.age(a.state_since), right=True),
        Column("host", lambda a: a.host),
        Column("pid", lambda a: a.pid, right=True),
        Column("gpus", lambda a: len(a.gpus) or None, right=True),
        Column("restarts", lambda a: a.restarts, right=True),
        Column("scale", lambda a: a.scale, wide=True),
        Column("owner", lambda a: f"{a.owner} (foreign)" if a.foreign else a.owner, wide=True),
        Column("inflight", lambda a: a.inflight, wide=True, right=True),
        Column("served", lambda a: a.served, wide=True, right=True),
        Column("failed", lambda a: a.failed, wide=True, right=True),
        Column("reason", lambda a: a.reason),
    ),
    name=lambda a: a.name,
    data=lambda a: plain(a),
    empty="no agents; `sparkplug agents deploy FILE` runs one",
)
