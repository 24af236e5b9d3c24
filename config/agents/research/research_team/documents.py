"""The documents of a folder: read, cut into passages, and found by the words of a question."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sparkplug.schema.errors import InvalidError, NotFoundError

_SUFFIXES = frozenset(
    {".md", ".txt", ".rst", ".adoc", ".csv", ".tsv", ".json", ".yaml", ".yml", ".toml", ".log"}
)
_MOST_FILES = 1000
_LARGEST_FILE = 2 << 20
_MOST_BYTES = 32 << 20
#: Lines of a passage, characters that are told of one, and how many are told.
_LINES = 12
_TOLD = 700
_PASSAGES = 10
_WORD = re.compile(r"\w{2,}")

# Okapi BM25 with the usual constants (Robertson & Zaragoza 2009): rare words count for more,
# long passages for less.
_K1, _B = 1.2, 0.75


@dataclass(frozen=True, slots=True)
class Passage:
    """Some lines of a document; `line` is the first of them, from 1."""

    file: str
    line: int
    text: str

    def told(self) -> str:
        """The passage as a model is given it: each line under its own number."""
        numbered = [
            f"[{self.file}:{self.line + offset}] {text.strip()}"
            for offset, text in enumerate(self.text.splitlines())
            if text.strip()
        ]
        told = "\n".join(numbered)
        return told if len(told) <= _TOLD else told[:_TOLD].rpartition("\n")[0] or told[:_TOLD]


class Documents:
    """The texts of one folder, by path from it. Reads the disk: for a thread."""

    def __init__(self, folder: str) -> None:
        """Read them all. Raises NotFoundError for no folder, InvalidError for nothing to read."""
        place = Path(folder).expanduser()
        if not place.is_absolute():
            raise InvalidError(
                "the folder has no absolute path",
                where=folder,
                hint="agents run in folders of their own: name it from the root, as in /srv/papers",
            )
        if not place.is_dir():
            raise NotFoundError("no such folder on this host", where=folder)
        self.lines = {
            path.relative_to(place).as_posix(): text.splitlines() for path, text in _read(place)
        }
        if not self.lines:
            kinds = ", ".join(sorted(_SUFFIXES))
            raise InvalidError(
                "no documents in this folder", where=folder, hint=f"it may be {kinds}"
            )

    def find(self, question: str) -> list[Passage]:
        """The passages that answer best by their words, those of one document together."""
        passages = [p for file, lines in self.lines.items() for p in _passages(file, lines)]
        bags = [Counter(_words(p.text)) for p in passages]
        mean = sum(bag.total() for bag in bags) / max(len(bags), 1)
        known: Counter[str] = Counter(word for bag in bags for word in bag)

        def score(bag: Counter[str]) -> float:
            total = 0.0
            for word in set(_words(question)):
                if count := bag[word]:
                    rare = math.log(1 + (len(bags) - known[word] + 0.5) / (known[word] + 0.5))
                    length = 1 - _B + _B * bag.total() / mean
                    total += rare * count * (_K1 + 1) / (count + _K1 * length)
            return total

        scored = [(score(bag), index) for index, bag in enumerate(bags)]
        best = sorted(scored, key=lambda one: (-one[0], one[1]))[:_PASSAGES]
        # With none of its words anywhere, the beginnings have to do.
        return [passages[index] for _, index in sorted(best, key=lambda one: one[1])]

    def told(self, question: str) -> str:
        """What the researcher is given: the passages, each line with its place."""
        return "\n\n".join(passage.told() for passage in self.find(question))


def _read(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files that are texts, none outside the folder, in order of name."""
    taken = 0
    found = 0
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(here, name)
            if path.suffix.lower() not in _SUFFIXES or name.startswith(".") or path.is_symlink():
                continue
            size = path.stat().st_size
            if size > _LARGEST_FILE or taken + size > _MOST_BYTES or found >= _MOST_FILES:
                continue
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            taken, found = taken + size, found + 1
            yield path, text


def _passages(file: str, lines: list[str]) -> Iterator[Passage]:
    """Runs of lines without a blank one between them, none longer than `_LINES`."""
    start: int | None = None
    for number, line in enumerate([*lines, ""], 1):
        full = start is not None and number - start >= _LINES
        if start is not None and (full or not line.strip()):
            yield Passage(file, start, "\n".join(lines[start - 1 : number - 1]))
            start = None
        if start is None and line.strip():
            start = number


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
