"""Actions on tasks: handing them in, cancelling them, and what becomes of dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject
from sparkplug.actions.asked_of_agents import text_or_action

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.task import NewTask, Task
    from sparkplug.schema.task_services import ChangedTasks

_ENDED = frozenset({"done", "dead", "cancelled"})
_PRIORITIES = ("urgent", "high", "normal", "low")
_TIMEOUT_S = 600.0
_TRIES = 5
_BACKOFF_S = 1.0
_WAIT_S = 86_400.0

_TASK = Argument("task", "task", "id of the task, or its beginning", required=True)
_DEAD = Argument("task", "task", "id of the dead letter, its beginning, or all", required=True)
_OF = Argument("capability", "text", "with all: of this capability alone", flag="--capability")
#: Stands for every dead letter there is; no id begins with it.
_ALL = "all"


def _new_task(
    capability: str,
    text: str = "",
    *,
    action: str | None = None,
    inputs: Sequence[str] = (),
    priority: str = "normal",
    key: str | None = None,
    delay: float = 0.0,
    at: str | None = None,
    timeout: float = _TIMEOUT_S,
    tries: int = _TRIES,
    backoff: float = _BACKOFF_S,
) -> NewTask:
    """The task that is asked for. Raises InvalidError."""
    from pydantic import ValidationError

    from sparkplug.client.plan_files import parse_inputs
    from sparkplug.schema.errors import InvalidError
    from sparkplug.schema.task import NewTask, Priority

    values: dict[str, Any] = parse_inputs(inputs)
    if values and action is None:
        raise InvalidError("--input goes with --action", hint="a plain task is only text")
    if action is None and not text:
        raise InvalidError("a task says what to do", hint="its TEXT is empty")
    if at is not None and delay:
        raise InvalidError("--at and --delay both say when", hint="give one of them")
    try:
        return NewTask(
            capability=capability,
            priority=Priority(priority),
            text=text,
            action=action,
            input=values,
            key=key or "",
            delay=delay,
            at=_time(at) if at is not None else None,
            timeout=timeout,
            tries=tries,
            backoff=backoff,
        )
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InvalidError(f"{where}: {problem['msg']}", where="task") from error


def _time(text: str) -> datetime:
    """A time as it is written; without a zone it is this host's. Raises InvalidError."""
    from sparkplug.schema.errors import InvalidError

    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        raise InvalidError(
            f"--at: {text!r} is no time", hint="like 2026-03-01T09:30 or 2026-03-01T09:30+01:00"
        ) from error


async def _check_submit(
    client: Client, capability: str, text: str = "", *, wait: bool = False, **given: Any
) -> str | None:
    from sparkplug.client import agents

    _new_task(capability, text, **given)
    there = await agents.list_agents(client)
    able = {agent.name for agent in there if capability in agent.capabilities}
    shown = ", ".join(sorted(able)) or "nobody yet"
    return f"would queue a task for {capability}, which {shown} can do"


async def _submit(
    client: Client,
    capability: str,
    text: str = "",
    *,
    action: str | None = None,
    inputs: Sequence[str] = (),
    priority: str = "normal",
    key: str | None = None,
    delay: float = 0.0,
    at: str | None = None,
    timeout: float = _TIMEOUT_S,
    tries: int = _TRIES,
    backoff: float = _BACKOFF_S,
    wait: bool = False,
) -> ActionResult:
    from sparkplug.client import tasks

    new = _new_task(
        capability,
        text,
        action=action,
        inputs=inputs,
        priority=priority,
        key=key,
        delay=delay,
        at=at,
        timeout=timeout,
        tries=tries,
        backoff=backoff,
    )
    taken = await tasks.submit_one(client, new)
    data = {"task": taken.id, "capability": capability, "duplicate": taken.duplicate}
    if wait:
        return _end_of(await tasks.wait_ended(client, taken.id, _WAIT_S), data)
    what = "was queued before, under its key" if taken.duplicate else "queued"
    return ActionResult(f"task {taken.id} {what}", data, changed=not taken.duplicate)


def _end_of(task: Task, data: dict[str, Any]) -> ActionResult:
    """What became of a task that was waited for. Raises SparkplugError when it is not done."""
    import json

    from sparkplug.schema.errors import SparkplugError

    if str(task.state) != "done":
        raise SparkplugError(
            f"task {task.id} is {task.state}: {task.error or 'it gave no reason'}",
            hint=f"`sparkplug tasks describe {task.id}` shows its tries",
        )
    result = task.result
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, indent=2)
    return ActionResult(
        f"task {task.id} is done", {**data, "state": "done", "result": result}, text=text
    )


async def _check_task(client: Client, task: str, **given: Any) -> None:
    from sparkplug.client import tasks

    await tasks.describe(client, task)


async def _check_dead(client: Client, task: str, **given: Any) -> str | None:
    """What would be done, by id."""
    from sparkplug.client import tasks
    from sparkplug.schema.errors import ConflictError
    from sparkplug.schema.task import TaskState

    _require(task, given.get("capability"))
    if task == _ALL:
        found = await tasks.list_tasks(
            client, states=[TaskState.DEAD], capability=given.get("capability"), limit=1
        )
        return f"would do so with {found.total} dead letters"
    one = await tasks.describe(client, task)
    if one.state is not TaskState.DEAD:
        raise ConflictError(f"task {one.id} is no dead letter, it is {one.state}")
    return None


def _require(task: str, capability: str | None) -> None:
    from sparkplug.schema.errors import InvalidError

    if capability and task != _ALL:
        raise InvalidError("--capability goes with all")


