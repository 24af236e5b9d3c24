"""The actions on what is wanted of an agent: editing it, its history, going back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument
from sparkplug.actions.agent_arguments import (
    AGENT,
    NO_WAIT,
    READY_S,
    REASON,
    TIMEOUT,
    changed_result,
    managed,
    ready_result,
)
from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.plain import plain

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.client.spec_history import SpecRevision


def _edited(file: str | None) -> str:
    from sparkplug.schema.textfile import read_text

    if file is None:
        raise InvalidError(
            "there is no text to take: --file names it",
            hint="on a terminal `sparkplug agents edit NAME` opens it in $EDITOR",
        )
    text = read_text(Path(file))
    if text is None:
        raise NotFoundError("no such file", where=file)
    return text


async def _check_edit(client: Client, agent: str, *, file: str | None = None, **_: Any) -> str:
    """The difference an edit would make."""
    from sparkplug.client import editing

    text = _edited(file)
    editing.check_text(text, file or "<text>")
    return await editing.text_diff(client, agent, text) or f"{agent}: nothing would change"


async def _confirm_edit(
    client: Client, agent: str, *, file: str | None = None, **_: Any
) -> str | None:
    from sparkplug.client import editing

    text = _edited(file)
    editing.check_text(text, file or "<text>")
    difference = await editing.text_diff(client, agent, text)
    return f"would change {agent}:\n{difference}\n" if difference else None


async def _edit(
    client: Client,
    agent: str,
    *,
    file: str | None = None,
    revision: int | None = None,
    no_wait: bool = False,
    timeout: float = READY_S,
    reason: str | None = None,
) -> ActionResult:
    from sparkplug.client import agents, editing

    text = _edited(file)
    editing.check_text(text, file or "<text>")
    if revision is None:
        _, revision = await editing.spec_text(client, agent)
    changed = await editing.apply_text(client, agent, text, revision, agents.Why(reason or ""))
    running = (await agents.desired(client))[agent].run
    return await ready_result(client, agent, "changed", changed, no_wait or not running, timeout)


async def _check_history(client: Client, agent: str) -> None:
    from sparkplug.client import spec_history

    await spec_history.history(client, agent)


async def _history(client: Client, agent: str) -> ActionResult:
    from sparkplug.client import spec_history

    found = await spec_history.history(client, agent)
    data = [plain(one) for one in found]
    text = "\n".join(_revision_lines(found))
    return ActionResult(f"{len(found)} revisions of {agent}", data, changed=False, text=text)


def _revision_lines(found: list[SpecRevision]) -> list[str]:
    lines = []
    for number, one in enumerate(found):
        when = one.changed.astimezone().strftime("%Y-%m-%d %H:%M:%S") if one.changed else "—"
        now = " (now)" if number == 0 and not one.removal else ""
        why = f": {one.reason}" if one.reason else ""
        lines.append(
            f"{one.revision}{now}  {when}  {one.changed_by or 'nobody known'}  {one.what}{why}"
        )
        lines += [f"    {line}" for line in one.changes]
    return lines


async def _check_undo(client: Client, agent: str, *, to: int | None = None, **_: Any) -> str:
    from sparkplug.client import spec_history

    return await spec_history.undo_diff(client, agent, to)


async def _confirm_undo(client: Client, agent: str, *, to: int | None = None, **_: Any) -> str:
    from sparkplug.client import spec_history

    difference = await spec_history.undo_diff(client, agent, to)
    return f"would take {agent} back:\n{difference}\n"


async def _undo(
    client: Client,
    agent: str,
    *,
    to: int | None = None,
    no_wait: bool = False,
    timeout: float = READY_S,
    reason: str | None = None,
) -> ActionResult:
    from sparkplug.client import agents, spec_history

    chosen = await spec_history.undo(client, agent, to, agents.Why(reason or ""))
    what = f"as at revision {chosen.revision}"
    if chosen.desired is None or not chosen.desired.run:
        return changed_result(agent, what, True)
    return await ready_result(client, agent, what, True, no_wait, timeout)


EDIT = Action(
    id="agents.edit",
    title="Edit agent",
    help="change the spec of an agent in $EDITOR, or from a file",
    verb=("agents", "edit"),
    key="e",
    target="agent",
    arguments=(
        AGENT,
        Argument("file", "path", "take the text from this file", flag="--file"),
        Argument("revision", "integer", "only if it still has this revision", flag="--revision"),
        NO_WAIT,
        TIMEOUT,
        REASON,
    ),
    applies=managed,
    check=_check_edit,
    confirm=_confirm_edit,
    run=_edit,
    preview=lambda agent, **_: f"would change the spec of {agent}",
)

UNDO = Action(
    id="agents.undo",
    title="Undo change of agent",
    help="want again what was wanted before; brings a removed agent back",
    verb=("agents", "undo"),
    key="u",
    target="agent",
    arguments=(
        AGENT,
        Argument("to", "integer", "this revision, not the last that differs", flag="--to"),
        NO_WAIT,
        TIMEOUT,
        REASON,
    ),
    applies=managed,
    check=_check_undo,
    confirm=_confirm_undo,
    run=_undo,
    preview=lambda agent, **_: f"would take back the last change of {agent}",
)

HISTORY = Action(
    id="agents.history",
    title="History of agent",
    help="every change of what is wanted of an agent: who, when, why, what",
    verb=("agents", "history"),
    key="H",
    target="agent",
    arguments=(AGENT,),
    applies=managed,
    writes=False,
    check=_check_history,
    run=_history,
    preview=lambda agent, **_: f"would show the history of {agent}",
)
