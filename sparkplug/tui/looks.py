"""How the control centre looks: the theme in use, tried on, watched on disk, and suited."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual.filter import LineFilter, Monochrome

from sparkplug.schema.errors import InvalidError
from sparkplug.tui.themes import (
    DEFAULT,
    Look,
    Pens,
    Terminal,
    filters,
    pens,
    read_theme,
    suited,
    user_folders,
)

if TYPE_CHECKING:
    from sparkplug.tui.app import SparkplugApp


class Looks:
    """The part of the app that has to do with themes. Mixed into it."""

    def __init__(self, *args: Any, themes: Mapping[str, Look], terminal: Terminal) -> None:
        self._terminal = terminal
        self.themes = {name: suited(found, terminal) for name, found in themes.items()}
        self._pens: dict[str, Pens] = {n: pens(t, terminal.depth) for n, t in self.themes.items()}
        self._tried: str | None = None
        #: The file of the theme as it was last looked at: its place, time and size.
        self._seen: tuple[Path, int, int] | None = None
        self._looked_for = ""
        super().__init__(*args)
        for found in self.themes.values():
            self._app.register_theme(found)

    @property
    def _app(self) -> SparkplugApp:
        return cast("SparkplugApp", self)

    @property
    def look(self) -> Look:
        """The theme in use."""
        return self.themes.get(self._app.theme) or self.themes[DEFAULT]

    @property
    def pens(self) -> Pens:
        """The styles of the theme in use."""
        return self._pens.get(self._app.theme) or self._pens[DEFAULT]

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What the theme, and this terminal, have all go through that is painted."""
        look = self.look
        own = filters(look)
        if not look.color:
            return own
        inherited: Sequence[LineFilter] = super().get_line_filters()  # type: ignore[misc]
        # Textual goes grey for a NO_COLOR that is empty; ours is `find_terminal`.
        return [*(one for one in inherited if not isinstance(one, Monochrome)), *own]

    def refresh_css(self, animate: bool = True) -> None:
        """Take the colours of the theme. Before there is a screen its styles are read only once."""
        app = self._app
        if app.screen_stack:
            super().refresh_css(animate)  # type: ignore[misc]
        else:
            app.stylesheet.set_variables(app.get_css_variables())

    def wear(self, name: str) -> None:
        """Draw in a theme there is."""
        app = self._app
        if name != app.theme:
            app.theme = name
            self._redraw()

    def try_on(self, name: str | None) -> None:
        """Draw in a theme for a look at it; None goes back to that which is worn."""
        app = self._app
        if name is None:
            if self._tried is not None:
                before, self._tried = self._tried, None
                self.wear(before)
            return
        if name in self.themes:
            self._tried = self._tried or app.theme
            self.wear(name)

    def keep(self) -> None:
        """What is tried on is worn."""
        self._tried = None

    def _redraw(self) -> None:
        app = self._app
        app.set_class(not self.look.color, "-colorless")
        if app.is_running:
            for screen in app.screen_stack:
                screen.refresh(layout=True)
                for widget in screen.query("*"):
                    widget.refresh()

    async def watch_file(self, wanted: str) -> None:
        """Take the file of the theme `wanted` when it is another than a moment ago.

        The disk is asked in a thread: a home on a network may be slow to answer.
        """
        if self._tried is None:
            found = await asyncio.to_thread(self._file_of, wanted)
            self._take_file(wanted, found)

    def read_file(self, wanted: str) -> None:
        """Take the file of the theme `wanted` now, where there is one."""
        self._take_file(wanted, self._file_of(wanted))

    def _take_file(self, wanted: str, found: tuple[Path, int, int] | None) -> None:
        """Wear what a file says. One that does not hold is told with its line, and left out."""
        app = self._app
        if self._tried is not None:
            return
        first = wanted != self._looked_for
        self._looked_for = wanted
        if found == self._seen and not first:
            return
        self._seen = found
        if found is None or (first and wanted in self.themes):
            return
        try:
            look = replace(read_theme(found[0]), name=wanted)
        except InvalidError as error:
            where = Path(error.where or "").name
            app.tell(f"theme left as it was: {where}: {error.message}", "warn")
            return
        self.themes[wanted] = suited(look, self._terminal)
        self._pens[wanted] = pens(self.themes[wanted], self._terminal.depth)
        app.register_theme(self.themes[wanted])
        if app.theme == wanted:
            # The name is the same, so Textual would see nothing new.
            app.mutate_reactive(type(app).theme)
            self._redraw()
        else:
            self.wear(wanted)

    def _file_of(self, name: str) -> tuple[Path, int, int] | None:
        """The user's file of a theme, as it is now; that which goes first."""
        look = self.themes.get(name)
        places = [folder / f"{name}.toml" for folder in user_folders()]
        if look is not None and look.path is not None and look.path.parent in user_folders():
            places.append(look.path)
        for path in reversed(places):
            try:
                found = path.stat()
            except (OSError, ValueError):
                continue
            return path, found.st_mtime_ns, found.st_size
        return None
