"""The keeper of decisions: who may vote, what counts, and that another node goes on with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fakes.mesh_server import MeshServer
from fakes.node import Node, eventually
from sparkplug.bus import deciding, jwt, subjects
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.decision_journal import list_decisions, read_decision
from sparkplug.bus.events import EventLog
from sparkplug.bus.senders import signed_headers
from sparkplug.decisions.keeper import Decisions
from sparkplug.node.permissions import agent_permissions
from sparkplug.schema.decision import (
    CloseRequest,
    DecisionState,
    DecisionView,
    Proposal,
    ProposeRequest,
    VoteRequest,
)
from sparkplug.schema.errors import ConflictError, NotFoundError, RefusedError

_DEADLINE_S = 60.0


@dataclass
class Hall:
    """A mesh with keepers of decisions, and voters each with a user of its own."""

    server: MeshServer
    users: dict[str, str] = field(default_factory=dict)
    buses: list[Bus] = field(default_factory=list)
    keepers: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def keep(self, node: str) -> None:
        """Start the keeper of a node."""
        bus = await self.server.connect(node)
        events = EventLog(bus, node, f"node {node}")
        known = {user: name for name, user in self.users.items()}
        keeper = Decisions(
            bus,
            node,
            f"{node} here",
            events,
            named=lambda user: {u: n for n, u in self.users.items()}.get(user) or known.get(user),
            user_of=self.users.get,
            find=lambda _: None,
        )
        self.keepers[node] = asyncio.create_task(keeper.run())

    async def end(self, node: str) -> None:
        """End a keeper as if its process had died: its lease is not given back."""
        task = self.keepers.pop(node)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def voter(self, name: str, *, known: bool = True, calls_itself: str = "") -> Bus:
        """The connection of a replica, as agent/replica."""
        agent, _, replica = name.partition("/")
        credentials = self.server.keys.user(name, agent_permissions(agent, "me", replica))
        if known:
            self.users[name] = jwt.public_key(credentials.seed)
        bus = await connect(
            self.server.url,
            name=f"agent {calls_itself or name}",
            inbox_prefix=subjects.inbox("agent", f"{agent}={replica}"),
            credentials=credentials,
        )
        self.buses.append(bus)
        return bus

    async def face(self, user: str = "ana") -> Bus:
        """A person's connection."""
        bus = await connect(
            self.server.url,
            name="sparkplug cli",
            inbox_prefix=subjects.inbox("face", f"{user}-1"),
            credentials=self.server.credentials,
        )
        self.buses.append(bus)
        return bus


@pytest.fixture
async def hall(mesh_server: MeshServer) -> AsyncIterator[Hall]:
    hall = Hall(mesh_server)
    try:
        yield hall
    finally:
        for node in list(hall.keepers):
            await hall.end(node)
        for bus in hall.buses:
            await bus.close()


_made = iter(range(10_000))


async def propose(bus: Bus, **rule: Any) -> DecisionView:
    given = {"question": "which?", "options": ["a", "b"], "seconds": 600.0, **rule}
    request = ProposeRequest(proposal=Proposal(**given), id=f"d{next(_made)}")
    return await deciding.propose(bus, request)


async def vote(bus: Bus, decision: str, option: str | None, **more: Any) -> DecisionView:
    request = VoteRequest(decision=decision, option=option, vote=f"v{next(_made)}")
    return await deciding.vote(bus, request.model_copy(update=more))


async def test_a_decision_ends_when_all_have_voted(hall: Hall) -> None:
    await hall.keep("one")
    x, y = await hall.voter("x/0"), await hall.voter("y/1")
    opened = await propose(x, voters=["x", "y/1"], weights={"y/1": 2})
    assert opened.proposal.actor == "x/0", "who proposes is told by the key, too"
    await vote(x, opened.id, "a")
    ended = await vote(y, opened.id, "b", why="cheaper")
    assert (ended.state, ended.outcome) == (DecisionState.DECIDED, "b")
    found = await deciding.wait_decided(x, opened.id, 1)
    assert [(v.voter, v.by, v.option) for v in found.votes] == [
        ("x", "x/0", "a"),
        ("y/1", "y/1", "b"),
    ]
    assert [v.user for v in found.votes] == [hall.users["x/0"], hall.users["y/1"]]
    assert (await list_decisions(await hall.face()))[0].outcome == "b"


