"""What can be done about a replica that failed, in the order in which it helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkplug.schema.agent_state import RECOVERY_WORDS, AgentState, Recovery, recovery

if TYPE_CHECKING:
    from sparkplug.schema.agent import DesiredAgent, ObservedAgent

UNDO = "agents.undo"


def remedies(agent: ObservedAgent, wanted: DesiredAgent | None = None) -> list[tuple[str, str]]:
    """Ids of what helps, each with its words, best first; nothing where nothing is wrong.

    The ids are of actions, and `agents.logs`, `agents.logs.previous` of what shows a log. A
    foreign agent's owner alone can help it.
    """
    if agent.foreign:
        return []
    kind = agent.reason_kind
    found = recovery(AgentState(str(agent.state)), kind)
    told = [(str(one), RECOVERY_WORDS[one]) for one in found]
    if Recovery.EDIT in found and wanted is not None and wanted.generation > 1:
        after = found.index(Recovery.EDIT) + 1
        told.insert(after, (UNDO, "undo its last change"))
    return told
