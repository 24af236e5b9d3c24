"""All actions, by id."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject
from sparkplug.actions.agents import AGENT_ACTIONS
from sparkplug.actions.decisions import DECISION_ACTIONS
from sparkplug.actions.host_processes import HOST_PROCESS_ACTIONS
from sparkplug.actions.hosts import HOST_ACTIONS
from sparkplug.actions.memory import MEMORY_ACTIONS
from sparkplug.actions.memory_review import MEMORY_REVIEW_ACTIONS
from sparkplug.actions.memory_upkeep import MEMORY_UPKEEP_ACTIONS
from sparkplug.actions.mesh import MESH_ACTIONS
from sparkplug.actions.models import MODEL_ACTIONS
from sparkplug.actions.questions import QUESTION_ACTIONS
from sparkplug.actions.runs import RUN_ACTIONS
from sparkplug.actions.schedules import SCHEDULE_ACTIONS
from sparkplug.actions.talk import TALK_ACTIONS
from sparkplug.actions.tasks import TASK_ACTIONS
from sparkplug.actions.threads import THREAD_ACTIONS
from sparkplug.schema.errors import RefusedError

if TYPE_CHECKING:
    from sparkplug.client.session import Client

__all__ = [
    "ACTIONS",
    "Action",
    "ActionResult",
    "Argument",
    "Subject",
    "look_first",
    "refuse_if_readonly",
]

#: Of many names so many are looked up at once.
_LOOKED_UP = 16

ACTIONS: dict[str, Action] = {
    action.id: action
    for action in (
        *AGENT_ACTIONS,
        *HOST_ACTIONS,
        *HOST_PROCESS_ACTIONS,
        *MODEL_ACTIONS,
        *SCHEDULE_ACTIONS,
        *QUESTION_ACTIONS,
        *THREAD_ACTIONS,
        *RUN_ACTIONS,
        *MEMORY_ACTIONS,
        *MEMORY_REVIEW_ACTIONS,
        *MEMORY_UPKEEP_ACTIONS,
        *TASK_ACTIONS,
        *MESH_ACTIONS,
        *TALK_ACTIONS,
        *DECISION_ACTIONS,
    )
}


def refuse_if_readonly(action: Action, *, readonly: bool) -> None:
    """Raise RefusedError when a read-only face asks for an action that writes."""
    if readonly and action.writes:
        raise RefusedError(
            f"{action.title.lower()} changes the mesh, and this was started with --readonly",
            hint="leave --readonly out to allow it",
        )


async def look_first(
    client: Client, action: Action, calls: Sequence[Mapping[str, Any]]
) -> list[str | None]:
    """Look that an action could be done in each of its calls, before anybody is asked about it.

    What each would do in full, None where its preview says that already. Raises what keeps one
    of them from being done, as NotFoundError: then none is.
    """
    check = action.check
    if check is None or (action.together is not None and len(calls) > 1):
        # One request for all of them says itself which it could not do.
        return [None] * len(calls)
    slots = asyncio.Semaphore(_LOOKED_UP)

    async def look(arguments: Mapping[str, Any]) -> str | None:
        async with slots:
            return await check(client, **arguments)

    looks = [asyncio.ensure_future(look(arguments)) for arguments in calls]
    try:
        # In their order, so that of several names that are wrong the first is told of.
        return [await one for one in looks]
    finally:
        for one in looks:
            one.cancel()
        await asyncio.gather(*looks, return_exceptions=True)


def actions_for(subject: Subject | None) -> list[tuple[Action, str | None]]:
    """The actions that could be offered for what is selected, each with why it does not apply.

    Those that apply come first, in the order of the registry.
    """
    kind = subject.kind if subject else None
    offered = [a for a in ACTIONS.values() if a.target in (None, kind)]
    pairs = [(action, action.applies(subject)) for action in offered]
    return sorted(pairs, key=lambda pair: (pair[1] is not None, pair[0].target is None))
