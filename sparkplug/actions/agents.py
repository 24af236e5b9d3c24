"""Actions on agents, in the order in which they are offered."""

from __future__ import annotations

from sparkplug.actions.action import Action
from sparkplug.actions.agent_files import APPLY, DEPLOY, DIFF
from sparkplug.actions.lifecycle import REMOVE, RESTART, SCALE, START, STOP
from sparkplug.actions.prompting import CANCEL, PROMPT
from sparkplug.actions.spec_changes import EDIT, HISTORY, UNDO
from sparkplug.actions.waiting import WAIT

AGENT_ACTIONS: tuple[Action, ...] = (
    PROMPT,
    RESTART,
    START,
    STOP,
    CANCEL,
    SCALE,
    REMOVE,
    EDIT,
    UNDO,
    HISTORY,
    DIFF,
    DEPLOY,
    APPLY,
    WAIT,
)
