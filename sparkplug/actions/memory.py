"""Actions on memories: add, edit, delete and undo, review, tidy, move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject
from sparkplug.schema.plain import plain

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.memory import ManyReply, MemoryItem, Proposal, PruneRequest

_ID = Argument("memory", "memory", "id of the memory, or its beginning", required=True)
_WHY = Argument("why", "text", "why, for others to read", default="", flag="--why")
_SHOWN = 60


def short(text: str) -> str:
    """A memory in a few words."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _confidence(value: str | None) -> float | None:
    from sparkplug.schema.errors import InvalidError

    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise InvalidError(f"{value!r} is no number from 0 to 1")
    return number


async def _add(
    client: Client,
    text: str,
    *,
    scope: str = "mesh",
    importance: str | None = None,
    expires: float | None = None,
    outside: bool = False,
    extract: bool = False,
) -> ActionResult:
    from sparkplug.client import memory
    from sparkplug.schema.errors import RefusedError
    from sparkplug.schema.memory import MemoryAdd, MemorySource

    weight = _confidence(importance)
    request = MemoryAdd(
        text=text,
        scope=scope,
        importance=0.5 if weight is None else weight,
        expires_seconds=expires or None,
        source=MemorySource.OUTSIDE if outside else None,
        infer=extract,
    )
    made = await memory.add(client, request)
    if made.state == "refused":
        raise RefusedError(made.error)
    said = {
        "stored": "remembered",
        "same": "that was known already",
        "quarantined": "kept back: it holds instructions, and waits for a review",
        "extracting": "a model reads it",
        "waiting": "accepted, and stored once the memory is back",
    }[made.state]
    ids = " ".join(one[:8] for one in made.ids)
    data = {"id": made.ids[0] if made.ids else None, "ids": made.ids, "state": made.state}
    return ActionResult(f"{ids}: {said}" if ids else said, data, changed=made.state != "same")


async def _edit(
    client: Client,
    memory: str,
    text: str | None = None,
    *,
    version: int | None = None,
    importance: str | None = None,
    confidence: str | None = None,
    scope: str | None = None,
    why: str = "",
) -> ActionResult:
    from sparkplug.client import memory as room
    from sparkplug.schema.errors import InvalidError
    from sparkplug.schema.memory import EditRequest

    if all(value is None for value in (text, importance, confidence, scope)):
        raise InvalidError("nothing is to be changed", hint="give other words, or a flag")
    request = EditRequest(
        id=memory,
        text=text,
        version=version,
        importance=_confidence(importance),
        confidence=_confidence(confidence),
        scope=scope,
        why=why,
    )
    item = await room.edit(client, request)
    data = {"id": item.id, "version": item.version, "state": item.state}
    return ActionResult(f"{item.id[:8]}: version {item.version}", data)


async def _many(client: Client, verb: str, done: str, memory: str, why: str) -> ActionResult:
    from sparkplug.client import memory as room
    from sparkplug.schema.errors import SparkplugError

    reply: ManyReply = await room.many(client, verb, [memory], why)
    if not reply.changed:
        raise SparkplugError(next(iter(reply.left.values()), "nothing was changed"), where=memory)
    known = reply.changed[0]
    return ActionResult(f"{known[:8]}: {done}", {"id": known, "changed": True})


async def _delete(client: Client, memory: str, *, why: str = "") -> ActionResult:
    return await _many(client, "delete", "deleted, for seven days to be had back", memory, why)


async def _undo(client: Client, memory: str) -> ActionResult:
    return await _many(client, "undo", "is back", memory, "")


async def _release(client: Client, memory: str, *, why: str = "") -> ActionResult:
    return await _many(client, "release", "let out of quarantine", memory, why)


async def _quarantine(client: Client, memory: str, *, why: str = "") -> ActionResult:
    return await _many(client, "quarantine", "kept back from agents", memory, why)


async def _exists(client: Client, memory: str, **_: Any) -> None:
    from sparkplug.client import memory as room

    await room.describe(client, memory)


def _asked(
    duplicates: bool, contradictions: bool, expired: bool, weak: str | None, scope: str
) -> PruneRequest:
    """What is looked for; without a word all that is safe to propose."""
    from sparkplug.schema.memory import PruneRequest

    below = _confidence(weak)
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
    if left:
        text += "\n" + "\n".join(map(_line, left))
    data = {
        "deleted": reply.deleted,
        "purged": reply.purged,
        "freed_bytes": reply.freed_bytes,
        "proposals": [_data(one) for one in left],
    }
    return ActionResult(text, data, changed=bool(reply.deleted))


