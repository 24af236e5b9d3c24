"""Opening the control centre. The first frame is drawn before anything that talks to a mesh."""

from __future__ import annotations

import sys

from sparkplug.paths import state_home
from sparkplug.schema.errors import InvalidError, SparkplugError
from sparkplug.tui.commands import PANES
from sparkplug.tui.state import read_state, state_file
from sparkplug.tui.themes import find_terminal, first_look, load_themes


def main(
    *,
    url: str | None = None,
    context: str | None = None,
    pane: str | None = None,
    theme: str | None = None,
    readonly: bool = False,
    debug: bool = False,
) -> int:
    """Open the control centre on this terminal; its exit code when it is left.

    `url` or `context` names a mesh elsewhere, `theme` goes before the settings. Errors
    are printed, with `debug` they are raised.
    """
    try:
        return _open(url, context, pane, theme, readonly)
    except SparkplugError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        return error.exit_code


def _open(
    url: str | None, context: str | None, pane: str | None, theme: str | None, readonly: bool
) -> int:
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise InvalidError(
            "the control centre needs a terminal",
            hint="`sparkplug --help` lists the verbs, which need none",
        )
    if pane is not None and pane not in PANES:
        raise InvalidError(f"no pane {pane}", hint=f"there are: {', '.join(PANES)}")
    if url is not None and context is not None:
        raise InvalidError("--url and --context both name a mesh", hint="give one of them")
    themes, problems = load_themes()
    if theme is not None and theme not in themes:
        raise InvalidError(f"no theme {theme}", hint=f"there are: {', '.join(themes)}")
    from sparkplug.tui.app import SparkplugApp

    first, mouse = first_look()
    kept = read_state(state_file(state_home()), context)
    app = SparkplugApp(
        themes,
        url=url,
        context=context,
        pane=pane,
        theme=theme,
        first_theme=first,
        first_pane=str(kept.get("pane")),
        readonly=readonly,
        notices=tuple(f"theme left out: {problem}" for problem in problems),
        terminal=find_terminal(encoding=sys.stdout.encoding or "ascii"),
    )
    code = app.run(mouse=mouse)
    return code if code is not None else app.return_code or 0
