"""Hostile text in what is asked, queued, decided, remembered and planned; in what a person's own
files say; and in the tables of the command line: drawn as text, and nothing shifts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from test_hostile_text import _FORBIDDEN, HOSTILE, check, seen_by
from tui_centre import Centre, centre
from tui_memory import PERSON, fill, serving
from tui_mesh import Mesh, plan

from fakes.task_mesh import task_mesh
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.questions import question_key, questions
from sparkplug.cli.output import cell_text, cell_width, table
from sparkplug.client import tasks
from sparkplug.contexts import Context
from sparkplug.memory.writing import Write
from sparkplug.schema.decision import DecisionEntry, Proposal
from sparkplug.schema.memory import MemorySource
from sparkplug.schema.memory_requests import MemoryAdd
from sparkplug.schema.question import Question, QuestionKind, QuestionSubject
from sparkplug.schema.schedule import Schedule
from sparkplug.schema.task import NewTask
from sparkplug.schema.task_services import GivenTask
from sparkplug.tui.dialogs.contexts import ContextsDialog
from sparkplug.tui.dialogs.task import TaskPage
from sparkplug.tui.places import Opened
from sparkplug.tui.themes import load_themes

#: Characters of each that are put into records: what is longer is cut when it is drawn.
_SHORT = 1500
#: What moves a cursor or turns the rest of a line round: all else has its width.
_MOVES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


async def asked(mesh: Mesh, number: int, evil: str) -> None:
    """A question and a decision of it, and what is run by the clock with it as an input."""
    id_ = f"{number:08}-0"
    question = Question(
        id=id_,
        kind=QuestionKind.CHOICE,
        text=evil or "?",
        options=[f"a {evil}", "b"],
        data={evil[:500]: [evil]},
        subject=QuestionSubject(kind="request", agent="janitor", replica="0", request=id_[:8]),
        asked_by=f"janitor/{evil[:300]}",
    )
    await questions(mesh.bus).put(question_key(id_), question)
    proposal = Proposal(question=evil, options=["a", "b"], conflict="human")
    opened = DecisionEntry(decision=f"d{number}", kind="opened", round=1, proposal=proposal)
    person = DecisionEntry(decision=f"d{number}", kind="asked", round=1, why=evil)
    for entry in (opened, person):
        body = entry.model_dump_json(exclude_defaults=True).encode()
        await mesh.bus.js.publish(subjects.decision(f"d{number}"), body)
    schedule = Schedule.model_validate(
        {
            "name": f"nightly-{number}",
            "plan": plan("survey", "write"),
            "cron": "0 3 * * *",
            "inputs": {"question": evil},
            "changed_by": evil,
        }
    )
    await Bucket(mesh.bus, subjects.BUCKET_SCHEDULES).put(f"s.nightly-{number}", schedule)


async def fails(given: GivenTask) -> Any:
    raise ValueError(given.text)


async def rows_of(seen: Centre, what: str, many: int) -> None:
    """Go down a list, and look at each row of it and at what is told of it."""
    await seen.press("g")
    for number in range(many):
        await seen.pilot.pause()
        check(seen, f"{what}, row {number}")
        await seen.press("j")


@pytest.mark.slow
async def test_what_is_asked_queued_decided_and_planned_stands(mesh: Mesh) -> None:
    await mesh.agent("janitor", "waiting-human")
    kinds = {kind: evil[:_SHORT] for kind, evil in HOSTILE.items()}
    for number, evil in enumerate(kinds.values()):
        await asked(mesh, number, evil)
    async with task_mesh(mesh.server) as queues:
        await queues.keep("gpu-1")
        await queues.worker(fails, "ocr")
        new = [
            NewTask(capability="ocr", text=evil or "x", key=evil[:100], tries=1, input={"x": evil})
            for evil in kinds.values()
        ]
        given = await tasks.submit(queues.client, new)
        async with centre((120, 40)) as seen:
            store = seen.app.store
            await seen.until(lambda: len(store.questions) >= len(kinds))
            await seen.press("1")
            seen.app.pane._needs.focus()  # type: ignore[union-attr]
            await rows_of(seen, "needs you", 2 * len(kinds))
            for question in list(store.questions):
                seen.app.open_thing(Opened("question", "question", question.id))
                await seen.shows(f"question {question.id}", "? open")
                check(seen, f"question {question.id}")
                await seen.press("escape")
            await seen.press("5")
            await seen.shows(f"{len(kinds)} dead", "tasks of ocr")
            await seen.until(lambda: seen.app.pane.main.shown >= len(kinds))  # type: ignore[union-attr]
            await rows_of(seen, "tasks", len(kinds))
            for one in given:
                seen.app.push_screen(TaskPage(one.id))
                await seen.shows("capability    ocr")
                check(seen, f"task {one.id}")
                await seen.press("escape")
            await seen.press("6", "W")
            await seen.shows("nightly-0")
            await rows_of(seen, "schedules", len(kinds))
            await seen.press("d")
            await seen.shows("changed by")
            check(seen, "a schedule, described")


@pytest.mark.slow
async def test_what_is_remembered_stands(mesh: Mesh, tmp_path: Path) -> None:
    await mesh.agent("critic")
    async with serving(mesh, tmp_path) as service:
        said = [evil[:_SHORT] for evil in HOSTILE.values()]
        fill(
            service,
            [
                Write(PERSON, MemoryAdd(text=f"{n} {evil}", source=MemorySource.OUTSIDE), "mesh")
                for n, evil in enumerate(said)
            ],
        )
        async with centre((120, 40), pane="memory") as seen:
            await seen.shows("everything")
            for key, what in (("g", "scopes"), ("t", "timeline"), ("t", "memories"), ("v", "use")):
                await seen.press(key)
                await seen.pilot.pause()
                check(seen, what)
            await seen.press("shift+tab", "G", "k", "k", "k")  # to what waits for a review
            await rows_of(seen, "memories", len(said))
            await seen.press("d")
            await seen.pilot.pause()
            check(seen, "a memory, described")


def only_text(seen: Centre, what: str) -> None:
    """Every row is as wide as the screen and has no control in it; a notice may cover a border."""
    for y, row in enumerate(seen_by(seen).display):
        assert not _FORBIDDEN.search(row), f"{what}, row {y}: {row!r}"


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_persons_own_files_are_told_as_text(home: Path, kind: str) -> None:
    """Themes, keys and short names of theirs: what is wrong with them is quoted."""
    evil = HOSTILE[kind][:200]
    quoted = "".join(f"\\U{ord(letter):08x}" for letter in evil)
    (home / "themes").mkdir()
    (home / "themes" / "broken.toml").write_text(f'name = "{quoted}"\n[colors]\nfocus = "{quoted}"')
    config = home / "config.toml"
    config.write_text(f'[tui.keymap]\n"{quoted}" = "x"\n"palette" = "{quoted}"\n')
    told = tuple(f"theme left out: {problem}" for problem in load_themes()[1])
    assert told
    async with centre((100, 30), live=False, notices=told) as seen:
        await seen.until(lambda: any("tui.keymap" in notice for notice in seen.app.notices))
        await seen.pilot.pause()
        only_text(seen, f"{kind}: what was told")
        contexts = [Context("home"), Context(evil[:40], url=evil, description=evil)]
        seen.app.push_screen(ContextsDialog(contexts, "home"))
        await seen.pilot.pause()
        only_text(seen, f"{kind}: meshes")
    config.write_text(f'[tui.aliases]\n"{quoted}" = "{quoted}"\n')
    async with centre((100, 30), live=False) as seen:
        await seen.shows("tui.aliases")
        only_text(seen, f"{kind}: settings that do not hold")


@pytest.mark.parametrize("kind", HOSTILE)
def test_tables_of_the_command_line_stand(kind: str) -> None:
    evil = HOSTILE[kind]
    rows = [[cell_text(a), cell_text(b)] for a, b in (("a", evil), (evil, "b"), ("last", "c"))]
    lines = table(["NAME", "ERROR"], rows, [False, False]).splitlines()
    assert len(lines) == 4
    for line in lines:
        assert not _MOVES.search(line), repr(line[:200])
    edge = cell_width(lines[0].partition("ERROR")[0])
    assert all(
        cell_width(line[: line.rindex(end)]) == edge
        for line, end in zip(lines[2:], "bc", strict=True)
    )
