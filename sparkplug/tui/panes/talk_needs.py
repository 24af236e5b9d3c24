"""What needs a person of what agents say to each other: deadlocks, and decisions to settle; and
where what needs one leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line
from sparkplug.tui.widgets.listing import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparkplug.client.mesh_view import MeshView
    from sparkplug.schema.decision import DecisionView
    from sparkplug.schema.topology import WaitRing
    from sparkplug.tui.app import SparkplugApp


def deadlocks(view: MeshView | None) -> Sequence[WaitRing]:
    """The rings of waits that cannot come undone by themselves."""
    topology = view.topology if view is not None else None
    return [ring for ring in topology.rings if ring.certain] if topology is not None else []


def talk_needs(view: MeshView | None) -> list[Row]:
    """A row for each."""
    rows = []
    for ring in deadlocks(view):
        names = " → ".join(one_line(name) for name in [*ring.agents, ring.agents[0]])
        line: Line = (("bad", "⊗ "), ("text", "deadlock "), ("dim", names))
        rows.append(Row(f"ring/{'/'.join(ring.agents)}", line, ring))
    asked = view.decisions.values() if view is not None else ()
    return [*rows, *map(_decision, asked)]


async def open_need(centre: SparkplugApp, value: Any) -> bool:
    """Go where such a row leads. False: it is none of these."""
    from sparkplug.schema.decision import DecisionView
    from sparkplug.schema.node_services import HostView
    from sparkplug.schema.topology import WaitRing
    from sparkplug.tui.places import Opened

    if isinstance(value, HostView):
        centre.open_thing(Opened("why", "host", value.name))
        return True
    if isinstance(value, WaitRing):
        await centre.action_pane("topology")
        return True
    if not isinstance(value, DecisionView):
        return False
    from sparkplug.tui.dialogs.settle import Settle

    if centre.readonly:
        centre.tell("this was started with --readonly", "warn")
        return True

    def settle(option: str | None) -> None:
        if option is not None:
            centre.ask("decisions.vote", {"decision": value.id, "option": option})

    await centre.push_screen(Settle(value), settle)
    return True


def _decision(decision: DecisionView) -> Row:
    proposal = decision.proposal
    tied = decision.tallies[-1].top if decision.tallies else []
    line: Line = (
        ("warn", "? "),
        ("text", one_line(proposal.question)),
        ("dim", f"  {' or '.join(map(one_line, tied or proposal.options))}"),
    )
    return Row(f"decision/{decision.id}", line, decision)
