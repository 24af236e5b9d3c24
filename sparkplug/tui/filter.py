"""The filter of a list, as it is typed: regular expressions, fuzzy, turned round, of a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from sparkplug.tui.fuzzy import score

_COLUMN = re.compile(r"(!?)([\w-]+):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Term:
    """One thing a row must have, or, `inverse`, not have."""

    finds: Callable[[str], object]
    inverse: bool
    column: str | None = None
    error: str | None = None
    #: What to look for, where that is an expression; None for letters anywhere.
    pattern: re.Pattern[str] | None = None
    plain: bool = False

    def takes(self, text: str) -> bool:
        return bool(self.finds(text)) is not self.inverse


class Filter:
    """Which rows to show. `text` as it was typed.

    A regular expression in any case; `~abc` finds letters in that order wherever they are; `!`
    before either shows what does not match; `state:error` looks into one column, of those
    named in `columns` (a name may be cut short where it stays clear), and several of these, and
    anything after them, must all hold. A wrong expression is searched as plain text.
    """

    def __init__(self, text: str, columns: Collection[str] = ()) -> None:
        self.text = text
        self._terms: list[_Term] = []
        rest = text
        while columns and (word := rest.split(maxsplit=1)):
            match = _COLUMN.fullmatch(word[0])
            column = _named(match[2], columns) if match else None
            if match is None or column is None:
                break
            self._add(match[1] + match[3], column)
            rest = word[1] if len(word) > 1 else ""
        self._add(rest, None)

    @property
    def error(self) -> str | None:
        """What is wrong with the expression."""
        return next((term.error for term in self._terms if term.error), None)

    def takes(self, text: str, cell: Callable[[str], str] | None = None) -> bool:
        """Whether a row of this text is shown; `cell` gives what it has in a column."""
        for term in self._terms:
            of = text if term.column is None or cell is None else cell(term.column)
            if not term.takes(of):
                return False
        return True

    @property
    def plain(self) -> bool:
        """Whether it is words, and nothing an expression could stand for."""
        return all(term.plain for term in self._terms)

    def passing(self, texts: Sequence[str]) -> list[int]:
        """Which of many texts are shown, by their places."""
        if len(self._terms) != 1:
            return [at for at, text in enumerate(texts) if self.takes(text)]
        search, inverse = self._terms[0].finds, self._terms[0].inverse
        if inverse:
            return [at for at, text in enumerate(texts) if not search(text)]
        return [at for at, text in enumerate(texts) if search(text)]

    def matches(self, text: str) -> list[tuple[int, int]]:
        """Where what is looked for is found in a text that is shown for it, in characters."""
        return [
            match.span()
            for term in self._terms
            if term.pattern is not None and not term.inverse
            for match in term.pattern.finditer(text)
            if match.end() > match.start()
        ]

    def _add(self, text: str, column: str | None) -> None:
        inverse = text.startswith("!")
        wanted = text[1:] if inverse else text
        if not wanted or wanted == "~":
            return
        if wanted.startswith("~"):
            letters = wanted[1:]
            term = _Term(lambda of: score(letters, of) is not None, inverse, column)
        else:
            error = None
            try:
                pattern = re.compile(wanted, re.IGNORECASE)
            except (re.error, OverflowError, RecursionError) as wrong:
                error = str(wrong)
                pattern = re.compile(re.escape(wanted), re.IGNORECASE)
            plain = error is not None or re.escape(wanted) == wanted
            term = _Term(pattern.search, inverse, column, error, pattern, plain)
        self._terms.append(term)


def _named(word: str, columns: Collection[str]) -> str | None:
    """The column of a name, or the only one whose name begins so."""
    lower = word.lower()
    found = [name for name in columns if name.lower().startswith(lower)]
    exact = [name for name in found if name.lower() == lower]
    return exact[0] if exact else found[0] if len(found) == 1 else None


EVERYTHING = Filter("")
