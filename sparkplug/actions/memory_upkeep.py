"""Actions on all of the memory: tidying it, folders and files taken in, another host for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument
from sparkplug.actions.memory import share, short
from sparkplug.schema.plain import plain

if TYPE_CHECKING:
    from pathlib import Path

    from sparkplug.client.session import Client
    from sparkplug.schema.memory import MemoryItem
    from sparkplug.schema.memory_pruning import Proposal, PruneReply, PruneRequest


def _asked(
    duplicates: bool = False,
    contradictions: bool = False,
    expired: bool = False,
    weak: str | None = None,
    scope: str = "",
) -> PruneRequest:
    """What is looked for; without a word all that is safe to propose."""
    from sparkplug.schema.memory_pruning import PruneRequest

    below = share(weak)
    everything = not (duplicates or contradictions or expired or below is not None)
    return PruneRequest(
        duplicates=duplicates or everything,
        contradictions=contradictions or everything,
        expired=expired or everything,
        weak_below=below,
        scopes=[scope] if scope else [],
    )


async def _prune(
    client: Client,
    *,
    duplicates: bool = False,
    contradictions: bool = False,
    expired: bool = False,
    weak: str | None = None,
    scope: str = "",
) -> ActionResult:
    from sparkplug.client import memory as room

    request = _asked(duplicates, contradictions, expired, weak, scope)
    request.apply = request.compact = True
    reply = await room.prune(client, request)
    left = [one for one in reply.proposals if one.kind == "contradiction"]
    text = f"{len(reply.deleted)} deleted, for seven days to be had back"
    text = "\n".join([text, *map(_line, left), *_left_out(reply)])
    data = {
        "deleted": reply.deleted,
        "purged": reply.purged,
        "freed_bytes": reply.freed_bytes,
        "proposals": [_data(one) for one in left],
    }
    return ActionResult(text, data, changed=bool(reply.deleted))


async def _try_prune(client: Client, **asked: Any) -> ActionResult:
    from sparkplug.client import memory as room

    reply = await room.prune(client, _asked(**asked))
    lines = [_line(one) for one in reply.proposals] or ["nothing to tidy"]
    lines += _left_out(reply)
    data = {"proposals": [_data(one) for one in reply.proposals]}
    return ActionResult("\n".join(lines), data, changed=False)


def _left_out(reply: PruneReply) -> list[str]:
    """What was not looked at, or not told."""
    told = []
    if reply.compared < reply.items:
        told.append(f"the newest {reply.compared} of {reply.items} memories were compared")
    if reply.more:
        told.append("there is more to tidy: do it again for the next of it")
    return told


def _line(one: Proposal) -> str:
    kept = f"  beside {one.keep.id[:8]} {short(one.keep.text)}" if one.keep else ""
    does = "look at" if one.kind == "contradiction" else "delete"
    return f"{one.kind}: {does} {one.drop.id[:8]} {short(one.drop.text)} ({one.why}){kept}"


def _data(one: Proposal) -> dict[str, Any]:
    def item(found: MemoryItem | None) -> dict[str, Any] | None:
        return {"id": found.id, "text": found.text, "scope": found.scope} if found else None

    pair = {"id": one.id, "kind": one.kind}
    return {**pair, "drop": item(one.drop), "keep": item(one.keep), "why": one.why}


async def _export(client: Client, file: str, *, scope: Sequence[str] = ()) -> ActionResult:
    from sparkplug.client import memory as room

    path = _at(file)
    count = await room.export_file(client, path, list(scope))
    return ActionResult(f"{count} memories in {path}", {"file": str(path), "memories": count})


async def _import(client: Client, file: str) -> ActionResult:
    from sparkplug.client import memory as room

    reply = await room.import_lines(client, _at(file))
    data = {"added": reply.added, "there": reply.there}
    return ActionResult(f"{reply.added} taken in, {reply.there} were there", data)


def _at(file: str) -> Path:
    """A path as it is typed, also where no shell reads it first."""
    from pathlib import Path

    return Path(file).expanduser()


def _whole(folder: str) -> str:
    return str(_at(folder).absolute())


async def _ingest(
    client: Client, folder: str, *, scope: str = "mesh", no_watch: bool = False
) -> ActionResult:
    from sparkplug.client import memory as room
    from sparkplug.schema.memory_documents import IngestRequest

    request = IngestRequest(path=_whole(folder), scope=scope, watch=not no_watch)
    made = await room.ingest(client, request)
    text = f"{made.path}: {made.files} files in {made.chunks} pieces"
    return ActionResult(text, plain(made))


async def _check_folder(client: Client, folder: str) -> None:
    from sparkplug.client import memory as room
    from sparkplug.schema.errors import NotFoundError

    if _whole(folder) not in {known.path for known in (await room.stats(client)).folders}:
        raise NotFoundError(
            f"{_whole(folder)} is not part of what is known",
            hint="`sparkplug memory stats` lists the folders",
        )


async def _forget(client: Client, folder: str) -> ActionResult:
    from sparkplug.client import memory as room

    made = await room.forget(client, _whole(folder))
    return ActionResult(f"{made.path}: forgotten", {"path": made.path, "chunks": made.chunks})


async def _check_host(client: Client, host: str) -> None:
    from sparkplug.client import node_orders

    await node_orders.require_host(client, host)


async def _move(client: Client, host: str) -> ActionResult:
    from sparkplug.client import memory as room

    made = await room.move(client, host)
    text = f"{made.items} memories go to {made.node}; what is said meanwhile waits in the mesh"
    if made.folders:
        what = "the folder" if len(made.folders) == 1 else f"{len(made.folders)} folders:"
        text += f"; not watched from there: {what} {', '.join(made.folders)}"
    return ActionResult(text, {"host": made.node, "items": made.items, "folders": made.folders})


MEMORY_UPKEEP_ACTIONS: tuple[Action, ...] = (
    Action(
        id="memory.prune",
        title="Tidy the memory",
        help="delete what is said twice, is over or weak; --dry-run lists what would go",
        verb=("memory", "prune"),
        arguments=(
            Argument("duplicates", "switch", "what is said twice", flag="--duplicates"),
            Argument("contradictions", "switch", "only listed", flag="--contradictions"),
            Argument("expired", "switch", "what is over", flag="--expired"),
            Argument("weak", "text", "of a strength below this, 0 to 1", flag="--weak"),
            Argument("scope", "text", "only there", default="", flag="--scope"),
        ),
        danger=True,
        trial=_try_prune,
        run=_prune,
        preview=lambda **_: "would delete what --dry-run lists (said twice, expired, weak)",
    ),
    # On the command line a verb of its own, which writes to stdout, too.
    Action(
        id="memory.export",
        title="Export the memory",
        help="write everything into a file, as lines of JSON that `memory import` takes",
        verb=("memory", "export"),
        arguments=(
            Argument("file", "path", "the file", required=True),
            Argument(
                *("scope", "text", "of this scope alone"),
                default=(),
                flag="--scope",
                repeated=True,
            ),
        ),
        writes=False,
        run=_export,
        preview=lambda file, **_: f"would write everything into {file}",
    ),
    Action(
        id="memory.import",
        title="Import memories",
        help="take in a file that `memory export` wrote",
        verb=("memory", "import"),
        arguments=(Argument("file", "path", "file of JSON lines", required=True),),
        run=_import,
        preview=lambda file, **_: f"would take in {file}",
    ),
    Action(
        id="memory.ingest",
        title="Read a folder of documents",
        help="make a folder of the memory's host part of what is known, and watch it",
        verb=("memory", "ingest"),
        arguments=(
            Argument("folder", "path", "folder or file", required=True),
            Argument("scope", "text", "whose it is (mesh)", default="mesh", flag="--scope"),
            Argument("no_watch", "switch", "read it once", flag="--no-watch"),
        ),
        run=_ingest,
        preview=lambda folder, **_: f"would read {folder}",
    ),
    Action(
        id="memory.forget",
        title="Forget a folder",
        help="let go of a folder and of all that was read from it",
        verb=("memory", "forget"),
        arguments=(Argument("folder", "path", "the folder", required=True),),
        danger=True,
        check=_check_folder,
        run=_forget,
        preview=lambda folder, **_: f"would forget all that was read from {folder}",
    ),
    Action(
        id="memory.move",
        title="Move the memory",
        help="have another host keep the mesh's memory",
        verb=("memory", "move"),
        arguments=(Argument("host", "host", "the host that is to keep it", required=True),),
        danger=True,
        check=_check_host,
        run=_move,
        preview=lambda host, **_: f"would have {host} keep the memory",
    ),
)
