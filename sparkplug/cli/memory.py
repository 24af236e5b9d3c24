"""The verbs that show what is remembered."""

from __future__ import annotations

import sys
from typing import Any

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing
from sparkplug.schema.memory import MemoryHit, MemoryItem, MemoryState
from sparkplug.schema.memory_requests import ListRequest, SearchRequest
from sparkplug.schema.plain import plain
from sparkplug.schema.text import one_line

_WIDTH = 70
_SAID = 20


async def search(cli: Cli) -> int:
    """The memories that fit a question best."""
    from sparkplug.client import memory as room
    from sparkplug.schema.errors import InvalidError

    args = cli.args
    if not 1 <= args.limit <= 200:
        raise InvalidError("--limit is from 1 to 200")
    if not args.query.strip() or len(args.query) > 10_000:
        raise InvalidError("a question has 1 to 10000 characters")
    request = SearchRequest(query=args.query, scopes=args.scope or [], limit=args.limit)
    async with cli.connect() as client:
        reply = await room.search(client, request)
    if reply.note:
        cli.out.talk(f"sparkplug: {reply.note}")
    cli.out.stdout.write(cli.out.render(reply.hits, HITS))
    if not reply.hits and not cli.out.structured:
        cli.out.talk(HITS.empty)
    return 0


async def list_items(cli: Cli) -> int:
    """What is remembered, the newest first."""
    from sparkplug.client import memory as room

    args = cli.args
    state = MemoryState.KEPT
    if args.deleted:
        state = MemoryState.DELETED
    elif args.quarantined:
        state = MemoryState.QUARANTINED
    async with cli.connect() as client:

        async def fetch() -> list[MemoryItem]:
            found: list[MemoryItem] = []
            while len(found) < args.limit:
                request = ListRequest(
                    scopes=args.scope or [],
                    state=state,
                    agent=args.agent or "",
                    flagged=args.flagged,
                    offset=len(found),
                    limit=min(2000, max(1, args.limit - len(found))),
                    chars=0 if cli.out.structured else 400,
                )
                page = await room.list_items(client, request)
                found += page.items
                if not page.items or len(found) >= page.total:
                    break
            return found

        return await show(cli, fetch, ITEMS)


async def describe(cli: Cli) -> int:
    """All about one memory."""
    from sparkplug.client import memory as room

    async with cli.connect() as client:
        found = await room.describe(client, cli.args.memory)
    if cli.out.structured:
        cli.out.data(plain(found))
        return 0
    item = found.item
    place = f"{item.path}:{item.line_from}-{item.line_to}" if item.path else None
    for title, value in (
        ("id", item.id),
        ("scope", item.scope),
        ("state", item.state),
        ("version", item.version),
        ("written by", item.author),
        ("run", f"{item.run} {found.run_ended}".strip() or None),
        ("step", item.step or None),
        ("request", item.message or None),
        ("document", place),
        ("source", f"{item.source}, {item.made}" + (f" ({item.note})" if item.note else "")),
        ("confidence", f"{item.confidence:g}"),
        ("flags", ", ".join(item.flags) or None),
        ("importance", f"{item.importance:g}, now {item.strength:.2f}"),
        ("created", item.created.isoformat(timespec="seconds")),
        ("expires", item.expires.isoformat(timespec="seconds") if item.expires else None),
        ("said", f"{item.said} times" if item.said > 1 else None),
        ("read", f"{item.reads} times" if item.reads else None),
        ("deleted by", f"{item.deleted_by} {item.deleted_why}".strip() if item.deleted else None),
        (
            "undo until",
            found.undo_until.isoformat(timespec="seconds") if found.undo_until else None,
        ),
    ):
        if value is not None:
            cli.out.text(f"{title:<11} {value}")
    cli.out.text("")
    cli.out.text(item.text)
    for version in reversed(found.versions[:-1]):
        when = version.time.isoformat(timespec="seconds")
        cli.out.text(f"\nversion {version.version}, {when}, {version.author}")
        cli.out.text(version.text)
    if found.sayings:
        again = item.said - 1
        kept = len(found.sayings)
        cli.out.text(
            f"\nsaid again{f', the newest {kept} of {again} times' if kept < again else ''}"
        )
        for saying in reversed(found.sayings[-_SAID:]):
            run = f" in run {saying.run}" if saying.run else ""
            when = saying.time.isoformat(timespec="seconds")
            cli.out.text(f"  {when}, {saying.author or 'unknown'}{run}")
        if kept > _SAID:
            cli.out.text(f"  and {kept - _SAID} before")
    if found.reads:
        cli.out.text("\nread by")
        for read in found.reads:
            run = f" in run {read.run} ({read.ended or 'unknown'})" if read.run else ""
            cli.out.text(f"  {read.agent or 'a person'}{run}, {read.times} times")
    return 0


