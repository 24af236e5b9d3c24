"""Documents in pieces that can be found, each with the lines it stands on."""

from __future__ import annotations

import html.parser
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MARKUP = frozenset({".html", ".htm", ".xhtml"})
MARKDOWN = frozenset({".md", ".markdown", ".mdx", ".rst"})
CODE = frozenset(
    """
    .py .pyi .js .ts .jsx .tsx .go .rs .c .h .cc .cpp .hpp .java .kt .rb .sh .bash
    .zsh .sql .lua .r .jl .swift .scala .cs .php .pl .ex .exs .hs .ml .clj .zig
    .toml .yaml .yml .json .ini .cfg .conf .proto .graphql .tf .dockerfile .css
    .cu .cuh
    """.split()  # noqa: SIM905
)
TEXT = frozenset({".txt", ".text", ".log", ".csv", ".tsv", ".tex", ".org", ".adoc", ""})
KNOWN = MARKUP | MARKDOWN | CODE | TEXT
MOST_FILE_BYTES = 8 << 20

#: A piece has about so many characters: a screen of text, what an embedder reads at once.
_WANTED, _MOST, _LEAST = 900, 1_800, 200
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$")
_BEGINS = re.compile(
    r"^(?:@|(?:export\s+|pub\s+|public\s+|private\s+|static\s+|async\s+)*"
    r"(?:def|class|func|fn|function|interface|struct|enum|impl|trait|type|module|namespace)\b)"
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: its text, its lines (from 1), the headings it stands under."""

    text: str
    line_from: int
    line_to: int
    under: str = ""


def chunks_of(path: Path, text: str) -> list[Chunk]:
    """The pieces of a document, by what kind of file it is."""
    kind = path.suffix.lower()
    if kind in MARKUP:
        return list(_pieces(_visible_lines(text)))
    lines = [(number, line.rstrip()) for number, line in enumerate(text.splitlines(), 1)]
    if kind in MARKDOWN:
        return list(_pieces(lines, headings=True))
    return list(_pieces(lines, code=kind in CODE))


def _pieces(
    lines: Sequence[tuple[int, str]], *, headings: bool = False, code: bool = False
) -> Iterator[Chunk]:
    """Lines put together: a heading or a definition begins a piece, a gap may end one."""
    under: list[str] = []
    held: list[tuple[int, str]] = []
    size, fenced = 0, False
    place = ""

    def made() -> Iterator[Chunk]:
        while held and not held[-1][1].strip():
            held.pop()
        while held and not held[0][1].strip():
            held.pop(0)
        if held:
            text = "\n".join(line for _, line in held)
            yield Chunk(text, held[0][0], held[-1][0], place)
        held.clear()

    for number, line in lines:
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        heading = _HEADING.match(line) if headings and not fenced else None
        begins = heading is not None or (code and _BEGINS.match(line) is not None and size > _LEAST)
        gap = not line.strip() and size >= _WANTED and not fenced
        if begins or gap or size + len(line) > _MOST:
            yield from made()
            size = 0
        if heading is not None:
            level = len(line) - len(line.lstrip("#"))
            under = [*under[: level - 1], heading[1]]
            place = " > ".join(under)
        for part in _parts(line):
            held.append((number, part))
            size += len(part) + 1
            if size > _MOST:
                yield from made()
                size = 0
    yield from made()


def _parts(line: str) -> list[str]:
    """A line; one that is longer than a piece in parts."""
    if len(line) <= _MOST:
        return [line]
    return [line[at : at + _MOST] for at in range(0, len(line), _MOST)]


class _Visible(html.parser.HTMLParser):
    """The text of a page with the lines of the file it stands on."""

    _SILENT = frozenset({"script", "style", "noscript", "template", "head", "svg"})
    _BLOCKS = frozenset(
        """
        p div li tr br h1 h2 h3 h4 h5 h6 section article pre blockquote dt dd
        table ul ol
        """.split()  # noqa: SIM905
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[tuple[int, str]] = []
        self._silent = 0
        self._line: list[str] = []
        self._began = 1

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._SILENT:
            self._silent += 1
        if tag in self._BLOCKS:
            self.end_line()

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SILENT and self._silent:
            self._silent -= 1
        if tag in self._BLOCKS:
            self.end_line()

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if self._silent or not words:
            return
        if not self._line:
            skipped = len(data) - len(data.lstrip())
            self._began = self.getpos()[0] + data[:skipped].count("\n")
        self._line.append(words)

    def end_line(self) -> None:
        """What was gathered is one line."""
        if self._line:
            self.lines.append((self._began, " ".join(self._line)))
            self._line = []


def _visible_lines(text: str) -> list[tuple[int, str]]:
    page = _Visible()
    page.feed(text)
    page.close()
    page.end_line()
    return page.lines
