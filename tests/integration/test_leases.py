"""Work that is done while a lease is held: it ends with the lease, however that is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sparkplug.bus import leases, subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.bus.leases import Lease, while_held
from sparkplug.schema.errors import NoMeshError


async def forever() -> None:
    await asyncio.Event().wait()


async def test_work_ends_when_another_has_the_lease(mesh_bus: Bus) -> None:
    lease = Lease(mesh_bus, "office", "we", 3)
    assert await lease.acquire()
    work = asyncio.create_task(while_held(lease, forever()))
    bucket = Bucket(mesh_bus, subjects.BUCKET_LEASES)
    await bucket.put("office", b"another")
    with pytest.raises(NoMeshError):
        async with asyncio.timeout(30):
            await work
    entry = await bucket.get("office")
    assert entry is not None
    assert entry.value == b"another"


async def test_a_lease_that_lapsed_in_a_suspended_machine_is_not_taken_anew(
    mesh_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(mesh_bus, "office", "we", 3)
    assert await lease.acquire()
    work = asyncio.create_task(while_held(lease, forever()))
    await asyncio.sleep(0)  # it is under way
    awake = leases.lease_clock
    monkeypatch.setattr(leases, "lease_clock", lambda: awake() + 60)
    with pytest.raises(NoMeshError):
        async with asyncio.timeout(30):
            await work
    assert lease.taken == 1


async def test_work_goes_on_while_the_lease_is_renewed(
    mesh_bus: Bus, until: Callable[..., Awaitable[None]]
) -> None:
    lease = Lease(mesh_bus, "office", "we", 1)
    assert await lease.acquire()
    first = lease.renewed
    done = asyncio.Event()
    work = asyncio.create_task(while_held(lease, waited(done)))
    await until(lambda: lease.renewed > first + 1.5)
    assert not work.done()
    done.set()
    await work


async def waited(event: asyncio.Event) -> None:
    await event.wait()