async def stats(cli: Cli) -> int:
    """Where the memory is, how much it holds, what it has in work."""
    from sparkplug.client import memory as room
    from sparkplug.schema.memory_documents import folder_state

    async with cli.connect() as client:
        found = await room.stats(client)
    if cli.out.structured:
        cli.out.data(plain(found))
        return 0
    embedder = found.embedder or "none yet"
    if found.embedder_note:
        embedder += f" ({found.embedder_note})"
    moving = found.reembedding
    for title, value in (
        ("kept on", found.node),
        ("memories", f"{found.items}, {figures.size(found.bytes)}"),
        ("quarantine", found.quarantined or None),
        ("flagged", found.flagged or None),
        ("deleted", found.deleted or None),
        ("on disk", figures.size(found.disk_bytes)),
        ("store", f"Mem0 over {found.store}, {found.indexed} vectors"),
        ("embedder", embedder),
        (
            "next",
            f"{moving.embedder}: {moving.done}/{moving.total} {moving.error}" if moving else None,
        ),
        ("facts", found.extraction),
        ("in work", f"{found.waiting} to store, {found.extracting} to extract"),
    ):
        if value is not None:
            cli.out.text(f"{title:<11} {value}")
    for use in found.scopes:
        cli.out.text(f"  {use.scope:<32} {use.items:>8}  {figures.size(use.bytes):>8}")
    for folder in found.folders:
        state = folder_state(folder, found.node)
        cli.out.text(f"  {folder.path} ({folder.scope}): {folder.files} files, {state}")
    return 0


async def export(cli: Cli) -> int:
    """Everything as lines of JSON: into a file, or on stdout."""
    from pathlib import Path

    from sparkplug.client import memory as room

    scopes = cli.args.scope or []
    async with cli.connect() as client:
        if cli.args.file is not None:
            count = await room.export_file(client, Path(cli.args.file), scopes)
            cli.out.talk(f"{count} memories in {cli.args.file}")
            return 0
        async for line in room.export(client, scopes):
            sys.stdout.write(line + "\n")
    return 0


def item_data(item: MemoryItem) -> dict[str, Any]:
    """A memory as `--json` has it."""
    return plain(item)


def _text(item: MemoryItem) -> str:
    line = one_line(item.text[:400])
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _marks(item: MemoryItem) -> str | None:
    marks = list(item.flags)
    if item.source == "outside":
        marks.insert(0, "outside")
    return ",".join(marks) or None


ITEMS: Listing[MemoryItem] = Listing(
    columns=(
        Column("id", lambda i: i.id[:8]),
        Column("text", _text),
        Column("scope", lambda i: i.scope),
        Column("by", lambda i: i.author),
        Column("age", lambda i: figures.age(i.created), right=True),
        Column("marks", _marks),
        Column("reads", lambda i: i.reads or None, right=True, wide=True),
        Column("version", lambda i: i.version, right=True, wide=True),
        Column("run", lambda i: i.run or None, wide=True),
        Column("document", lambda i: f"{i.path}:{i.line_from}" if i.path else None, wide=True),
    ),
    name=lambda i: i.id,
    data=item_data,
    empty="nothing is remembered there",
)

HITS: Listing[MemoryHit] = Listing(
    columns=(
        Column("score", lambda h: f"{h.score:.2f}", right=True),
        Column("id", lambda h: h.id[:8]),
        Column("text", _text),
        Column("scope", lambda h: h.scope),
        Column("by", lambda h: h.author),
        Column("words", lambda h: " ".join(h.why.words) or None),
        Column("meaning", lambda h: _share(h.why.semantic), right=True, wide=True),
        Column("lexical", lambda h: _share(h.why.lexical), right=True, wide=True),
        Column("document", lambda h: f"{h.path}:{h.line_from}" if h.path else None, wide=True),
    ),
    name=lambda h: h.id,
    data=item_data,
    empty="nothing fits",
)


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"
