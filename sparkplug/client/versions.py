"""Faces and nodes of different releases: whether they still understand each other."""

from __future__ import annotations

import json

import nats.errors
from pydantic import ValidationError

from sparkplug import __version__
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.node import PROTOCOL, ObservedNode

_ASK_S = 2.0


def protocol_differs(node: ObservedNode) -> str | None:
    """In a sentence, when this release and that node's do not speak the same; else None."""
    if node.protocol == PROTOCOL:
        return None
    newer, older = (
        (f"node {node.name} ({node.version})", f"this is {__version__}")
        if node.protocol > PROTOCOL
        else (f"this ({__version__})", f"node {node.name} is {node.version}")
    )
    return (
        f"{newer} speaks protocol {max(node.protocol, PROTOCOL)}, {older} and speaks "
        f"{min(node.protocol, PROTOCOL)}: what is shown may be wrong, what is asked may fail; "
        "upgrade the older one"
    )


async def differing(bus: Bus) -> str | None:
    """The sentence about the node that wrote its record last; None when all is well.

    None as well when no node ever did, or the server does not answer: others tell of that.
    """
    # A direct get with a wildcard gives the newest message that matches (ADR-31).
    bucket = subjects.BUCKET_OBSERVED
    request = json.dumps({"last_by_subj": f"$KV.{bucket}.nodes.*"}).encode()
    try:
        message = await bus.nc.request(f"$JS.API.DIRECT.GET.KV_{bucket}", request, timeout=_ASK_S)
        node = ObservedNode.model_validate_json(message.data or b"")
    except (TimeoutError, nats.errors.Error, ValidationError):
        return None
    return protocol_differs(node)
