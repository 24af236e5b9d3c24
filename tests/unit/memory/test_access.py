"""Who may read and write what."""

from __future__ import annotations

import pytest

from sparkplug.memory.access import Access, Caller, caller_of
from sparkplug.schema.agent_spec import AgentMemory
from sparkplug.schema.errors import InvalidError, RefusedError

ANA = Caller("ana", "o", "0")
BOB = Caller("bob", "p", "0")
PERSON = Caller("", "", "", "root")


async def agents_of(run: str) -> set[str]:
    return {"ana"} if run == "r1" else set()


def access(**policies: AgentMemory) -> Access:
    return Access(
        {"desk": ["ana"], "all": ["*"]},
        {"agent:ana": ["eve"], "group:desk": []},
        lambda name: policies.get(name, AgentMemory()),
        agents_of,
    )


def test_a_subject_names_who_asks() -> None:
    assert caller_of(["agent", "ana", "o", "0"]) == ANA
    assert caller_of(["face", "root"]) == PERSON
    for words in (["agent", "ana"], ["face"], [], ["node", "x"], ["agent", "a", "b", "c", "d"]):
        assert caller_of(words) is None


@pytest.mark.parametrize("scope", ["agent:ana", "owner:o", "group:desk", "group:all", "run:r1"])
async def test_an_agent_has_its_own(scope: str) -> None:
    await access().check_read(ANA, scope)
    await access().check_write(ANA, scope)


@pytest.mark.parametrize("scope", ["agent:bob", "owner:p", "group:none", "run:r2"])
async def test_and_not_what_is_another_s(scope: str) -> None:
    for check in (access().check_read, access().check_write):
        with pytest.raises(RefusedError):
            await check(ANA, scope)
        await check(PERSON, scope)


async def test_a_reader_may_read_and_not_write() -> None:
    eve = Caller("eve", "q", "0")
    await access().check_read(eve, "agent:ana")
    with pytest.raises(RefusedError):
        await access().check_write(eve, "agent:ana")
    assert "agent:ana" in (await access().readable(eve, [], "") or [])


async def test_without_scopes_it_looks_in_all_that_it_may_read() -> None:
    found = await access().readable(ANA, [], "r1")
    assert set(found or []) == {"agent:ana", "owner:o", "mesh", "group:desk", "group:all", "run:r1"}
    assert "run:r1" not in (await access().readable(BOB, [], "r1") or [])
    assert await access().readable(PERSON, [], "") is None
    with pytest.raises(RefusedError):
        await access().readable(BOB, ["mesh", "agent:ana"], "")


async def test_an_agent_without_memory_has_none() -> None:
    off = access(ana=AgentMemory(enabled=False))
    for ask in (off.check_read(ANA, "mesh"), off.readable(ANA, [], "")):
        with pytest.raises(RefusedError, match="enabled: false"):
            await ask


def test_where_memories_go_is_what_the_agent_s_file_says() -> None:
    def scope(kind: str, run: str = "", caller: Caller = ANA) -> str:
        return access(ana=AgentMemory(scope=kind)).default_scope(caller, run)  # type: ignore[arg-type]

    assert scope("agent") == "agent:ana"
    assert scope("run", "r1") == "run:r1"
    assert scope("owner") == "owner:o"
    assert scope("group") == "group:desk"
    assert scope("mesh") == "mesh"
    assert scope("agent", caller=PERSON) == "mesh"
    with pytest.raises(InvalidError):
        scope("run")


@pytest.mark.parametrize("scope", ["", "agent:", "agent:*", "mesh:x", "agent:a b", "x:y", "run:>"])
async def test_what_is_no_scope_is_refused(scope: str) -> None:
    with pytest.raises(InvalidError):
        await access().check_read(PERSON, scope)
