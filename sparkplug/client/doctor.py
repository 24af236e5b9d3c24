"""Checks of this host and of the mesh: each says ok, warn or fail, and how to put it right."""

from __future__ import annotations

import asyncio

from sparkplug.client.check import Check, fail
from sparkplug.client.doctor_host import HOST_CHECKS
from sparkplug.client.doctor_mesh import MESH_CHECKS, not_reached
from sparkplug.client.session import Client
from sparkplug.config import Settings
from sparkplug.paths import Paths
from sparkplug.schema.errors import SparkplugError

_CHECK_DEADLINE_S = 10.0


async def diagnose(
    client: Client | None, unreached: SparkplugError | None, paths: Paths, settings: Settings
) -> list[Check]:
    """All checks. Without a client those of the mesh are one: `unreached` says why not."""
    found = await asyncio.to_thread(_check_host, paths, settings)
    if client is None:
        found.append(not_reached(unreached, settings))
        return found
    for mesh_check in MESH_CHECKS:
        try:
            async with asyncio.timeout(_CHECK_DEADLINE_S):
                found.append(await mesh_check(client))
        except (SparkplugError, TimeoutError) as error:
            name = mesh_check.__name__.replace("_", " ")
            found.append(fail(name, str(error) or f"no answer in {_CHECK_DEADLINE_S:g} s"))
    return found


def _check_host(paths: Paths, settings: Settings) -> list[Check]:
    return [check(paths, settings) for check in HOST_CHECKS]
