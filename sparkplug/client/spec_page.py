"""The page an editor is given: a spec as text, below comments on whose it is and what is wrong."""

from __future__ import annotations

from sparkplug.client.editing import check_text
from sparkplug.schema.errors import InvalidError

_HEAD = """\
# The spec of {name}, revision {revision}. Lines that begin with '#' here at the top are left out.
# An empty file changes nothing. `sparkplug schema agent` describes every field.
"""


def page_text(name: str, revision: int, body: str, note: str = "") -> str:
    """`body` below the comments that every page has, and below `note`, made comments."""
    told = "".join(f"# {line}".rstrip() + "\n" for line in note.splitlines())
    return _HEAD.format(name=name, revision=revision) + told + body


def body_of(page: str) -> str:
    """The text below the comments at the top."""
    lines = page.splitlines(keepends=True)
    first = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[first:])


def complaint(error: InvalidError, name: str, revision: int, body: str, file: str) -> str:
    """What to note above a text that does not hold: its places are those below that very note."""
    above = page_text(name, revision, "", str(error)).count("\n")
    try:
        check_text("\n" * above + body, file)
    except InvalidError as below:
        return str(below)
    return str(error)
