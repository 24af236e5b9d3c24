"""What agents remember: said, looked for, corrected, tidied; over the bus, by whoever may."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import nats.errors
from pydantic import BaseModel

from sparkplug.bus import memory as wire
from sparkplug.bus import subjects
from sparkplug.client.session import Client
from sparkplug.paths import write_private
from sparkplug.schema.errors import DeadlineError, InvalidError, NoMeshError
from sparkplug.schema.memory import MemoryDescription, MemoryItem
from sparkplug.schema.memory_documents import ForgetRequest, IngestRequest, KnowledgeFolder
from sparkplug.schema.memory_export import ExportReply, ExportRequest, ImportReply, ImportRequest
from sparkplug.schema.memory_home import MoveReply, MoveRequest
from sparkplug.schema.memory_lines import LONG, pack, read_line, unpack
from sparkplug.schema.memory_pruning import PruneReply, PruneRequest
from sparkplug.schema.memory_requests import (
    EditRequest,
    ItemRequest,
    ListReply,
    ListRequest,
    ManyReply,
    ManyRequest,
    MemoryAdd,
    MemoryOutcome,
    OutcomeRequest,
    SearchReply,
    SearchRequest,
)
from sparkplug.schema.memory_review import (
    ComparingReply,
    ComparingRequest,
    Decision,
    ProposalsReply,
    ProposalsRequest,
    SettleReply,
    SettleRequest,
)
from sparkplug.schema.memory_stats import MemoryStats
from sparkplug.schema.memory_timeline import TimelineReply, TimelineRequest
from sparkplug.schema.textfile import storage_error

ReplyT = TypeVar("ReplyT", bound=BaseModel)

_STORED_S = 10.0
#: All are compared with all: it takes its time, and one waits for another.
_COMPARED_S, _LOOKED_S, _TOLD_S = 180.0, 0.5, 5.0
_PAGE_LINES = 500
#: Memories that are changed in one transaction.
_ONE_REQUEST = 2000
_MOST_LINE_BYTES = 16 << 20
_ONE_IMPORT_BYTES = 1 << 20


def _caller(client: Client) -> str:
    return subjects.memory_face(client.actor)


async def ask(
    client: Client, verb: str, request: BaseModel, reply: type[ReplyT], *, deadline: float = 40.0
) -> ReplyT:
    """Ask the memory. Raises NoMeshError, saying whose host is away, when nobody answers."""
    return await wire.ask(client.bus, verb, _caller(client), request, reply, deadline=deadline)


async def add(client: Client, request: MemoryAdd, *, wait: float = _STORED_S) -> MemoryOutcome:
    """Have something remembered, and wait a while for what becomes of it.

    What is accepted is stored in the mesh: where the memory is away, it is remembered later, and
    the state is `waiting`. Raises RefusedError when it is refused.
    """
    await wire.write(client.bus, _caller(client), request)
    asked = OutcomeRequest(write=request.id, wait=min(wait, 25.0))
    try:
        return await ask(client, "outcome", asked, MemoryOutcome, deadline=wait + 15.0)
    except (NoMeshError, DeadlineError):
        return MemoryOutcome(write=request.id, state="waiting")


async def search(client: Client, request: SearchRequest) -> SearchReply:
    """The memories that fit a question best, each with why."""
    return await ask(client, "search", request, SearchReply)


async def list_items(client: Client, request: ListRequest) -> ListReply:
    """A page of memories, the newest first."""
    return await ask(client, "list", request, ListReply)


async def describe(client: Client, id: str) -> MemoryDescription:  # noqa: A002
    """All about one. Raises NotFoundError, ConflictError when an id's beginning is several's."""
    return await ask(client, "describe", ItemRequest(id=_id(id)), MemoryDescription)


async def edit(client: Client, request: EditRequest) -> MemoryItem:
    """Change one. Raises ConflictError when somebody changed it first."""
    return await ask(client, "edit", request, MemoryItem)


async def many(client: Client, verb: str, ids: Sequence[str], why: str = "") -> ManyReply:
    """`delete`, `undo`, `release` or `quarantine` memories; many, in several requests."""
    given = [_id(one) for one in ids]
    made = ManyReply(changed=[])
    for start in range(0, len(given), _ONE_REQUEST):
        request = ManyRequest(ids=given[start : start + _ONE_REQUEST], why=why)
        reply = await ask(client, verb, request, ManyReply, deadline=120.0)
        made.changed += reply.changed
        made.left |= reply.left
    return made


async def stats(client: Client) -> MemoryStats:
    """Where it is, how much there is, what is in work."""
    return await ask(client, "stats", ItemRequest(id="stats"), MemoryStats)


async def prune(client: Client, request: PruneRequest) -> PruneReply:
    """What could be tidied; with `apply` it is. How far it is, is told."""
    return await _compare(client, "prune", request, PruneReply, client.told)


async def timeline(client: Client, request: TimelineRequest) -> TimelineReply:
    """What happened to memories, the newest first.

    Raises NotFoundError for an item there never was, InvalidError for no page of it.
    """
    return await ask(client, "timeline", request, TimelineReply)


async def proposals(
    client: Client, request: ProposalsRequest, told: Callable[[str], None] | None = None
) -> ProposalsReply:
    """Pairs of memories that say the same or contradict each other, or were decided about.

    How far it is, `told` is told, else who the client tells. Cancelled, the comparison ends.
    """
    return await _compare(client, "proposals", request, ProposalsReply, told or client.told)


async def _compare(
    client: Client,
    verb: str,
    request: ProposalsRequest | PruneRequest,
    reply: type[ReplyT],
    told: Callable[[str], None],
) -> ReplyT:
    """Ask for what compares memories with each other, and how far it is till it is answered."""
    named = request.model_copy(update={"request": secrets.token_hex(16)})
    seen = ComparingRequest(request=named.request)
    asked = asyncio.ensure_future(ask(client, verb, named, reply, deadline=_COMPARED_S))
    try:
        while not (await asyncio.wait([asked], timeout=_LOOKED_S))[0]:
            with contextlib.suppress(NoMeshError, DeadlineError):
                found = await ask(client, "comparing", seen, ComparingReply, deadline=_TOLD_S)
                if found.going:
                    told(f"memories are compared with each other … {found.share:.0%}")
        return asked.result()
    finally:
        told("")
        if not asked.done():
            asked.cancel()
            stop = seen.model_copy(update={"stop": True}).model_dump_json().encode()
            with contextlib.suppress(TimeoutError, nats.errors.Error):
                await client.bus.nc.publish(
                    subjects.memory_call("comparing", _caller(client)), stop
                )
                await client.bus.flush(_TOLD_S)


async def settle(
    client: Client, proposal: str, decision: Decision, *, keep: str = "", why: str = ""
) -> SettleReply:
    """Decide about a pair, or take that back with `open`.

    Raises NotFoundError, InvalidError where it has to be said which one stays, and ConflictError
    when one of both is not there any more or nothing was decided.
    """
    if len(proposal) > 160 or len(keep) > 64:
        raise InvalidError(f"{(proposal if len(proposal) > 160 else keep)[:80]!r} is no id")
    request = SettleRequest(proposal=proposal, decision=decision, keep=keep, why=why[:500])
    return await ask(client, "settle", request, SettleReply, deadline=60.0)


async def ingest(client: Client, request: IngestRequest) -> KnowledgeFolder:
    """Read a folder of the memory's host."""
    return await ask(client, "ingest", request, KnowledgeFolder, deadline=600.0)


