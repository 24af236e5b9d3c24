"""Asking for what one node keeps, while it changes hands."""

from __future__ import annotations

import asyncio

import pytest

from sparkplug.bus import keepers, subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.keepers import ask_keeper
from sparkplug.bus.leases import Lease
from sparkplug.bus.service import Services
from sparkplug.schema.errors import NoMeshError
from sparkplug.schema.node import Nothing

SUBJECT = "sparkplug.svc.kept.get"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for at all, unless somebody holds the lease."""
    monkeypatch.setattr(keepers, "_TAKEOVER_S", 0.0)


async def asked(bus: Bus, lease: str | None) -> Nothing:
    return await ask_keeper(bus, SUBJECT, Nothing(), Nothing, lease=lease, deadline=60.0)


async def test_who_has_taken_over_is_waited_for(mesh_bus: Bus) -> None:
    assert await Lease(mesh_bus, "kept", "two", ttl=60).acquire()
    answer = asyncio.create_task(asked(mesh_bus, "kept"))
    services = Services(mesh_bus)
    # It holds the lease, and reads for a while what it took over before it serves.
    looked = await mesh_bus.nc.subscribe(f"$JS.API.*.GET.KV_{subjects.BUCKET_LEASES}.>")
    await mesh_bus.flush()
    await looked.next_msg(timeout=60)
    assert not answer.done()

    async def serve(_: Nothing) -> Nothing:
        return Nothing()

    await services.serve(SUBJECT, Nothing, serve)
    assert await asyncio.wait_for(answer, 60) == Nothing()


async def test_nobody_is_waited_for_in_vain(mesh_bus: Bus) -> None:
    with pytest.raises(NoMeshError):
        await asyncio.wait_for(asked(mesh_bus, "kept"), 60)


async def test_who_does_not_serve_is_not_waited_for_for_ever(
    mesh_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await Lease(mesh_bus, "kept", "two", ttl=60).acquire()
    monkeypatch.setattr(keepers, "_LONGEST_TAKEOVER_S", 1.0)
    for lease in ("kept", None):
        with pytest.raises(NoMeshError):
            await asyncio.wait_for(asked(mesh_bus, lease), 60)
