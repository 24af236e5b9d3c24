"""Placing: where replicas would go, as the elected placer says, and how far load scaled agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.service import call
from sparkplug.client.session import Client
from sparkplug.schema.agent import ScaledAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.errors import NoMeshError, NotFoundError
from sparkplug.schema.placement import PreviewedReplica, PreviewReply, PreviewRequest
from sparkplug.schema.plain import plain

_DEADLINE_S = 5.0
#: Reasons alike for so many replicas of an agent are told once.
_WORDS = {"stays": "stays on", "goes": "goes to", "moves": "moves to"}


async def preview_deploy(client: Client, specs: Sequence[AgentSpec]) -> list[PreviewedReplica]:
    """Where each replica of these agents would go, were they deployed now. Changes nothing.

    Raises NoMeshError while no placer is elected.
    """
    return await _ask(client, PreviewRequest(specs=list(specs)))


async def preview_drain(
    client: Client, host: str, *, stop_pinned: bool = False
) -> list[PreviewedReplica]:
    """Where each replica on a host would go, were it drained now. Changes nothing."""
    return await _ask(client, PreviewRequest(drain=host, stop_pinned=stop_pinned))


async def _ask(client: Client, request: PreviewRequest) -> list[PreviewedReplica]:
    subject = subjects.PLACEMENT_PREVIEW
    try:
        reply = await call(client.bus, subject, request, PreviewReply, deadline=_DEADLINE_S)
    except NoMeshError as error:
        raise NoMeshError(
            "no node is elected to place now", hint="one is within seconds while a node is up"
        ) from error
    return reply.replicas


def preview_text(replicas: Sequence[PreviewedReplica]) -> str:
    """A preview for a person: a line for each replica, below it why not elsewhere."""
    lines = []
    for shown in replicas:
        name = f"{shown.agent}/{shown.replica}"
        if shown.node is None:
            lines.append(
                f"  {name} {'waits' if shown.what == 'waits' else shown.what}: {shown.why}"
            )
        else:
            gpus = f" with {', '.join(shown.gpus)}" if shown.gpus else ""
            lines.append(f"  {name} {_WORDS[shown.what]} {shown.node}{gpus}: {shown.why}")
            lines += [f"    not {node}: it {why}" for node, why in shown.elsewhere.items()]
    return "\n".join(lines)


def preview_data(replicas: Sequence[PreviewedReplica]) -> list[dict[str, Any]]:
    """A preview as `--json` has it."""
    return [plain(shown) for shown in replicas]


async def read_scaled(client: Client, agent: str) -> ScaledAgent | None:
    """How far load scaled an agent; None: not at all, or the mesh is too old to."""
    try:
        entry = await Bucket(client.bus, subjects.BUCKET_SCALE).get(agent)
    except NotFoundError:
        return None
    return decode(ScaledAgent, entry) if entry is not None else None