async def forget(client: Client, path: str) -> KnowledgeFolder:
    """Let go of a folder."""
    return await ask(client, "forget", ForgetRequest(path=path), KnowledgeFolder, deadline=120.0)


async def move(client: Client, node: str) -> MoveReply:
    """Have another node keep the memory."""
    return await ask(client, "handover", MoveRequest(node=node), MoveReply, deadline=300.0)


async def export(client: Client, scopes: Sequence[str] = ()) -> AsyncGenerator[str, None]:
    """Everything as lines of JSON."""
    after, part, done = 0, 0, False
    while not done:
        request = ExportRequest(after=after, part=part, limit=_PAGE_LINES, scopes=list(scopes))
        page = await ask(client, "export", request, ExportReply, deadline=60.0)
        for line in await asyncio.to_thread(unpack, page.packed) if page.packed else page.lines:
            yield line
        after, part, done = page.after, page.part, page.done


async def export_file(client: Client, path: Path, scopes: Sequence[str] = ()) -> int:
    """Everything into a file, 0600, whole or not at all; how many lines it has.

    Raises RefusedError or SparkplugError by what the system says.
    """
    lines = [line async for line in export(client, scopes)]
    text = "".join(f"{line}\n" for line in lines)
    await asyncio.to_thread(write_private, path, text)
    return len(lines)


async def import_lines(client: Client, path: Path, *, dry_run: bool = False) -> ImportReply:
    """Take in a file of such lines. Raises InvalidError naming the line that does not hold."""
    try:
        text = await asyncio.to_thread(path.read_text, encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidError(
            "that is no file of memories: it is not UTF-8", where=str(path)
        ) from error
    except OSError as error:
        raise storage_error(error, "cannot read", path) from error
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    await asyncio.to_thread(_check, path, lines)
    total = ImportReply(added=0, there=0)
    page: list[str] = []
    size = 0
    for number, line in [*lines, (0, "")]:
        if page and (not number or size + len(line) > _ONE_IMPORT_BYTES or len(page) == 1000):
            request = ImportRequest(lines=page, dry_run=dry_run)
            if size >= LONG:
                packed = await asyncio.to_thread(pack, page)
                request = ImportRequest(packed=packed, dry_run=dry_run)
            reply = await ask(client, "import", request, ImportReply, deadline=120.0)
            total.added += reply.added
            total.there += reply.there
            page, size = [], 0
        page.append(line)
        size += len(line)
    return total


def _check(path: Path, lines: Sequence[tuple[int, str]]) -> None:
    """Every line holds before the first is stored."""
    for number, line in lines:
        try:
            read_line(line)
        except InvalidError as error:
            raise InvalidError(
                f"that line is {error.message}",
                where=f"{path}:{number}:1",
                hint="`sparkplug memory export` writes such lines; nothing was changed",
            ) from error


def _id(text: str) -> str:
    if not 4 <= len(text) <= 64:
        raise InvalidError(f"{text[:80]!r} is no id", hint="at least four characters of one")
    return text
