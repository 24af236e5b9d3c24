"""The research team's documents and citations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.shipped import AGENTS, shipped_module
from sparkplug.schema.errors import InvalidError, NotFoundError


@pytest.fixture(scope="module")
def documents() -> Any:
    sys.path.insert(0, str(AGENTS / "research"))
    return shipped_module("research_team.documents")


@pytest.fixture(scope="module")
def result(documents: Any) -> Any:
    return shipped_module("research_team.result")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.md").write_text("# Leases\n\nA lease lasts ten seconds.\nThen it lapses.\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/b.txt").write_text("Cats sleep.\n\n" + "filler word\n" * 30)
    (tmp_path / ".hidden.md").write_text("lease")
    (tmp_path / "c.bin").write_bytes(b"lease")
    (tmp_path / "link.md").symlink_to("/etc/passwd")
    return tmp_path


def test_texts_alone_are_read_and_none_outside(documents: Any, folder: Path) -> None:
    assert set(documents.Documents(str(folder)).lines) == {"a.md", "deep/b.txt"}


def test_what_answers_by_its_words_is_told_with_its_places(documents: Any, folder: Path) -> None:
    told = documents.Documents(str(folder)).told("How long does a lease last?")
    assert "[a.md:3] A lease lasts ten seconds.\n[a.md:4] Then it lapses." in told


def test_long_runs_of_lines_are_cut(documents: Any, folder: Path) -> None:
    found = documents.Documents(str(folder)).find("filler")
    assert {p.line for p in found if p.file == "deep/b.txt"} >= {3, 15, 27}


def test_what_cannot_be_read_is_refused(documents: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such folder"):
        documents.Documents(str(tmp_path / "none"))
    with pytest.raises(InvalidError, match="no documents"):
        documents.Documents(str(tmp_path))
    with pytest.raises(InvalidError, match="no absolute path"):
        documents.Documents("papers")


def test_citations_are_looked_up(documents: Any, result: Any, folder: Path) -> None:
    brief = "One [a.md:3]. Again [a.md:3]. Two [a.md:9], [none.md:1], [a.md:2] and [b:c]."
    citations, problems = result.cited(brief, documents.Documents(str(folder)))
    assert [(c.file, c.line, c.quote) for c in citations] == [
        ("a.md", 3, "A lease lasts ten seconds.")
    ]
    assert problems == [
        "it cites a.md:9, and a.md has 4 lines",
        "it cites none.md:1, and there is no none.md",
        "it cites a.md:2, which is empty",
    ]
    assert result.cited("Nothing.", documents.Documents(str(folder)))[1] == ["it cites nothing"]


def test_a_brief_is_accepted_by_word_and_by_its_citations(result: Any) -> None:
    assert result.judged("**ACCEPT** fine", []).accepted
    assert not result.judged("ACCEPT fine", ["it cites nothing"]).accepted
    assert not result.judged("REJECT: no", []).accepted
    assert not result.judged("I would accept it", []).accepted