async def test_what_does_not_count_is_refused_and_written_down(hall: Hall) -> None:
    await hall.keep("one")
    x, x1 = await hall.voter("x/0"), await hall.voter("x/1")
    stranger = await hall.voter("s/0")
    forger = await hall.voter("f/0", calls_itself="x/0")
    unknown = await hall.voter("u/0", known=False, calls_itself="x/0")
    face = await hall.face()
    opened = await propose(face, voters=["x", "y"], rounds=2)
    await vote(x, opened.id, "a")
    refusals = [
        (x, "b", {}, "x has voted already"),
        (x1, "b", {}, "x has voted already"),
        (stranger, "a", {}, "s/0 is none of its voters"),
        (face, "a", {}, "human:ana is none of its voters"),
        (x, "z", {"vote": "other"}, "x has voted already"),
        (x1, "a", {"round": 2}, "round 1 is open"),
    ]
    for bus, option, more, why in refusals:
        with pytest.raises(RefusedError, match=why):
            await vote(bus, opened.id, option, **{"actor": "ana", **more})
    for bus in (forger, unknown):
        with pytest.raises(RefusedError, match="calls itself x/0"):
            await vote(bus, opened.id, "b")
    entries = await read_decision(face, opened.id)
    refused = [(e.by, e.option) for e in entries if e.kind == "refused"]
    assert len(refused) == len(refusals)
    assert ("s/0", "a") in refused
    await deciding.close(face, CloseRequest(decision=opened.id, actor="ana"))
    with pytest.raises(RefusedError, match="it is closed: too late"):
        await vote(x1, opened.id, "a")
    with pytest.raises(ConflictError, match="closed already"):
        await deciding.close(face, CloseRequest(decision=opened.id))
    with pytest.raises(NotFoundError):
        await vote(x, "no-such", "a")
    assert (await list_decisions(face))[0].state is DecisionState.CLOSED


async def test_a_signature_counts_once_and_for_what_it_was_made_for(hall: Hall) -> None:
    await hall.keep("one")
    x = await hall.voter("x/0")
    other = await hall.voter("o/0")
    opened = await propose(x, voters=["x", "o"], rounds=2)
    subject = subjects.DECISIONS_VOTE
    body = VoteRequest(decision=opened.id, option="a", vote="1").model_dump_json().encode()
    headers = await signed_headers(x, subject, body)
    await other.nc.request(subject, body, headers=headers, timeout=30)
    again = await other.nc.request(subject, body, headers=headers, timeout=30)
    assert json.loads(again.data)["code"] == "refused"
    changed = body.replace(b'"a"', b'"b"')
    answer = await other.nc.request(
        subject, changed, headers=await signed_headers(x, subject, body), timeout=30
    )
    assert "does not hold" in json.loads(answer.data)["message"]
    bare = await other.nc.request(
        subject,
        body.replace(b'"1"', b'"2"').replace(b'"actor":""', b'"actor":"o/0"'),
        timeout=30,
    )
    assert "signs what it sends" in json.loads(bare.data)["message"]


async def test_the_same_vote_sent_again_is_one(hall: Hall) -> None:
    await hall.keep("one")
    x = await hall.voter("x/0")
    opened = await propose(x, voters=["x", "y"])
    request = VoteRequest(decision=opened.id, option="a", vote="the-same")
    await deciding.vote(x, request)
    view = await deciding.vote(x, request)
    assert len(view.votes) == 1
    assert view.refused == 0


async def test_time_is_up_for_who_does_not_vote(hall: Hall) -> None:
    await hall.keep("one")
    x = await hall.voter("x/0")
    await hall.voter("dead/0")
    for seconds in (0.5, 5.0, 30.0):  # a busy host is late with a vote, too
        opened = await propose(x, voters=["x", "dead"], seconds=seconds)
        with contextlib.suppress(RefusedError):
            await vote(x, opened.id, "a")
            break
    ended = await deciding.wait_decided(x, opened.id, _DEADLINE_S)
    assert (ended.state, ended.outcome) == (DecisionState.DECIDED, "a")
    with pytest.raises(RefusedError, match="too late"):
        await vote(x, opened.id, "b")


