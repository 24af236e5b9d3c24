"""Listings: fetched, filtered, printed; with --watch again whenever they change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from sparkplug.cli.context import Cli
from sparkplug.cli.output import Listing, select

Item = TypeVar("Item")

_WATCH_EVERY_S = 1.0
_HOME_AND_CLEAR = "\x1b[H\x1b[J"


async def show(
    cli: Cli, fetch: Callable[[], Awaitable[Iterable[Item]]], listing: Listing[Item]
) -> int:
    """Print a listing; under --watch go on until interrupted, printing what differs."""
    expression = cli.option("filter", "")
    before: str | None = None
    while True:
        items = select(await fetch(), listing, expression)
        text = cli.out.render(items, listing)
        if text != before:
            if cli.out.live and cli.option("watch", False):
                cli.out.stdout.write(_HOME_AND_CLEAR)
            cli.out.stdout.write(text)
            cli.out.stdout.flush()
            if not items and not cli.out.structured:
                asked = expression or cli.option("label", [])
                cli.out.talk("nothing matches what was asked for" if asked else listing.empty)
            before = text
        if not cli.option("watch", False):
            return 0
        await asyncio.sleep(_WATCH_EVERY_S)
