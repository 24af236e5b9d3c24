"""A node on a NATS server that somebody else runs."""

from __future__ import annotations

import getpass
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.node import Node, wait_until
from sparkplug.bus import jwt
from sparkplug.bus.binary import find_server
from sparkplug.bus.connection import connect
from sparkplug.bus.jwt import Permissions
from sparkplug.bus.keys import read_creds
from sparkplug.bus.signing import Signer, read_signer, tried
from sparkplug.node.permissions import agent_permissions, scoped_template
from sparkplug.schema.errors import RefusedError


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[str]:
    """The URL of a stock server without any authentication."""
    ports = tmp_path / "ports"
    ports.mkdir()
    with subprocess.Popen(
        [
            str(find_server().path),
            "--addr",
            "127.0.0.1",
            "--port",
            "-1",
            "--jetstream",
            "--store_dir",
            str(tmp_path / "store"),
            "--ports_file_dir",
            str(ports),
        ],
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            assert wait_until(lambda: any(ports.iterdir()))
            (listed,) = ports.iterdir()
            assert wait_until(lambda: "nats://" in listed.read_text())
            port = listed.read_text().split("nats://127.0.0.1:")[1].split('"')[0]
            yield f"nats://127.0.0.1:{port}"
        finally:
            server.kill()


def test_agents_run_on_an_open_server_and_down_leaves_it_alone(
    home: Path, tmp_path: Path, stranger: str
) -> None:
    node = Node(home, {"SPARKPLUG_NATS_URL": stranger})
    try:
        node.up()
        status = node.json("status")
        assert status["url"] == stranger
        assert status["nats"]["owned"] is False
        checks = {check["name"]: check for check in node.json("doctor")}
        assert checks["identity"]["state"] == "warn"
        assert "share its user" in checks["identity"]["text"]
        node.cli("agents", "deploy", str(node.write_agent(tmp_path / "a", "echo")))
        assert node.cli("prompt", "echo", "hi").stdout.strip() == "echo: hi"
    finally:
        node.close()
    other = Node(tmp_path / "other", {"SPARKPLUG_URL": stranger})
    assert other.json("hosts")[0]["state"] == "stopped"


@dataclass
class Owned:
    """A server in operator mode, and what its owner hands over."""

    url: str
    creds: Path
    signing_key: Path
    account: str
    monitor: str


def _template() -> dict[str, Any]:
    """What docs/mesh.md has the owner put into a scoped signing key."""
    allowed = scoped_template()
    return {
        "pub": {"allow": list(allowed.publish)},
        "sub": {"allow": list(allowed.subscribe)},
        "resp": {"max": -1, "ttl": -1},
        "subs": -1,
        "data": -1,
        "payload": -1,
    }


@pytest.fixture(params=["plain", "scoped"])
def owned(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Owned]:
    """A server whose owner gave an account's credentials and a signing key, of both kinds."""
    operator, system, account = (
        jwt.create_seed(kind) for kind in ("operator", "account", "account")
    )
    signing = jwt.create_seed("account")
    public = jwt.public_key(account)
    key: Any = jwt.public_key(signing)
    if request.param == "scoped":
        key = {"kind": "user_scope", "key": key, "role": "agent", "template": _template()}
    told = jwt.account_jwt("theirs", public, operator, jetstream=True, signing_keys=[key])
    folder = tmp_path / "theirs"
    ports = folder / "ports"
    ports.mkdir(parents=True)
    config = folder / "nats.conf"
    system_jwt = jwt.account_jwt("SYS", jwt.public_key(system), operator, jetstream=False)
    config.write_text(
        f"""
listen: "127.0.0.1:-1"
http: "127.0.0.1:-1"
ports_file_dir: {json.dumps(str(ports))}
jetstream {{ store_dir: {json.dumps(str(folder / "store"))} }}
operator: {jwt.operator_jwt("them", operator, jwt.public_key(system))}
system_account: {jwt.public_key(system)}
resolver: MEMORY
resolver_preload: {{
  {jwt.public_key(system)}: {system_jwt}
  {public}: {told}
}}
"""
    )
    creds, key_file = folder / "node.creds", folder / "signing.nk"
    creds.write_text(jwt.user_credentials("node", account, Permissions()).as_creds_file())
    key_file.write_text(signing + "\n")
    for path in (creds, key_file):
        path.chmod(0o600)
    with subprocess.Popen(
        [str(find_server().path), "-c", str(config)], stderr=subprocess.DEVNULL
    ) as server:
        try:
            assert wait_until(lambda: any("nats://" in p.read_text() for p in ports.iterdir()))
            (listed,) = ports.iterdir()
            there = json.loads(listed.read_text())
            yield Owned(there["nats"][0], creds, key_file, public, there["monitoring"][0])
        finally:
            server.kill()


@pytest.mark.parametrize("owned", ["scoped"], indirect=True)
def test_a_signing_key_gives_every_agent_a_user_of_its_own(
    home: Path, tmp_path: Path, owned: Owned
) -> None:
    node = Node(
        home,
        {
            "SPARKPLUG_NATS_URL": owned.url,
            "SPARKPLUG_NATS_CREDS": str(owned.creds),
            "SPARKPLUG_NATS_SIGNING_KEY": str(owned.signing_key),
        },
    )
    try:
        node.up()
        checks = {check["name"]: check for check in node.json("doctor")}
        assert checks["identity"]["state"] == "ok"
        for name in ("echo", "other"):
            node.cli("agents", "deploy", str(node.write_agent(tmp_path / "a", name)))
        assert node.cli("prompt", "echo", "hi").stdout.strip() == "echo: hi"
        connections = _connections(owned)
        echo, other, itself = (
            connections[name] for name in ("agent echo/0", "agent other/0", f"node {_name(node)}")
        )
        users = {found["authorized_user"] for found in (echo, other, itself)}
        assert len(users) == 3
        assert echo["issuer_key"] == other["issuer_key"] == _public(owned.signing_key)
        assert echo["account"] == owned.account
    finally:
        node.close()


async def test_a_user_of_a_signing_key_may_do_what_its_agent_may_and_nothing_else(
    owned: Owned,
) -> None:
    assert await _tries(owned) == []


async def test_a_key_that_the_account_does_not_know_is_told(owned: Owned) -> None:
    signer = Signer(owned.account, jwt.create_seed("account"))
    bus = await connect(
        owned.url, name="x", inbox_prefix="_INBOX.x", credentials=read_creds(owned.creds)
    )
    with pytest.raises(RefusedError, match="does not take users of that signing key"):
        await tried(signer, bus, "")
    await bus.close()


def _name(node: Node) -> str:
    return str(node.json("status")["node"]["name"])


def _public(path: Path) -> str:
    return jwt.public_key(path.read_text().strip())


def _connections(owned: Owned) -> dict[str, dict[str, Any]]:
    """Who is connected, as the server itself tells."""
    with urllib.request.urlopen(f"{owned.monitor}/connz?auth=true", timeout=10) as answer:
        data = json.loads(answer.read())
    return {found["name"]: found for found in data["connections"]}


async def _tries(owned: Owned) -> list[str]:
    """What of that which an agent may not do its user could do all the same."""
    account = await connect(
        owned.url, name="x", inbox_prefix="_INBOX.x", credentials=read_creds(owned.creds)
    )
    signer = read_signer(owned.signing_key, read_creds(owned.creds))
    signer = await tried(signer, account, "")
    owner = getpass.getuser()
    credentials = signer.user(
        "agent echo/0",
        agent_permissions("echo", owner, "0"),
        {"agent": "echo", "owner": owner, "replica": "0"},
    )
    inbox = "_INBOX.sp.agent.echo=0"
    bus = await connect(owned.url, name="raw", inbox_prefix=inbox, credentials=credentials)
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    bus.nc._error_cb = note
    own = [f"agents.prompt.echo.{owner}.0", f"{inbox}.>"]
    others = [f"agents.prompt.other.{owner}.0", "_INBOX.sp.agent.other=0.>", ">", "$KV.>"]
    for subject in (*own, *others):
        await bus.nc.subscribe(subject)
    writes = ["$KV.sparkplug-specs.x", "sparkplug.mesh.expel", f"agents.hb.other.{owner}.0"]
    for subject in (*writes, f"agents.hb.echo.{owner}.0"):
        await bus.nc.publish(subject, b"")
    await bus.flush()
    await bus.close()
    await account.close()
    unrefused = [s for s in (*others, *writes) if not any(f'"{s.lower()}"' in r for r in refused)]
    return [*unrefused, *(r for r in refused if any(f'"{s.lower()}"' in r for s in own))]


def test_a_signing_key_that_does_not_hold_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("SAnonsense")
    key.chmod(0o600)
    theirs = jwt.user_credentials("node", jwt.create_seed("account"), Permissions())
    with pytest.raises(RefusedError, match="not the seed"):
        read_signer(key, theirs)
    with pytest.raises(RefusedError, match="needs nats"):
        read_signer(key, None)
    with pytest.raises(RefusedError, match="cannot read"):
        read_signer(tmp_path / "none", theirs)
    key.chmod(0o644)
    with pytest.raises(RefusedError, match="by others"):
        read_signer(key, theirs)