async def test_rounds_begin_anew_and_tell_how_they_stood(hall: Hall) -> None:
    await hall.keep("one")
    x, y = await hall.voter("x/0"), await hall.voter("y/0")
    opened = await propose(x, voters=["x", "y"], rounds=3, threshold=1.0)
    await vote(x, opened.id, "a")
    view = await vote(y, opened.id, "b")
    assert (view.round, view.tallies[0].weights) == (2, {"a": 1.0, "b": 1.0})
    await vote(x, opened.id, "a", round=2)
    view = await vote(y, opened.id, "a", round=2)
    assert (view.state, view.outcome) == (DecisionState.DECIDED, "a")
    assert view.tallies[1].moved == 1


async def test_a_person_or_an_arbiter_settles_what_has_no_winner(hall: Hall) -> None:
    await hall.keep("one")
    x, y, judge = [await hall.voter(f"{name}/0") for name in ("x", "y", "judge")]
    face = await hall.face()
    for rule, who, other in (
        ({"conflict": "human"}, face, judge),
        ({"conflict": "arbiter", "arbiter": "judge"}, judge, face),
    ):
        opened = await propose(x, voters=["x", "y"], **rule)
        await vote(x, opened.id, "a")
        view = await vote(y, opened.id, "b")
        assert view.state == rule["conflict"]
        with pytest.raises(RefusedError, match="is asked to settle it now"):
            await vote(other, opened.id, "a", actor="ana")
        view = await vote(who, opened.id, "b", actor="ana")
        assert (view.state, view.outcome) == (DecisionState.DECIDED, "b")
        assert "settled it" in view.reason
    opened = await propose(
        x, voters=["x", "y"], conflict="arbiter", arbiter="judge", arbiter_seconds=0.3
    )
    await vote(x, opened.id, "a")
    await vote(y, opened.id, "b")
    ended = await deciding.wait_decided(x, opened.id, _DEADLINE_S)
    assert ended.state is DecisionState.UNDECIDED


async def test_another_node_goes_on_with_what_is_open(hall: Hall) -> None:
    await hall.keep("one")
    x, y = await hall.voter("x/0"), await hall.voter("y/0")
    opened = await propose(x, voters=["x", "y"])
    request = VoteRequest(decision=opened.id, option="a", vote="mine")
    await deciding.vote(x, request)
    await hall.end("one")
    await hall.keep("two")
    async with asyncio.timeout(_DEADLINE_S):
        view = await deciding.vote(x, request)
        assert len(view.votes) == 1, "it was counted by the first already"
        view = await vote(y, opened.id, "a")
    assert (view.state, view.outcome) == (DecisionState.DECIDED, "a")
    last = (await read_decision(await hall.face(), opened.id))[-1]
    assert last.node == "two"


async def test_a_keeper_that_lost_its_lease_writes_no_more(hall: Hall) -> None:
    await hall.keep("one")
    x = await hall.voter("x/0")
    opened = await propose(x, voters=["x", "y"])
    face = await hall.face()
    # Another has taken over: what the server knows by the fence it left.
    await face.js.publish(subjects.DECISIONS_FENCE, b"")
    request = VoteRequest(decision=opened.id, option="a", vote="1")
    answer = await x.nc.request(
        subjects.DECISIONS_VOTE,
        request.model_dump_json().encode(),
        headers=await signed_headers(
            x, subjects.DECISIONS_VOTE, request.model_dump_json().encode()
        ),
        timeout=30,
    )
    assert json.loads(answer.data)["code"] == "no_mesh"
    assert [e.kind for e in await read_decision(face, opened.id)] == ["opened"]


# On a real node