async def _try_prune(
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
    reply = await room.prune(client, request)
    lines = [_line(one) for one in reply.proposals] or ["nothing to tidy"]
    data = {"proposals": [_data(one) for one in reply.proposals]}
    return ActionResult("\n".join(lines), data, changed=False)


def _line(one: Proposal) -> str:
    kept = f"  beside {one.keep.id[:8]} {short(one.keep.text)}" if one.keep else ""
    does = "look at" if one.kind == "contradiction" else "delete"
    return f"{one.kind}: {does} {one.drop.id[:8]} {short(one.drop.text)} ({one.why}){kept}"


def _data(one: Proposal) -> dict[str, Any]:
    def item(found: MemoryItem | None) -> dict[str, Any] | None:
        return {"id": found.id, "text": found.text, "scope": found.scope} if found else None

    return {"kind": one.kind, "drop": item(one.drop), "keep": item(one.keep), "why": one.why}


async def _import(client: Client, file: str) -> ActionResult:
    from pathlib import Path

    from sparkplug.client import memory as room

    reply = await room.import_lines(client, Path(file))
    data = {"added": reply.added, "there": reply.there}
    return ActionResult(f"{reply.added} taken in, {reply.there} were there", data)


def _whole(folder: str) -> str:
    from pathlib import Path

    return str(Path(folder).expanduser().absolute())


async def _ingest(
    client: Client, folder: str, *, scope: str = "mesh", no_watch: bool = False
) -> ActionResult:
    from sparkplug.client import memory as room
    from sparkplug.schema.memory import IngestRequest

    request = IngestRequest(path=_whole(folder), scope=scope, watch=not no_watch)
    made = await room.ingest(client, request)
    text = f"{made.path}: {made.files} files in {made.chunks} pieces"
    return ActionResult(text, plain(made))


async def _forget(client: Client, folder: str) -> ActionResult:
    from sparkplug.client import memory as room

    made = await room.forget(client, _whole(folder))
    return ActionResult(f"{made.path}: forgotten", {"path": made.path, "chunks": made.chunks})


async def _move(client: Client, host: str) -> ActionResult:
    from sparkplug.client import memory as room

    made = await room.move(client, host)
    text = f"{made.items} memories go to {made.node}; what is said meanwhile waits in the mesh"
    return ActionResult(text, {"host": made.node, "items": made.items})


def _memory(subject: Subject | None) -> Any:
    if subject is None or subject.kind != "memory":
        return "select a memory"
    return subject.value


def _in_state(*states: str, why: str) -> Any:
    def applies(subject: Subject | None) -> str | None:
        item = _memory(subject)
        if isinstance(item, str) or item is None:
            return item
        return None if str(item.state) in states else why

    return applies


_present = _in_state("kept", "quarantined", why="it is deleted")

MEMORY_ACTIONS: tuple[Action, ...] = (
    Action(
        id="memory.add",
        title="Add a memory",
        help="have something remembered",
        verb=("memory", "add"),
        arguments=(
            Argument("text", "text", "what is to be remembered", required=True),
            Argument("scope", "text", "whose it is (mesh)", default="mesh", flag="--scope"),
            Argument("importance", "text", "0 to 1 (0.5)", flag="--importance"),
            Argument("expires", "seconds", "forget it after so long", flag="--expires"),
            Argument("outside", "switch", "it was said outside of the mesh", flag="--outside"),
            Argument("extract", "switch", "let the model take the facts out", flag="--extract"),
        ),
        run=_add,
        preview=lambda text, scope="mesh", **_: f"would remember in {scope}: {short(text)}",
    ),
    Action(
        id="memory.edit",
        title="Edit memory",
        help="change what a memory says; the wording before stays as a version",
        verb=("memory", "edit"),
        key="e",
        target="memory",
        arguments=(
            _ID,
            Argument("text", "text", "the new words", flag="--text"),
            Argument(
                "version", "integer", "refuse when it is another by now", flag="--version-was"
            ),
            Argument("importance", "text", "0 to 1", flag="--importance"),
            Argument("confidence", "text", "0 to 1", flag="--confidence"),
            Argument("scope", "text", "whose it is from now on", flag="--scope"),
            _WHY,
        ),
        applies=_present,
        check=_exists,
        run=_edit,
        preview=lambda memory, **_: f"would change {memory}",
    ),
    Action(
        id="memory.delete",
        title="Delete memory",
        help="delete memories; they can be had back for seven days",
        verb=("memory", "delete"),
        key="ctrl+d",
        target="memory",
        arguments=(_ID, _WHY),
        danger=True,
        many=True,
        applies=_present,
        check=_exists,
        run=_delete,
        preview=lambda memory, **_: f"would delete {memory}, for seven days to be had back",
    ),
    Action(
        id="memory.undo",
        title="Undo the deletion",
        help="have deleted memories back",
        verb=("memory", "undo"),
        key="u",
        target="memory",
        arguments=(_ID,),
        many=True,
        applies=_in_state("deleted", why="it is not deleted"),
        check=_exists,
        run=_undo,
        preview=lambda memory, **_: f"would have {memory} back",
    ),
    Action(
        id="memory.release",
        title="Let out of quarantine",
        help="let agents read memories that were kept back",
        verb=("memory", "release"),
        key="a",
        target="memory",
        arguments=(_ID, _WHY),
        danger=True,
        many=True,
        applies=_in_state("quarantined", why="it is not in quarantine"),
        check=_exists,
        run=_release,
        preview=lambda memory, **_: f"would let agents read {memory}",
    ),
    Action(
        id="memory.quarantine",
        title="Put into quarantine",
        help="keep memories back from agents until somebody has looked at them",
        verb=("memory", "quarantine"),
        target="memory",
        arguments=(_ID, _WHY),
        many=True,
        applies=_in_state("kept", why="agents do not read it"),
        check=_exists,
        run=_quarantine,
        preview=lambda memory, **_: f"would keep {memory} back from agents",
    ),
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
        run=_move,
        preview=lambda host, **_: f"would have {host} keep the memory",
    ),
)
