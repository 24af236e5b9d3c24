"""Actions on memories: add, edit, delete and undo, and the review of those in quarantine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject

if TYPE_CHECKING:
    from sparkplug.client.session import Client

_ID = Argument("memory", "memory", "id of the memory, or its beginning", required=True)
_WHY = Argument("why", "text", "why, for others to read", default="", flag="--why")
_SHOWN = 60
#: Characters of a whole id.
_ID_LENGTH = 36


def short(text: str) -> str:
    """A memory in a few words."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def share(value: str | None) -> float | None:
    """A number from 0 to 1 as it is typed. Raises InvalidError."""
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
    from sparkplug.schema.memory import MemorySource, check_scope
    from sparkplug.schema.memory_requests import MemoryAdd

    weight = share(importance)
    request = MemoryAdd(
        text=text,
        scope=scope,
        importance=0.5 if weight is None else weight,
        expires_seconds=expires or None,
        source=MemorySource.OUTSIDE if outside else None,
        infer=extract,
    )
    check_scope(scope)
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
    from sparkplug.schema.memory_requests import EditRequest

    if all(value is None for value in (text, importance, confidence, scope)):
        raise InvalidError("nothing is to be changed", hint="give other words, or a flag")
    request = EditRequest(
        id=memory,
        text=text,
        version=version,
        importance=share(importance),
        confidence=share(confidence),
        scope=scope,
        why=why,
    )
    item = await room.edit(client, request)
    data = {"id": item.id, "version": item.version, "state": item.state}
    return ActionResult(f"{item.id[:8]}: version {item.version}", data)


async def _exists(client: Client, memory: str, **_: Any) -> None:
    from sparkplug.client import memory as room

    await room.describe(client, memory)


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


def _names(memory: str) -> str:
    """Ids as people are shown them: their beginnings; several have commas between them."""
    return ", ".join(name[:8] if len(name) == _ID_LENGTH else name for name in memory.split(", "))


def _judgement(
    verb: str,
    title: str,
    help: str,  # noqa: A002
    *,
    done: str,
    would: str,
    applies: Callable[[Subject | None], str | None],
    key: str | None = None,
    danger: bool = False,
) -> Action:
    """What deletes memories, has them back or judges them: one request for all that are named."""

    async def together(client: Client, calls: Sequence[dict[str, Any]]) -> ActionResult:
        from sparkplug.client import memory as room
        from sparkplug.schema.errors import SparkplugError

        ids = [str(given["memory"]) for given in calls]
        reply = await room.many(client, verb, ids, str(calls[0].get("why") or ""))
        if not reply.changed:
            where, left = next(iter(reply.left.items()), ("", "nothing was changed"))
            raise SparkplugError(left, where=where)
        data = [{"id": known, "changed": True} for known in reply.changed]
        data += [{"id": known, "changed": False, "why": why} for known, why in reply.left.items()]
        first = reply.changed[0][:8]
        count = len(reply.changed)
        told = f"{first}: {done}" if len(ids) == 1 else f"{count} memories: {done}"
        if reply.left:
            known, why = next(iter(reply.left.items()))
            told += f"; {len(reply.left)} not, like {known[:8]}: {why}"
        return ActionResult(told, data, exit_code=1 if reply.left else 0)

    async def run(client: Client, memory: str, *, why: str = "") -> ActionResult:
        found = await together(client, [{"memory": memory, "why": why}])
        return ActionResult(found.message, found.data[0])

    return Action(
        id=f"memory.{verb}",
        title=title,
        help=help,
        verb=("memory", verb),
        key=key,
        target="memory",
        arguments=(_ID, _WHY),
        danger=danger,
        many=True,
        applies=applies,
        check=_exists,
        run=run,
        together=together,
        preview=lambda memory, **_: would.format(_names(memory)),
    )


_present = _in_state("kept", "quarantined", why="it is deleted")

MEMORY_ACTIONS: tuple[Action, ...] = (
    Action(
        id="memory.add",
        title="Add a memory",
        help="have something remembered",
        verb=("memory", "add"),
        arguments=(
            Argument("text", "text", "what is to be remembered", required=True, stdin=True),
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
            Argument("text", "text", "the new words", flag="--text", stdin=True),
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
    _judgement(
        "delete",
        "Delete memory",
        "delete memories; they can be had back for seven days",
        done="deleted, for seven days to be had back",
        would="would delete {}, for seven days to be had back",
        key="ctrl+d",
        danger=True,
        applies=_present,
    ),
    _judgement(
        "undo",
        "Undo the deletion",
        "have deleted memories back",
        done="restored",
        would="would have {} back",
        key="u",
        applies=_in_state("deleted", why="it is not deleted"),
    ),
    _judgement(
        "release",
        "Let out of quarantine",
        "let agents read memories that were kept back",
        done="let out of quarantine",
        would="would let agents read {}",
        key="a",
        danger=True,
        applies=_in_state("quarantined", why="it is not in quarantine"),
    ),
    _judgement(
        "quarantine",
        "Put into quarantine",
        "keep memories back from agents until somebody has looked at them",
        done="kept back from agents",
        would="would keep {} back from agents",
        applies=_in_state("kept", why="agents do not read it"),
    ),
)
