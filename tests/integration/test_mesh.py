"""Two hosts in one mesh, over TLS: opening it, inviting, joining, expelling, leaving."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.node import Node, wait_until
from sparkplug.bus.connection import connect
from sparkplug.schema.errors import RefusedError
from sparkplug.schema.mesh import decode_token

_ADDRESS = "127.0.0.2"


def _node(folder: Path, name: str) -> Node:
    return Node(folder / name, {"SPARKPLUG_NODE_NAME": name})


@pytest.fixture
def alpha(tmp_path: Path) -> Iterator[Node]:
    """A node whose server other hosts reach."""
    node = _node(tmp_path, "alpha")
    try:
        node.up()
        node.cli("mesh", "init", "--listen", _ADDRESS, "--name", "lab")
        yield node
    finally:
        node.close()


@pytest.fixture
def beta(tmp_path: Path) -> Iterator[Node]:
    """A second host, on which nothing runs yet."""
    node = _node(tmp_path, "beta")
    try:
        yield node
    finally:
        node.close()


def _token(node: Node, *words: str) -> str:
    return node.cli("mesh", "invite", *words).stdout.strip()


def _states(node: Node) -> dict[str, str]:
    return {row["name"]: row["state"] for row in node.json("hosts")}


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_opening_the_mesh_disturbs_no_agent_and_loses_nothing(tmp_path: Path) -> None:
    node = _node(tmp_path, "alpha")
    try:
        node.up()
        node.cli("agents", "deploy", str(node.write_agent(tmp_path / "a", "echo")))
        pids = node.agent_pids()
        events = [event["id"] for event in node.json("events")]

        node.cli("mesh", "init", "--listen", _ADDRESS, "--name", "lab")
        status = node.json("status")
        assert status["mesh"] == "lab"
        assert status["url"].startswith(f"tls://{_ADDRESS}:")
        assert status["nats"]["owned"] is True
        assert node.cli("prompt", "echo", "hi").stdout.strip() == "echo: hi"
        assert node.agent_pids() == pids
        assert [event["id"] for event in node.json("events")][: len(events)] == events
        for name in ("ca.key", "server.key", "ca.pem"):
            assert _mode(node.paths.keys / name) == 0o600

        before = node.run_file("nats.json")["pid"]
        again = node.json("mesh", "init", "--listen", _ADDRESS, "--name", "lab")
        assert again == {"url": status["url"], "changed": False}
        assert node.run_file("nats.json")["pid"] == before

        taken = node.cli("mesh", "init", "--listen", "192.0.2.1", check=False)
        assert taken.returncode == 1
        assert "not an address of this host" in taken.stderr
        assert node.cli("mesh", "init", "--listen", "a b", check=False).returncode == 2

        closed = node.json("mesh", "close")
        assert closed["url"].startswith("nats://127.0.0.1:")
        assert node.cli("prompt", "echo", "ho").stdout.strip() == "echo: ho"
        refused = node.cli("mesh", "invite", check=False)
        assert refused.returncode == 1
        assert "mesh init" in refused.stderr
        assert node.agent_pids() == pids
    finally:
        node.close()


def test_a_host_joins_by_a_token_that_is_good_once(alpha: Node, beta: Node, tmp_path: Path) -> None:
    token = _token(alpha)
    joined = json.loads(beta.cli("join", token, "--json").stdout)
    assert joined["mesh"] == "lab"
    assert joined["node"] == "beta"
    assert joined["up"] is True
    status = beta.json("status")
    assert status["mesh"] == "lab"
    assert status["nats"]["owned"] is False
    assert {node["name"] for node in status["nodes"]} == {"alpha", "beta"}
    for name in ("node.creds", "signing.nk", "face.creds"):
        assert _mode(beta.paths.joined / name) == 0o600

    # An agent there has a user of its own, signed there, and is asked from here.
    spec = beta.write_agent(tmp_path / "b", "echo", placement={"hosts": "beta"})
    beta.cli("agents", "deploy", str(spec))
    assert alpha.cli("prompt", "echo", "hi").stdout.strip() == "echo: hi"
    assert [row["host"] for row in alpha.json("agents", "list")] == ["beta"]

    # Neither is the token good again, nor can its user do anything else.
    other = _node(tmp_path, "gamma")
    again = other.cli("join", token, check=False)
    assert again.returncode == 4
    assert "used already" in again.stderr
    assert not (other.paths.joined).exists()
    taken = other.cli("join", _token(alpha), "--name", "beta", check=False)
    assert taken.returncode == 1
    assert "has a member beta already" in taken.stderr

    # The server dies and comes back: nobody has to be told.
    os.kill(alpha.run_file("nats.json")["pid"], signal.SIGKILL)
    assert wait_until(
        lambda: beta.cli("prompt", "echo", "yo", check=False).stdout.strip() == "echo: yo", 20
    )

    alpha.cli("mesh", "expel", "beta", "--yes")
    assert alpha.json("mesh", "members") == []
    assert wait_until(lambda: set(_states(alpha)) == {"alpha"})
    out = beta.cli("agents", "list", check=False)
    assert out.returncode == 4
    assert "refuses us" in out.stderr
    assert alpha.cli("mesh", "expel", "beta", "--yes", check=False).returncode == 3

    left = beta.json("mesh", "leave", "--yes")
    assert left == {"left": "lab", "told": False}
    assert not beta.paths.joined.exists()


async def test_a_tokens_user_may_ask_to_be_let_in_and_nothing_else(alpha: Node) -> None:
    token = decode_token(_token(alpha))
    bus = await connect(
        token.urls[0],
        name="raw",
        inbox_prefix=f"_INBOX.sp.join.{token.invite}",
        credentials=_credentials(token),
        ca=token.ca_pem,
    )
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    bus.nc._error_cb = note
    for subject in (
        "sparkplug.mesh.invite",
        "sparkplug.mesh.expel",
        "agents.prompt.a.b.0",
        "$KV.sparkplug-specs.x",
        "$JS.API.STREAM.NAMES",
        "$SYS.REQ.CLAIMS.UPDATE",
    ):
        await bus.nc.publish(subject, b"{}")
    for subject in (">", "sparkplug.>", "_INBOX.>", "sparkplug.mesh.redeem"):
        await bus.nc.subscribe(subject)
    await bus.flush()
    await bus.flush()  # what was refused before the first is told by now
    for word in ("sparkplug.mesh.invite", "$js.api.stream.names", '"sparkplug.mesh.redeem"'):
        assert any(word in told for told in refused), (word, refused)
    assert len(refused) == 10
    await bus.close()
    # In clear, or to whom we do not trust, nothing is said.
    with pytest.raises(RefusedError, match="not one we trust"):
        await connect(
            token.urls[0], name="x", inbox_prefix="_INBOX.x", credentials=_credentials(token)
        )


def _credentials(token):  # type: ignore[no-untyped-def]
    from sparkplug.bus.jwt import Credentials

    return Credentials(token.jwt, token.seed)


def test_what_a_host_had_is_merged_or_discarded_when_asked(
    alpha: Node, beta: Node, tmp_path: Path
) -> None:
    beta.up()
    for name in ("mine", "both"):
        beta.cli("agents", "deploy", str(beta.write_agent(tmp_path / "b", name)))
    alpha.cli("agents", "deploy", str(alpha.write_agent(tmp_path / "a", "both")))
    token = _token(alpha)
    asked = beta.cli("join", token, check=False)
    assert asked.returncode == 4
    assert "2 agents" in asked.stderr
    assert "--merge" in asked.stderr
    assert beta.json("status")["nats"]["owned"] is True, "nothing has changed"

    joined = json.loads(beta.cli("join", token, "--merge", "--json").stdout)
    assert joined["merged"] == ["mine"]
    assert joined["conflicts"] == ["both"]
    names = {row["name"] for row in alpha.json("agents", "list")}
    assert names == {"mine", "both"}

    beta.cli("mesh", "leave", "--yes")
    assert wait_until(lambda: alpha.json("mesh", "members") == [])
    assert {row["name"] for row in beta.json("agents", "list")} == {"both"}

    token = _token(alpha)
    assert beta.cli("join", token, "--discard", check=False).returncode == 4, "it asks first"
    beta.cli("down")
    beta.cli("join", token, "--discard", "--yes", "--no-start")
    assert not (beta.paths.nats / "jetstream").exists()
    assert beta.run_file("node.json") == {}


def test_a_face_is_let_in_by_a_token_of_its_own(alpha: Node, tmp_path: Path) -> None:
    laptop = _node(tmp_path, "laptop")
    token = _token(alpha, "--face")
    assert laptop.cli("join", token, check=False).returncode == 2
    assert laptop.cli("contexts", "add", "lab", _token(alpha), check=False).returncode == 2
    laptop.cli("contexts", "add", "lab", "-", stdin=token)
    assert _mode(laptop.home / "contexts" / "lab.creds") == 0o600
    assert [row["name"] for row in laptop.json("--context", "lab", "hosts")] == ["alpha"]
    status = laptop.json("--context", "lab", "status")
    assert status["nats"]["owned"] is False
    (member,) = alpha.json("mesh", "members")
    assert member["kind"] == "face"
    alpha.cli("mesh", "expel", member["name"], "--yes")
    assert laptop.cli("--context", "lab", "hosts", check=False).returncode == 4
    again = laptop.cli("contexts", "add", "two", token, check=False)
    assert again.returncode == 4
    assert "used already" in again.stderr
