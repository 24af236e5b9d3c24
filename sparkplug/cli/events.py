"""`sparkplug events`."""

from __future__ import annotations

import contextlib
import json

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.output import Column, Listing, cell_text, matcher, select
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.event import Event
from sparkplug.schema.plain import plain

_SINCE_S = 3600.0


async def events(cli: Cli) -> int:
    """What happened; with --follow also what happens."""
    from sparkplug.client import events as room

    args = cli.args
    if args.after is not None and args.since is not None:
        raise InvalidError("--since and --after say the same thing twice; give one of them")
    since = args.since if args.since is not None or args.after is not None else _SINCE_S
    async with cli.connect() as client:
        if not args.follow:
            found = select(
                await room.read_events(client, since=since, after=args.after), EVENTS, args.filter
            )
            cli.out.stdout.write(cli.out.render(found, EVENTS))
            if not found and not cli.out.structured:
                cli.out.talk(EVENTS.empty)
            return 0
        matches = matcher(args.filter)
        stream = room.follow_events(client, since=since, after=args.after)
        async with contextlib.aclosing(stream):
            async for event in stream:
                if event is not None and matches(event_line(event)):
                    _print(cli, event)
    return 0


def _print(cli: Cli, event: Event) -> None:
    if cli.out.structured:
        cli.out.json_line(EVENTS.data(event))
    elif cli.out.format == "name":
        cli.out.text(event.id)
    else:
        cli.out.text(event_line(event))
        cli.out.stdout.flush()


def event_line(event: Event) -> str:
    """An event in one line."""
    return "  ".join(cell_text(column.cell(event)) for column in EVENTS.columns if not column.wide)


def _details(event: Event) -> str:
    """The data of an event, `key=value` each."""
    return " ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value, default=str)}"
        for key, value in event.data.items()
    )


EVENTS: Listing[Event] = Listing(
    columns=(
        Column("sequence", lambda e: e.sequence, wide=True, right=True),
        Column("time", lambda e: figures.clock(e.time)),
        Column("event", lambda e: e.name),
        Column("subject", lambda e: e.subject),
        Column("actor", lambda e: e.actor),
        Column("host", lambda e: e.host, wide=True),
        Column("details", _details),
    ),
    name=lambda e: e.id,
    data=lambda e: plain(e),
    empty="nothing happened in that time",
)
