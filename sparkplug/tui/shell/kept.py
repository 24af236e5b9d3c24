"""What was typed and chosen, and where one stood, kept across sessions."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.worker import Worker

from sparkplug.tui.commands import PANES
from sparkplug.tui.history import History
from sparkplug.tui.shell.part import Part
from sparkplug.tui.state import StateFile, read_state, state_file

if TYPE_CHECKING:
    from pathlib import Path

    from sparkplug.tui.panes.pane import Pane

#: What changes within this time is written at once.
_KEEP_S = 2.0


class Kept(Part):
    """Lines of the `:` line, choices of the palette; the pane, its lists, the theme."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.history = History()
        self._state_file: StateFile | None = None
        self._mesh = ""
        self._pane_states: dict[str, Any] = {}
        #: Panes kept from the session before and not seen in this one.
        self._fresh: set[str] = set()
        self._keeping = False
        #: The theme that was chosen here instead of that of the settings.
        self.theme_chosen: str | None = None
        self._theme_of_settings = ""
        super().__init__(*args, **kwargs)

    def open_history(self, home: Path) -> None:
        """Take up what was typed and chosen in the sessions before."""
        problem = self.history.open(home)
        if problem is not None:
            self._centre.warn(problem)

    def remember(self, line: str | None, title: str | None) -> None:
        """Add a line said, or the title of a command chosen, to what is kept."""
        _: Worker[None] = self._centre.run_worker(partial(self._save, line, title), group="history")

    async def _save(self, line: str | None, title: str | None) -> None:
        problem = await asyncio.to_thread(self.history.save, line, title)
        if problem is not None:
            self._centre.warn(problem)

    # Where one stands

    def open_state(self, home: Path, mesh: str, theme: str) -> None:
        """Go on where one was in the session before, and keep it from now on.

        `theme` is the one the settings name: another, once chosen, is worn as long as that stays.
        """
        app = self._centre
        self._mesh, self._theme_of_settings = mesh, theme
        if self._state_file is None:
            self._state_file = StateFile(state_file(home))
        kept = read_state(state_file(home), mesh)
        panes = kept.get("panes")
        self._pane_states = dict(panes) if isinstance(panes, dict) else {}
        self._fresh = set(self._pane_states)
        chosen = kept.get("theme")
        if isinstance(chosen, dict) and chosen.get("instead_of") == theme:
            name = chosen.get("name")
            self.theme_chosen = name if isinstance(name, str) and name in app.themes else None
        pane = kept.get("pane")
        if isinstance(pane, str) and pane in PANES and not app.pane_asked and app.trail.still:
            _: Worker[None] = app.run_worker(
                partial(app.show_first, pane), group="going", exclusive=True
            )
        elif app.pane is not None:
            self.restore_pane(app.pane)

    def restore_pane(self, pane: Pane) -> None:
        """Set a pane as it was kept, the first time it is seen."""
        name = pane.id or ""
        if name in self._fresh:
            self._fresh.discard(name)
            kept = self._pane_states.get(name)
            if isinstance(kept, dict):
                pane.restore(kept)

    def keep_state(self) -> None:
        """Where one stands may be another: keep it in a moment, with what comes till then."""
        if self._state_file is not None and not self._keeping:
            self._keeping = True
            self._centre.set_timer(_KEEP_S, self._save_soon)

    def _save_soon(self) -> None:
        _: Worker[None] = self._centre.run_worker(self.save_state, group="state")

    def note_pane(self) -> None:
        """Take how the pane in sight is set, before it is left or kept."""
        pane = self._centre.pane
        if self._state_file is not None and pane is not None and pane.id not in self._fresh:
            self._pane_states[pane.id or ""] = pane.state()

    def _state(self) -> dict[str, Any]:
        app = self._centre
        self.note_pane()
        state: dict[str, Any] = {"panes": dict(self._pane_states)}
        if app.pane is not None:
            state["pane"] = app.pane.id
        if self.theme_chosen:
            state["theme"] = {"name": self.theme_chosen, "instead_of": self._theme_of_settings}
        return state

    async def save_state(self) -> None:
        """Keep where one stands now."""
        self._keeping = False
        if self._state_file is None:
            return
        problem = await asyncio.to_thread(self._state_file.save, self._mesh, self._state())
        if problem is not None:
            self._state_file = None
            self._centre.warn(problem)