VOTER = """\
from sparkplug.agents import action


class Voter:
    @action
    async def vote(self, ctx, decision: str, question: str, options: list[str], round: int,
                   why: str, standing: dict):
        choice = options[-1] if standing else options[0 if ctx.agent == "ayes" else -1]
        await ctx.vote(decision, choice, why=f"round {round}")

    @action
    async def decide(self, ctx, options: list[str]):
        found = await ctx.propose("which?", options, voters=["ayes", "noes"], rounds=2,
                                  threshold=1.0, seconds=60.0)
        return {"state": str(found.state), "outcome": found.outcome, "rounds": found.round}
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    running = Node(folder / "state")
    try:
        running.up()
        for name in ("ayes", "noes"):
            file = running.write_agent(folder / "agents", name, VOTER)
            file.write_text(file.read_text().replace(":handle", ":Voter"))
            running.cli("agents", "deploy", str(file))
        yield running
    finally:
        running.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_agents_are_invited_and_agree_in_rounds(node: Node) -> None:
    answer = node.cli(
        *("prompt", "ayes", "decide", "--action", "decide"),
        *("--input", 'options=["left", "right"]'),
    ).stdout
    found = json.loads(answer)
    assert found == {"state": "decided", "outcome": "right", "rounds": 2}
    (listed, *_) = node.json("decisions", "list")
    assert listed["proposal"]["actor"] == "ayes/0"
    described = node.json("decisions", "describe", listed["id"][:5])
    votes = [(v["voter"], v["option"], v["round"], bool(v["user"])) for v in described["votes"]]
    assert sorted(votes) == [
        ("ayes", "left", 1, True),
        ("ayes", "right", 2, True),
        ("noes", "right", 1, True),
        ("noes", "right", 2, True),
    ]
    text = node.cli("decisions", "describe", listed["id"]).stdout
    assert "round 2 begins" in text
    assert "ayes by ayes/0: right (round 2), signed" in text


def test_a_person_proposes_votes_and_closes(node: Node) -> None:
    made = json.loads(
        node.cli(
            *("decisions", "propose", "ship it?", "--option", "yes", "--option", "no"),
            *("--voter", "human", "--voter", "ayes", "--no-invite", "--for", "10m", "--json"),
        ).stdout
    )
    wrong = node.cli("decisions", "propose", "?", "--option", "a", "--voter", "x", check=False)
    assert wrong.returncode == 2
    assert "sparkplug: options: List should have at least 2" in wrong.stderr
    named = node.cli(
        *("decisions", "propose", "and that?", "--option", "yes", "--option", "no"),
        *("--voter", "human", "--for", "10m", "-o", "name"),
    ).stdout.split()
    assert named == [node.json("decisions", "list")[0]["id"]]
    node.cli("decisions", "close", *named, "--yes")
    wrong = node.cli("decisions", "vote", made["decision"], "--option", "maybe", check=False)
    assert wrong.returncode == 4
    assert "maybe is none of its options: yes, no" in wrong.stderr
    node.cli("decisions", "vote", made["decision"], "--option", "yes", "--reason", "it is green")
    again = node.cli("decisions", "vote", made["decision"], "--option", "yes", check=False)
    assert again.returncode == 4
    assert "human has voted already" in again.stderr
    assert node.cli("decisions", "close", made["decision"], check=False).returncode == 4
    node.cli("decisions", "close", made["decision"], "--yes", "--reason", "enough")
    described = node.json("decisions", "describe", made["decision"])
    assert described["state"] == "closed"
    assert "enough" in described["reason"]
    assert [entry["kind"] for entry in described["history"]] == [
        "opened",
        "refused",
        "voted",
        "refused",
        "closed",
    ]
    names = {event["name"] for event in node.json("events", "decision:")}
    assert names == {"decision:opened", "decision:voted", "decision:decided"}


async def test_a_decision_outlives_the_daemon(node: Node) -> None:
    made = json.loads(
        node.cli(
            *("decisions", "propose", "still there?", "--option", "yes", "--option", "no"),
            *("--voter", "human", "--for", "10m", "--json"),
        ).stdout
    )
    before = node.run_file("node.json")["pid"]
    os.kill(before, signal.SIGKILL)
    with contextlib.suppress(OSError):
        assert await eventually(
            lambda: node.run_file("node.json").get("pid") not in (before, None), _DEADLINE_S
        )
    found = json.loads(
        node.cli("decisions", "vote", made["decision"], "--option", "yes", "--json").stdout
    )
    assert (found["state"], found["outcome"]) == ("decided", "yes")
