"""What the list of hosts shows of a host that takes nothing new."""

from __future__ import annotations

import pytest

from sparkplug.actions.action import Subject
from sparkplug.actions.registry import ACTIONS
from sparkplug.schema.node import NodeOrder, NodeState, ObservedNode
from sparkplug.schema.node_services import HostView
from sparkplug.tui.panes.host_columns import host_columns


def view(state: NodeState, order: NodeOrder | None) -> HostView:
    node = ObservedNode(name="h", host="h", state=state, version="1", pid=1)
    return HostView(name="h", state=state, age_seconds=1.0, node=node, order=order)


def drawn(name: str, host: HostView) -> str:
    column = next(column for column in host_columns(lambda _: ()) if column.name == name)
    value = column.value(host)
    return str(column.draw(value)[1]) if column.draw is not None else str(value)


CORDONED = NodeOrder(name="h", cordoned=True, changed_by="ana", reason="new disk")
DRAINING = CORDONED.model_copy(update={"draining": True})


@pytest.mark.parametrize(
    ("state", "order", "shown"),
    [
        (NodeState.READY, None, "● ready"),
        (NodeState.READY, NodeOrder(name="h"), "● ready"),
        (NodeState.READY, CORDONED, "⊘ cordoned"),
        (NodeState.READY, DRAINING, "◐ draining"),
        # What it is comes before what is wanted of it.
        (NodeState.DEGRADED, CORDONED, "! degraded"),
    ],
)
def test_a_host_is_marked(state: NodeState, order: NodeOrder | None, shown: str) -> None:
    assert drawn("state", view(state, order)) == shown


def test_who_and_why_is_told() -> None:
    assert drawn("order", view(NodeState.READY, CORDONED)) == "cordoned by ana: new disk"


def test_what_can_be_done_with_a_host_depends_on_what_is_wanted_of_it() -> None:
    def fits(action: str, order: NodeOrder | None) -> bool:
        subject = Subject("host", "h", view(NodeState.READY, order))
        return ACTIONS[action].applies(subject) is None

    actions = ("hosts.cordon", "hosts.uncordon", "hosts.drain")
    assert [fits(action, None) for action in actions] == [True, False, True]
    assert [fits(action, CORDONED) for action in actions] == [False, True, True]
    assert [fits(action, DRAINING) for action in actions] == [True, True, False]
