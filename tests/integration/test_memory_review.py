"""The memory looked over on a real node: what happened when, pairs decided about, by whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from fakes.node import Node, eventually
from sparkplug.bus import memory as wire
from sparkplug.bus import subjects
from sparkplug.bus.connection import connect
from sparkplug.bus.keys import ensure_keys
from sparkplug.client import memory
from sparkplug.node.permissions import agent_permissions
from sparkplug.schema.errors import NotFoundError, RefusedError
from sparkplug.schema.memory_requests import MemoryAdd, SearchReply, SearchRequest
from sparkplug.schema.memory_review import (
    ProposalsReply,
    ProposalsRequest,
    SettleReply,
    SettleRequest,
)
from sparkplug.schema.memory_timeline import HappeningKind, TimelineReply, TimelineRequest

ANA = subjects.memory_caller("ana", "o", "0")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("review") / "s")
    node.up()
    yield node
    node.close()


def test_what_happened_is_told_by_kind_scope_and_item_and_counted(node: Node) -> None:
    door = node.json("memory", "add", "the door of the hall is blue")["id"]
    node.json("memory", "add", "a lamp \x1b]0;owned\x07 of ana", "--scope", "agent:ana")
    node.cli("memory", "edit", door[:8], "--text", "the door of the hall is red", "--why", "paint")
    node.cli("memory", "delete", door, "--yes", "--why", "wrong \x1b[2J")
    node.cli("memory", "undo", door)
    found = node.json("memory", "timeline", "--memory", door[:8])
    kinds = [one["kind"] for one in found["happenings"]]
    assert kinds == ["restored", "deleted", "edited", "added"]
    assert {"time", "kind", "id", "scope", "by", "run", "why", "text"} <= found["happenings"][
        0
    ].keys()
    assert found["total"] == 4 and sum(sum(span["counts"].values()) for span in found["spans"]) == 4
    told = node.cli("memory", "timeline", "--scope", "mesh").stdout
    assert "deleted" in told and "at most" in told and "paint" in told and "\x1b" not in told
    assert "lamp" not in told and "owned" not in told
    page = node.json("memory", "timeline", "--limit", "1", "--kind", "added", "--kind", "edited")
    assert len(page["happenings"]) == 1 and page["more"]
    rest = node.json(
        "memory",
        "timeline",
        "--limit",
        "1",
        "--kind",
        "added",
        "--kind",
        "edited",
        "--before",
        page["more"],
    )
    assert rest["happenings"][0]["id"] != "" and rest["happenings"] != page["happenings"]
    assert node.json("memory", "timeline", "--since", "1s", "--by", "nobody")["happenings"] == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("timeline", "--memory", "ffffffff"), 3, "no memory"),
        (("timeline", "--memory", "x"), 2, "no id"),
        (("timeline", "--kind", "adde"), 2, "added"),
        (("timeline", "--scope", "rubbish"), 2, "no scope"),
        (("add", "x", "--scope", "rubbish"), 2, "'rubbish' is no scope"),
        (("add", " \n"), 2, "a memory cannot be empty"),
        (("timeline", "--before", "rubbish"), 2, "no page"),
        (("timeline", "--limit", "0"), 2, "--limit"),
        (("timeline", "--since", "yesterday"), 2, "a duration"),
        (("timeline", "--since", "9999999d"), 2, "further back"),
        (("proposals", "--kind", "weak"), 2, "--kind"),
        (("proposals", "--limit", "100000"), 2, "--limit"),
        (("accept", "rubbish", "--yes"), 2, "no pair"),
        (("accept", "ffffffff.00000000"), 3, "no memory"),
        (("keep-both", "ffffffff.00000000"), 3, "no memory"),
        (("reopen", "x" * 500), 2, "no id"),
    ],
)  # fmt: skip
def test_rubbish_is_told_what_is_wrong_with_it(
    node: Node, words: tuple[str, ...], code: int, says: str
) -> None:
    done = node.cli("memory", *words, check=False)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_pair_is_shown_with_both_sides_decided_about_and_that_taken_back(node: Node) -> None:
    scope = ("--scope", "group:pairs")
    for text in ("The archive is kept in the north cellar", "The archive is kept in north cellar"):
        node.cli("memory", "add", text, *scope)
    node.cli("memory", "add", "Port 9100 is for the printer", *scope)
    node.cli("memory", "add", "Port 9101 is for the printer", *scope)
    found = node.json("memory", "proposals", *scope)["proposals"]
    assert [one["kind"] for one in found] == ["duplicate", "contradiction"]
    same, other = found
    assert same["keep"]["text"] != same["drop"]["text"] and same["keep"]["author"]
    told = node.cli("memory", "proposals", *scope).stdout
    assert "north cellar" in told and "newer" in told and other["id"] in told
    # Which of two is true has to be said.
    unsaid = node.cli("memory", "accept", other["id"], "--yes", check=False)
    assert unsaid.returncode == 2 and "--keep" in unsaid.stderr
    merged = node.json("memory", "accept", same["id"], "--yes", "--why", "once")
    assert merged[0]["decided"] == "merge"
    node.cli("memory", "keep-both", other["id"])
    assert node.json("memory", "proposals", *scope)["proposals"] == []
    decided = node.json("memory", "proposals", *scope, "--decided")["proposals"]
    assert {one["decided"] for one in decided} == {"merge", "both"}
    tried = json.loads(node.cli("memory", "prune", "--dry-run", "--json", *scope).stdout)
    assert tried["proposals"] == []
    node.cli("memory", "reopen", same["id"])
    again = node.json("memory", "proposals", *scope)["proposals"]
    assert [one["id"] for one in again] == [same["id"]]
    refused = node.cli("--readonly", "memory", "keep-both", same["id"], check=False)
    assert refused.returncode == 4


def test_several_are_deleted_and_had_back_with_one_request(node: Node) -> None:
    ids = [node.json("memory", "add", f"one of several {n}")["id"] for n in range(3)]
    gone = node.json("memory", "delete", *ids, "--yes")
    assert [one["changed"] for one in gone] == [True] * 3
    partly = node.cli("memory", "undo", ids[0], ids[1], "ffffffff", check=False)
    assert partly.returncode == 1 and "2 memories: restored" in partly.stdout
    assert "no memory ffffffff" in partly.stdout


async def test_an_agent_is_told_of_no_scope_and_decides_nothing(node: Node) -> None:
    async with node.client() as client:
        keys = await asyncio.to_thread(ensure_keys, node.paths.keys)
        ana = await connect(
            client.url,
            name="agent ana/0",
            inbox_prefix=subjects.inbox("agent", "ana=0"),
            credentials=keys.user("agent ana/0", agent_permissions("ana", "o", "0")),
        )
        try:
            made = [
                await memory.add(client, MemoryAdd(text=text, scope="agent:bob"))
                for text in ("bob hides the key", "bob hides the key!")
            ]
            first, second = (one.ids[0] for one in made)
            asked: tuple[tuple[str, BaseModel, type[BaseModel]], ...] = (
                ("timeline", TimelineRequest(scopes=["agent:bob"]), TimelineReply),
                ("timeline", TimelineRequest(item=first), TimelineReply),
                ("timeline", TimelineRequest(), TimelineReply),
                ("proposals", ProposalsRequest(scopes=["agent:bob"]), ProposalsReply),
                ("proposals", ProposalsRequest(decided=True), ProposalsReply),
                (
                    "settle",
                    SettleRequest(proposal=f"{first}.{second}", decision="merge"),
                    SettleReply,
                ),
            )
            for verb, request, reply in asked:
                with pytest.raises(RefusedError):
                    await wire.ask(ana, verb, ANA, request, reply)
            # As a person it cannot even speak: the server lets it publish nothing there.
            inbox = ana.nc.new_inbox()
            answers = await ana.nc.subscribe(inbox)
            ana.nc.options["error_cb"] = None
            for verb, request, _ in asked:
                subject = subjects.memory_call(verb, subjects.memory_face("root"))
                await ana.nc.publish(subject, request.model_dump_json().encode(), reply=inbox)
            await ana.flush()
            with pytest.raises(Exception, match="timeout"):
                await answers.next_msg(timeout=1)
            for known in (first, second):
                assert (await memory.describe(client, known)).item.state == "kept"
            # What it reads itself is told of it, with the run it says it is in only if it is.
            search = SearchRequest(query="the door of the hall", run="made-up")
            await wire.ask(ana, "search", ANA, search, SearchReply)

            async def told() -> bool:
                request = TimelineRequest(kinds=[HappeningKind.READ], by="ana")
                found = (await memory.timeline(client, request)).happenings
                return bool(found) and all(one.run == "" for one in found)

            assert await eventually(told, 30)
            with pytest.raises(NotFoundError):
                await memory.timeline(client, TimelineRequest(item="ffffffff"))
        finally:
            await ana.close()
