"""The memory looked over in its pane: what happened over time, and pairs that could be one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tui_centre import Centre, centre
from tui_memory import ANA, PERSON, fill, serving
from tui_mesh import Mesh

from fakes.node import eventually
from sparkplug.memory.service import MemoryService
from sparkplug.memory.writing import Write
from sparkplug.schema.memory_requests import MemoryAdd

HOSTILE = "the \x1b]0;owned\x07 lamp \u202egnp.exe says " + "x" * 3000


@pytest.fixture
async def service(mesh: Mesh, tmp_path: Path) -> AsyncIterator[MemoryService]:
    await mesh.agent("critic")
    async with serving(mesh, tmp_path) as made:
        fill(
            made,
            [
                Write(ANA, MemoryAdd(text="The archive is in the cellar", run="r1"), "agent:ana"),
                Write(ANA, MemoryAdd(text="The archive is in the cellar!"), "agent:ana"),
                Write(PERSON, MemoryAdd(text="The printer listens on port 9100"), "mesh"),
                Write(PERSON, MemoryAdd(text="The printer listens on port 9101"), "mesh"),
                Write(PERSON, MemoryAdd(text=HOSTILE), "mesh"),
            ],
        )
        yield made


def known(service: MemoryService, text: str) -> str:
    row = service.catalogue.reader.execute(
        "SELECT id FROM items WHERE text = ?", (text,)
    ).fetchone()
    return str(row["id"])


async def test_what_happened_is_drawn_over_time_and_leads_to_the_memory(
    mesh: Mesh, service: MemoryService
) -> None:
    cellar = known(service, "The archive is in the cellar")
    service.catalogue.edit(cellar, "root", text="The archive is in the attic", why="moved")
    service.catalogue.note_reads([service.catalogue.find(cellar)["row"]], "critic", "r7")
    with service.catalogue.change() as db:
        service.catalogue.delete(db, known(service, "The printer listens on port 9100"), "root", "")
    async with centre((160, 50), pane="memory") as seen:
        await seen.shows("everything  4", "timeline", "proposals")
        await seen.press("t")
        await seen.shows("over time", "○ 1 read", "● 5 added", "◐ 1 changed", "✖ 1 taken away")
        await seen.shows("✖ deleted", "critic in r7", "version 2, moved", "█")
        assert not any(mark in seen.screen for mark in "\x1b\x07\u202e")
        # One sort alone, less far back, and out of it again.
        await seen.press("x")
        await seen.shows("timeline, read alone 1", "what happened", "○ read by critic in r7")
        await seen.press("less_than_sign")
        await seen.shows("30 days")
        await seen.press("escape")
        await seen.shows("timeline 8")
        # Into the memory, and its own life.
        await seen.press("g", "j", "enter")
        await seen.shows("version 2", "read by     critic")
        await seen.press("escape", "T")
        await seen.shows(f"timeline of {cellar[:8]} 3")
        await seen.press("escape")
        await seen.shows("memories 4")


async def test_it_is_asked_for_by_words_and_wrong_ones_are_told(
    mesh: Mesh, service: MemoryService
) -> None:
    async with centre((120, 36)) as seen:
        await seen.press("colon")
        await seen.type("memory timeline --kind added --scope agent:ana")
        await seen.press("enter")
        await seen.shows("▸ memory", "timeline 2", "cellar")
        assert "printer" not in seen.screen
        await seen.press("colon")
        await seen.type("memory timeline --kind eaten")
        await seen.press("enter")
        await seen.shows("nothing of the kind eaten happens")
        await seen.press("escape", "colon")
        await seen.type("memory proposals")
        await seen.press("enter")
        await seen.shows("proposals 2", "contradicts")


async def shows(seen: Centre, *words: str) -> None:
    """Wait for words also on a host that is busy: each step here asks the memory several times."""
    await seen.until(lambda: all(word in seen.screen for word in words), 30)


async def test_a_pair_is_reviewed_with_both_sides_in_sight_and_taken_back(
    mesh: Mesh, service: MemoryService
) -> None:
    async with centre((140, 44), pane="memory") as seen:
        await shows(seen, "everything  5")
        await seen.press("P")
        await shows(seen, "proposals 2", "they say the same", "keep ", "delete ", "by ana/0 in r1")
        # Which one stays is asked with both in sight: the other one than was proposed.
        await seen.press("a")
        await shows(seen, "which one stays?", "keep the left one")
        await seen.press("o")
        await shows(seen, "proposals 1", "the numbers differ: 9101 and 9100", "newer", "older")
        assert service.catalogue.find(known(service, "The archive is in the cellar!"))["said"] == 2

        async def deleted() -> bool:
            row = service.catalogue.find(known(service, "The archive is in the cellar"))
            return bool(row["state"] == "deleted")

        assert await eventually(deleted, 30)
        await seen.press("b")
        await shows(seen, "no two say the same or contradict")
        await seen.press("x")
        await shows(seen, "decided 2", "both are kept", "✔ merged")
        await seen.press("j")
        await shows(seen, "one was kept, the other deleted")
        await seen.press("u")
        await shows(seen, "decided 1")
        assert not await deleted()
        # Both whole, over the pane.
        await seen.press("escape")
        await shows(seen, "proposals 1", "they say the same")
        await seen.press("enter")
        await shows(seen, "written by  ana/0", "pair")
        await seen.press("escape", "escape")
        await shows(seen, "memories 5")


async def test_a_face_that_may_only_read_decides_nothing(
    mesh: Mesh, service: MemoryService
) -> None:
    async with centre((120, 40), pane="memory", readonly=True) as seen:
        await seen.press("P")
        await seen.shows("proposals 2")
        await seen.press("a")
        await seen.until(lambda: any("readonly" in told.text for told in seen.app.told))
        await seen.press("b")
        assert "proposals 2" in seen.screen


async def test_on_a_small_screen_the_tree_takes_the_place_of_the_list(
    mesh: Mesh, service: MemoryService
) -> None:
    async with centre((80, 24), pane="memory") as seen:
        await seen.shows("memories 5")
        assert "scopes" not in seen.screen
        await seen.press("o")
        await seen.shows("╭─ scopes", "everything  5", "quarantine  0")
        await seen.press("j", "j", "j", "enter")
        await seen.shows("agent:ana 2")
        await seen.press("o", "escape")
        await seen.shows("agent:ana 2")
        await seen.press("t")
        await seen.shows("timeline of agent:ana 2", "over time")
