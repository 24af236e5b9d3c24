"""All actions, by id."""

from __future__ import annotations

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

__all__ = ["ACTIONS", "Action", "ActionResult", "Argument", "Subject", "refuse_if_readonly"]

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


def actions_for(subject: Subject | None) -> list[tuple[Action, str | None]]:
    """The actions that could be offered for what is selected, each with why it does not apply.

    Those that apply come first, in the order of the registry.
    """
    kind = subject.kind if subject else None
    offered = [a for a in ACTIONS.values() if a.target in (None, kind)]
    pairs = [(action, action.applies(subject)) for action in offered]
    return sorted(pairs, key=lambda pair: (pair[1] is not None, pair[0].target is None))
