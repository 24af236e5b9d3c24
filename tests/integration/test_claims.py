"""What the account says of its users, told to a running server."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from fakes.mesh_server import MeshServer
from sparkplug.bus import jwt
from sparkplug.bus.claims import ACCOUNT_FILE, Account, read_claims
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.jwt import Credentials, Permissions
from sparkplug.schema.errors import RefusedError


async def _connect(mesh: MeshServer, credentials: Credentials) -> Bus:
    return await connect(
        mesh.url, name="claims test", inbox_prefix="_INBOX.sp.test.x", credentials=credentials
    )


async def test_a_nodes_signing_key_lets_its_users_in_until_it_is_taken(
    mesh_server: MeshServer, mesh_bus: Bus, until
) -> None:
    account = Account(mesh_server.keys, mesh_server.folder / "nats", mesh_bus)
    seed = jwt.create_seed("account")
    theirs = jwt.user_credentials(
        "agent a/0", seed, Permissions(), account=mesh_server.keys.account
    )
    with pytest.raises(RefusedError):
        await _connect(mesh_server, theirs)
    await account.change(lambda claims: claims.with_signing_key("b", jwt.public_key(seed)))
    bus = await _connect(mesh_server, theirs)
    await account.change(lambda claims: claims.without_signing_key("b"))
    await until(lambda: not bus.connected)
    with pytest.raises(RefusedError):
        await _connect(mesh_server, theirs)
    await bus.close()
    assert mesh_bus.connected


async def test_a_revoked_user_is_cut_off_and_stays_so_over_a_restart(
    mesh_server: MeshServer, mesh_bus: Bus, until
) -> None:
    account = Account(mesh_server.keys, mesh_server.folder / "nats", mesh_bus)
    users = [mesh_server.keys.user(f"user {n}", Permissions()) for n in range(2)]
    shut_out, kept = [await _connect(mesh_server, user) for user in users]
    public = jwt.public_key(users[0].seed)
    await account.change(lambda claims: claims.with_revoked(public))
    await until(lambda: not shut_out.connected)
    process = mesh_server.server.process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await mesh_server.restart()
    await until(lambda: kept.connected)
    with pytest.raises(RefusedError):
        await _connect(mesh_server, users[0])
    for bus in (shut_out, kept):
        await bus.close()


async def test_changes_at_the_same_time_are_all_kept(
    mesh_server: MeshServer, mesh_bus: Bus
) -> None:
    folder = mesh_server.folder / "nats"
    account = Account(mesh_server.keys, folder, mesh_bus)
    seeds = {f"n{n}": jwt.public_key(jwt.create_seed("account")) for n in range(4)}
    await asyncio.gather(
        *(
            account.change(lambda claims, n=name, k=key: claims.with_signing_key(n, k))
            for name, key in seeds.items()
        )
    )
    assert read_claims(folder).signing_keys == seeds
    (folder / ACCOUNT_FILE).write_text("{")
    with pytest.raises(RefusedError, match="cannot be read"):
        read_claims(folder)
