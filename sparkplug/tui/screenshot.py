"""`python -m sparkplug.tui.screenshot OUT.svg`: a picture of the running mesh."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from pathlib import Path

from sparkplug.schema.errors import DeadlineError, SparkplugError
from sparkplug.tui.app import SparkplugApp
from sparkplug.tui.commands import PANES
from sparkplug.tui.themes import DEFAULT, load_themes

_DEADLINE_S = 15.0
_LOOK_S = 0.05
_FONT_FACE = re.compile(r"@font-face\s*\{[^}]*\}\s*")
_FONTS = "'Fira Code', Menlo, Consolas, 'DejaVu Sans Mono', monospace"


async def screenshot(
    *, url: str | None, size: tuple[int, int], pane: str, theme: str, seconds: float
) -> str:
    """The screen as SVG, `size` in columns and rows, after following the mesh for `seconds`.

    Raises DeadlineError when no mesh was read in time.
    """
    themes, _ = load_themes()
    app = SparkplugApp(themes, url=url, pane=pane, theme=theme)
    async with app.run_test(size=size) as pilot:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                while not (app.store.complete and app.store.hosts):
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as error:
            link = app.store.link
            raise DeadlineError(
                link.message or "no mesh was read in time", hint=link.hint or None
            ) from error
        await asyncio.sleep(seconds)
        await pilot.pause()
        return without_links(app.export_screenshot(title="SparkPlug"))


def without_links(picture: str) -> str:
    """The SVG without the web fonts it names: looking at a picture asks nobody for anything."""
    return _FONT_FACE.sub("", picture).replace("font-family: Fira Code", f"font-family: {_FONTS}")


def main(argv: list[str] | None = None) -> int:
    """Write the picture; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sparkplug.tui.screenshot")
    parser.add_argument("out", type=Path, help="the SVG file to write")
    parser.add_argument("--size", default="160x50", help="columns x rows")
    parser.add_argument("--pane", default="overview", choices=tuple(PANES))
    parser.add_argument("--theme", default=DEFAULT)
    parser.add_argument("--url", default=None, help="a mesh elsewhere")
    parser.add_argument("--seconds", type=float, default=3.0, help="follow the mesh so long")
    given = parser.parse_args(argv)
    columns, _, rows = given.size.partition("x")
    if not (columns.isdecimal() and rows.isdecimal()):
        parser.error(f"a size is columns x rows, like 160x50, not {given.size}")
    try:
        picture = asyncio.run(
            screenshot(
                url=given.url,
                size=(int(columns), int(rows)),
                pane=given.pane,
                theme=given.theme,
                seconds=given.seconds,
            )
        )
        given.out.write_text(picture, encoding="utf-8")
    except SparkplugError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
