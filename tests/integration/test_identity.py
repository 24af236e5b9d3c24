"""What an agent's credentials are good for: what the agent may, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.client import RawCredentials as Raw
from nats.aio.msg import Msg

from fakes.mesh_server import MeshServer
from fakes.node import eventually
from sparkplug.bus import subjects
from sparkplug.bus.claims import Account
from sparkplug.bus.jwt import Credentials, public_key
from sparkplug.node.permissions import agent_permissions
from sparkplug.node.revocation import Revocations, by_account

_MAY_PUBLISH = {
    "agents.prompt.>",
    "sparkplug.agents.resolve",
    # Whose vote or proposal it is is told by its signature, see docs/decisions.md.
    subjects.DECISIONS_PROPOSE,
    subjects.DECISIONS_VOTE,
    subjects.DECISIONS_GET,
}
_MAY_SUBSCRIBE = {subjects.TASKS_HELLO, subjects.ALL_PUBLISHED}


class RawClient:
    """A stock client with an agent's credentials that keeps what it was refused."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.closed = asyncio.Event()
        self.nc = Client()

    async def connect(self, url: str, credentials: Credentials) -> None:
        async def error(problem: Exception) -> None:
            self.errors.append(str(problem))

        async def closed() -> None:
            self.closed.set()

        await self.nc.connect(
            url,
            user_credentials=Raw(credentials.as_creds_file()),
            allow_reconnect=False,
            error_cb=error,
            closed_cb=closed,
            disconnected_cb=closed,
        )

    async def refused(self, least: int = 0) -> int:
        """How often it was refused so far; `least` is waited for, a while."""
        await self.nc.flush(timeout=60)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while self._refused() < least:
                    await asyncio.sleep(0.005)
        return self._refused()

    def _refused(self) -> int:
        return sum("permissions violation" in error.lower() for error in self.errors)


def every_subject() -> list[str]:
    """All that subjects.py spells, with every placeholder filled: a new one is tried by itself."""
    names = [
        value
        for name, value in vars(subjects).items()
        if name.isupper() and isinstance(value, str) and "." in value
    ]
    made = [
        subjects.prompt("victim", "o", "0"),
        subjects.agent_state("victim", "0"),
        subjects.telemetry("host"),
        subjects.node_service("host", "logs"),
        subjects.node_service("host", "listen"),
        subjects.event("agent:changed", "victim"),
        subjects.event("agent:step", "victim"),
        subjects.event("question:answered", "mine"),
        subjects.agent_service("victim", "0", "ask"),
        subjects.agent_service("victim", "0", "checkpoints"),
        subjects.agent_threads("victim", "0"),
        "sparkplug.checkpoint.victim.t.%.c.1",
        subjects.journal("r1"),
        subjects.journal_fence("r1"),
        subjects.memory_call("search", subjects.memory_caller("victim", "o", "0")),
        subjects.memory_call("search", subjects.memory_caller("mine", "other", "0")),
        subjects.memory_call("search", subjects.memory_face("root")),
        subjects.memory_write(subjects.memory_caller("victim", "o", "0")),
        subjects.memory_write(subjects.memory_face("root")),
        subjects.tasks_to("victim", "0"),
        subjects.tasks_from("victim", "0"),
        *(subjects.tasks_by("victim", "0", verb) for verb in ("submit", "get", "cancel")),
        subjects.work("cap", "low", "t1"),
        subjects.dead("cap", "t1"),
        subjects.inbox("node", "host") + ".x",
        subjects.inbox("agent", "victim=0") + ".x",
    ]
    return sorted({*names, *made})


