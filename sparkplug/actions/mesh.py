"""Actions on who is in the mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkplug.actions.action import Action, ActionResult, Argument

if TYPE_CHECKING:
    from sparkplug.client.session import Client


async def _check(client: Client, host: str) -> None:
    from sparkplug.client import mesh

    await mesh.require_member(client, host)


async def _expel(client: Client, host: str) -> ActionResult:
    from sparkplug.client import mesh

    member = await mesh.expel(client, host)
    data = {"member": member.name, "kind": str(member.kind), "changed": True}
    return ActionResult(f"{member.kind} {member.name} is shut out", data)


MESH_ACTIONS: tuple[Action, ...] = (
    Action(
        id="mesh.expel",
        title="Expel from the mesh",
        help="take back what a host or a face was let in with; it is cut off at once",
        verb=("mesh", "expel"),
        target="host",
        arguments=(Argument("host", "host", "name of the host, or of the face", required=True),),
        many=True,
        danger=True,
        check=_check,
        run=_expel,
        preview=lambda host, **_: f"would cut {host} off, with the agents that run there",
    ),
)
