"""Where the keys of a TOML text stand: the standard library's reader does not say."""

from __future__ import annotations

import re

from sparkplug.schema.problems import KeyPath

_TOML_KEY = re.compile(
    r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)"""
)
_TOML_KEY_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def toml_lines(text: str) -> dict[KeyPath, tuple[int, int]]:
    """Line and column of every key of a valid TOML text; an inline table has that of its key."""
    found: dict[KeyPath, tuple[int, int]] = {}
    table: KeyPath = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:  # inside a string of several lines
            closing = "" if closing in line else closing
            continue
        header = line.lstrip().startswith("[")
        indent = len(line) - len(line.lstrip().lstrip("[")) if header else 0
        match = _TOML_KEY.match(line, indent)
        if match is None:
            continue
        key = tuple(part.strip("\"'") for part in _TOML_KEY_PART.findall(match[1]))
        table = key if header else table
        path = key if header else table + key
        for length in range(1, len(path) + 1):
            found.setdefault(path[:length], (number, match.start(1) + 1))
        found[path] = (number, match.start(1) + 1)
        for quotes in ('"""', "'''"):
            if line.count(quotes) % 2:
                closing = quotes
    return found
