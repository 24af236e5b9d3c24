"""Markdown as lines to paint. Imported when there is some to read."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console
from rich.markdown import Markdown
from rich.style import Style
from rich.theme import Theme

from sparkplug.schema.text import strip_controls
from sparkplug.tui.cells import Line
from sparkplug.tui.themes import Pens


def markdown_lines(text: str, width: int, pens: Pens) -> Sequence[Line]:
    """The lines of a Markdown text, `width` cells wide, in the colours of the theme.

    Links are not made clickable: the text comes from an agent.
    """
    heading = pens["title"]
    styles: dict[str, str | Style] = {
        "markdown.code": pens["active"],
        "markdown.code_block": pens["text"],
        "markdown.block_quote": pens["dim"],
        "markdown.item.bullet": pens["focus"],
        "markdown.item.number": pens["focus"],
        "markdown.hr": pens["line"],
        "markdown.link": pens["focus"],
        "markdown.link_url": pens["dim"],
        "markdown.table.header": pens["focus"],
        "markdown.table.border": pens["line"],
    }
    styles |= {f"markdown.h{level}": heading for level in range(1, 8)}
    styles["markdown.h1.border"] = pens["line"]
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123  rich wants a file to hold
        console = Console(
            file=nowhere,
            width=max(10, width),
            color_system="truecolor",
            force_terminal=True,
            theme=Theme(styles),
            legacy_windows=False,
        )
        document = Markdown(strip_controls(text), hyperlinks=False, code_theme="ansi_dark")
        rendered = console.render_lines(document, pad=False)
    return [
        tuple((segment.style or "text", segment.text) for segment in line if not segment.control)
        for line in rendered
    ]