async def _cancel(client: Client, task: str) -> ActionResult:
    from sparkplug.client import tasks

    found = await tasks.describe(client, task)
    if str(found.state) in _ENDED:
        text = f"task {found.id} is {found.state} already"
        return ActionResult(text, {"task": found.id, "changed": False}, changed=False)
    changed = await tasks.cancel(client, [found.id])
    return _told(changed, "cancelled", found.id)


async def _requeue(
    client: Client,
    task: str,
    *,
    capability: str | None = None,
    text: str | None = None,
    inputs: Sequence[str] = (),
) -> ActionResult:
    from sparkplug.client import tasks
    from sparkplug.client.plan_files import parse_inputs

    _require(task, capability)
    every = task == _ALL
    ids = [] if every else [(await tasks.describe(client, task)).id]
    edited: dict[str, object] | None = dict(parse_inputs(inputs)) if inputs else None
    changed = await tasks.requeue(
        client, ids, every=every, capability=capability, text=text, input=edited
    )
    return _told(changed, "requeued", task)


async def _drop(client: Client, task: str, *, capability: str | None = None) -> ActionResult:
    from sparkplug.client import tasks

    _require(task, capability)
    every = task == _ALL
    ids = [] if every else [(await tasks.describe(client, task)).id]
    changed = await tasks.drop(client, ids, every=every, capability=capability)
    return _told(changed, "dropped", task)


def _told(changed: ChangedTasks, what: str, task: str) -> ActionResult:
    """What was changed. Raises RefusedError when the one that was named was not."""
    from sparkplug.schema.errors import RefusedError

    if task != _ALL and changed.not_changed:
        name, why = next(iter(changed.not_changed.items()))
        raise RefusedError(f"task {name} is not {what}: {why}")
    count = len(changed.ids)
    left = f"; {len(changed.not_changed)} were not" if changed.not_changed else ""
    text = f"task {changed.ids[0]} {what}" if count == 1 else f"{count} tasks {what}"
    data = {"ids": changed.ids, "changed": bool(count), "not_changed": changed.not_changed}
    return ActionResult(text + left, data, changed=bool(count))


def _is_task(subject: Subject | None) -> str | None:
    return None if subject is not None and subject.kind == "task" else "select a task"


def _can_cancel(subject: Subject | None) -> str | None:
    why = _is_task(subject)
    state = str(getattr(subject.value, "state", "")) if subject is not None else ""
    return why or (f"it is {state} already" if state in _ENDED else None)


def _is_dead(subject: Subject | None) -> str | None:
    why = _is_task(subject)
    state = str(getattr(subject.value, "state", "dead")) if subject is not None else ""
    return why or (None if state == "dead" else f"it is no dead letter, it is {state}")


def _which(task: str, capability: str | None) -> str:
    if task == _ALL:
        return f"all dead letters{f' of {capability}' if capability else ''}"
    return f"the dead letter {task}"


TASK_ACTIONS: tuple[Action, ...] = (
    Action(
        id="tasks.submit",
        title="Submit task",
        help="queue work for whoever has a capability",
        verb=("tasks", "submit"),
        key="N",
        arguments=(
            Argument("capability", "text", "what an agent must be able to do", required=True),
            *text_or_action("what to do"),
            Argument(
                "priority",
                "text",
                "how urgent it is (normal)",
                default="normal",
                flag="--priority",
                choices=_PRIORITIES,
            ),
            Argument("key", "text", "refused while a task of this key lives", flag="--key"),
            Argument("delay", "seconds", "begin no sooner, like 10m", default=0.0, flag="--delay"),
            Argument("at", "text", "begin no sooner than this time", flag="--at"),
            Argument(
                "timeout", "seconds", "longest try (10m)", default=_TIMEOUT_S, flag="--timeout"
            ),
            Argument("tries", "integer", "tries in all (5)", default=_TRIES, flag="--tries"),
            Argument(
                "backoff",
                "seconds",
                "before the second try, then doubled (1s)",
                default=_BACKOFF_S,
                flag="--backoff",
            ),
            Argument("wait", "switch", "wait for its end and print the answer", flag="--wait"),
        ),
        check=_check_submit,
        run=_submit,
        preview=lambda capability, **_: f"would queue a task for {capability}",
    ),
    Action(
        id="tasks.cancel",
        title="Cancel task",
        help="end a task before it is done",
        verb=("tasks", "cancel"),
        key="x",
        target="task",
        arguments=(_TASK,),
        many=True,
        danger=True,
        applies=_can_cancel,
        check=_check_task,
        run=_cancel,
        preview=lambda task, **_: f"would cancel the task {task}",
    ),
    Action(
        id="tasks.requeue",
        title="Requeue dead letter",
        help="give dead letters all their tries again, perhaps edited",
        verb=("tasks", "requeue"),
        key="r",
        target="task",
        arguments=(
            _DEAD,
            _OF,
            Argument("text", "text", "what it says from now on", flag="--text", stdin=True),
            Argument(
                "inputs",
                "pairs",
                "its input from now on, key=value",
                flag="--input",
                repeated=True,
                stdin=True,
            ),
        ),
        many=True,
        applies=_is_dead,
        check=_check_dead,
        run=_requeue,
        preview=lambda task, capability=None, **_: f"would requeue {_which(task, capability)}",
    ),
    Action(
        id="tasks.drop",
        title="Drop dead letter",
        help="forget dead letters for good",
        verb=("tasks", "drop"),
        key="X",
        target="task",
        arguments=(_DEAD, _OF),
        many=True,
        danger=True,
        applies=_is_dead,
        check=_check_dead,
        run=_drop,
        preview=lambda task, capability=None, **_: f"would forget {_which(task, capability)}",
    ),
)
