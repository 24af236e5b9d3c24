"""The filter of a list: a regular expression, turned round by a leading `!`."""

from __future__ import annotations

import re


class Filter:
    """Which rows to show. `text` as it was typed; a wrong expression is searched as plain text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.inverse = text.startswith("!")
        pattern = text[1:] if self.inverse else text
        self.error: str | None = None
        try:
            self._pattern = re.compile(pattern, re.IGNORECASE)
        except re.error as error:
            self.error = str(error)
            self._pattern = re.compile(re.escape(pattern), re.IGNORECASE)
        self._empty = not pattern

    def takes(self, text: str) -> bool:
        """Whether a row of this text is shown."""
        return self._empty or bool(self._pattern.search(text)) is not self.inverse


EVERYTHING = Filter("")
