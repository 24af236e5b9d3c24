"""The verbs that show the threads of an agent, and the shape of its work."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing
from sparkplug.schema.plain import plain

if TYPE_CHECKING:
    from sparkplug.schema.thread import ThreadState, ThreadView


async def list_threads(cli: Cli) -> int:
    """The threads an agent keeps, the newest first."""
    from sparkplug.client import threads as room

    async with cli.connect() as client:

        async def fetch() -> Iterable[ThreadView]:
            return await room.list_threads(client, cli.args.agent)

        return await show(cli, fetch, THREADS)


async def get(cli: Cli) -> int:
    """The state of a thread."""
    from sparkplug.client import threads as room

    async with cli.connect() as client:
        state = await room.state(client, cli.args.agent, cli.args.thread, cli.args.checkpoint)
    if cli.out.structured:
        cli.out.data(_data(state))
        return 0
    for title, value in (
        ("thread", state.thread),
        ("checkpoint", state.checkpoint),
        ("after", state.parent),
        ("created", state.created.isoformat(timespec="seconds") if state.created else ""),
        ("step", state.step),
        ("by", state.source),
        ("next", ", ".join(state.next)),
        ("waits for", json.dumps(state.interrupts) if state.interrupts else ""),
    ):
        if value not in ("", None):
            cli.out.text(f"{title:<10} {value}")
    cli.out.text("")
    cli.out.text(json.dumps(state.values, indent=2, ensure_ascii=False))
    return 0


async def history(cli: Cli) -> int:
    """The states of a thread, the newest first."""
    from sparkplug.client import threads as room

    async with cli.connect() as client:

        async def fetch() -> Iterable[ThreadState]:
            return await room.history(client, cli.args.agent, cli.args.thread, cli.args.limit)

        return await show(cli, fetch, STATES)


async def graph(cli: Cli) -> int:
    """The nodes of an agent's work, what follows each, and which run now."""
    from sparkplug.client import cancelling
    from sparkplug.client import threads as room
    from sparkplug.schema.errors import NotFoundError

    name = cli.args.agent
    async with cli.connect() as client:
        found = await room.graph(client, name)
        if found is None:
            raise NotFoundError(f"the work of {name} has no shape that could be shown")
        hands = await cancelling.in_hand(client, name)
    running = {step for one in hands for request in one.requests or () for step in request.steps}
    if cli.out.structured:
        told = plain(found)
        cli.out.data({**told, "running": sorted(running)})
        return 0
    for node in found.nodes:
        after = [edge for edge in found.edges if edge.source == node.id]
        arrows = ", ".join(f"{'⇢' if e.conditional else '→'} {_word(e.target)}" for e in after)
        mark = "●" if node.id in running else "○"
        cli.out.text(f"{mark} {_word(node.id)} {arrows}".rstrip())
    return 0


def _word(node: str) -> str:
    return {"__start__": "start", "__end__": "end"}.get(node, node)


def _data(state: ThreadState) -> dict[str, Any]:
    return plain(state)


THREADS: Listing[ThreadView] = Listing(
    columns=(
        Column("thread", lambda t: t.thread),
        Column("step", lambda t: t.step, right=True),
        Column("age", lambda t: figures.age(t.updated) if t.updated else "", right=True),
        Column("checkpoint", lambda t: t.checkpoint, wide=True),
    ),
    name=lambda t: t.thread,
    data=lambda t: plain(t),
    empty="it keeps no threads yet; `sparkplug prompt --thread NAME` begins one",
)

STATES: Listing[ThreadState] = Listing(
    columns=(
        Column("checkpoint", lambda s: s.checkpoint),
        Column("step", lambda s: s.step, right=True),
        Column("by", lambda s: s.source),
        Column("age", lambda s: figures.age(s.created) if s.created else "", right=True),
        Column("next", lambda s: ", ".join(s.next)),
    ),
    name=lambda s: s.checkpoint,
    data=_data,
    empty="nothing is kept of it",
)