def api() -> list[str]:
    """The control plane's buckets and streams, and the server's own services."""
    named = {k: v for k, v in vars(subjects).items() if isinstance(v, str)}
    found = ["$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "$JS.API.INFO"]
    for name, value in named.items():
        if name.startswith(("BUCKET_", "OBJECTS_")):
            found += [f"$KV.{value}.k", f"$O.{value}.C.k", f"$JS.API.STREAM.INFO.KV_{value}"]
            found += [f"$JS.API.DIRECT.GET.KV_{value}", f"$JS.API.STREAM.PURGE.KV_{value}"]
        elif name.startswith("STREAM_"):
            found += [f"$JS.API.STREAM.{verb}.{value}" for verb in ("INFO", "DELETE", "MSG.GET")]
            found += [f"$JS.API.CONSUMER.CREATE.{value}", f"$JS.API.DIRECT.GET.{value}"]
            found.append(f"$JS.API.DIRECT.GET.{value}.sparkplug.checkpoint.victim.t.%.c.1")
    return found


@pytest.fixture
def credentials(mesh_server: MeshServer) -> Credentials:
    """Those of agent mine/0 of owner o."""
    return mesh_server.keys.user("agent mine/0", agent_permissions("mine", "o", "0"))


async def test_every_other_subject_is_refused(
    mesh_server: MeshServer, credentials: Credentials
) -> None:
    raw = RawClient()
    await raw.connect(mesh_server.url, credentials)
    try:
        expected = 0
        for subject in [*every_subject(), *api()]:
            if any(mark in subject for mark in "*>"):
                subject = subject.replace("*", "x").replace(">", "x")
            if subject.startswith(("agents.prompt.", "_INBOX.")) or subject in _MAY_PUBLISH:
                continue
            await raw.nc.publish(subject, b"{}")
            expected += 1
            assert await raw.refused(expected) == expected, f"may publish to {subject}"
        tried = [*every_subject(), *api(), ">", "*", "*.>", "_INBOX.>", "_INBOX.*.*.*.*", "$SYS.>"]
        tried += ["$KV.>", "$JS.>", "$JS.API.>", "$O.>", "sparkplug.>", "agents.>", "$SRV.>"]
        tried += ["agents.prompt.*.*.*", "agents.prompt.mine.*.0", "agents.prompt.mine.o.*"]
        tried += ["agents.prompt.victim.o.0", "agents.prompt.mine.other.0", "agents.hb.mine.o.0"]
        tried += [subjects.inbox("agent", "mine=1") + ".>", "_INBOX.sp.agent.*.>"]
        tried = [subject for subject in tried if subject not in _MAY_SUBSCRIBE]
        for subject in dict.fromkeys(tried):
            for queue in ("", "agents", "directory", "x"):
                await raw.nc.subscribe(subject, queue=queue)
                expected += 1
                assert await raw.refused(expected) == expected, (
                    f"may subscribe to {subject} {queue}"
                )
    finally:
        await raw.nc.close()


async def test_what_an_agent_may_still_works(
    mesh_server: MeshServer, credentials: Credentials
) -> None:
    raw = RawClient()
    await raw.connect(mesh_server.url, credentials)
    face = await mesh_server.connect("face")

    async def answer_yes(message: Msg) -> None:
        await message.respond(b"yes")

    try:
        await raw.nc.subscribe(subjects.prompt("mine", "o", "0"), queue="agents", cb=answer_yes)
        assert await raw.refused() == 0
        assert not raw.closed.is_set(), raw.errors
        answer = await face.nc.request(subjects.prompt("mine", "o", "0"), b"?", timeout=60)
        assert answer.data == b"yes"
        assert await raw.refused() == 0
    finally:
        await raw.nc.close()


async def test_a_reply_subject_gives_no_leave_to_publish(
    mesh_server: MeshServer, credentials: Credentials
) -> None:
    """It asks itself, naming a bucket's subject as the one for the answer."""
    raw = RawClient()
    await raw.connect(mesh_server.url, credentials)
    face = await mesh_server.connect("face")
    key = f"$KV.{subjects.BUCKET_SPECS}.planted"
    try:
        got: asyncio.Queue[Msg] = asyncio.Queue()
        own = subjects.prompt("mine", "o", "0")
        await raw.nc.subscribe(own, cb=got.put)
        await raw.nc.publish(own, b"?", reply=key)
        async with asyncio.timeout(60):
            message = await got.get()
        await message.respond(json.dumps({"planted": True}).encode())
        assert await raw.refused(1) == 1
        found = await face.js.stream_info(f"KV_{subjects.BUCKET_SPECS}")
        assert found.state.messages == 0
    finally:
        await raw.nc.close()


async def test_a_revoked_user_is_cut_off_and_stays_out(
    mesh_server: MeshServer, credentials: Credentials, tmp_path: Path
) -> None:
    other = mesh_server.keys.user("agent other/0", agent_permissions("other", "o", "0"))
    raw, stays = RawClient(), RawClient()
    await raw.connect(mesh_server.url, credentials)
    await stays.connect(mesh_server.url, other)
    bus = await mesh_server.connect("node")
    account = Account(mesh_server.keys, mesh_server.folder / "nats", bus)
    revocations = Revocations(tmp_path / "revoke")
    revocations.add(public_key(credentials.seed))
    # Another daemon finds what one that was killed had noted.
    found = Revocations(tmp_path / "revoke")
    assert found.pending == 1
    task = asyncio.create_task(found.run(by_account(account)))
    try:
        async with asyncio.timeout(60):
            await raw.closed.wait()
        assert stays.nc.is_connected
        await eventually(lambda: not list((tmp_path / "revoke").iterdir()))
        with pytest.raises(Exception, match=r"(?i)authorization|closed|eof|no servers"):
            await RawClient().connect(mesh_server.url, credentials)
        assert stays.nc.is_connected
    finally:
        task.cancel()
        await stays.nc.close()
        if not raw.nc.is_closed:
            await raw.nc.close()
