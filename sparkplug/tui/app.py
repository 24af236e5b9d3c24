"""The control centre: panes, keys, and what opens over them. It draws and asks; it decides nothing.

Importing this imports Textual and nothing that talks to a mesh: the first frame comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Event, InputEvent, Key, MouseEvent, Paste, Resize
from textual.worker import Worker

from sparkplug.clock import until_next
from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.commands import PANES
from sparkplug.tui.doing import Doing
from sparkplug.tui.looks import Looks
from sparkplug.tui.screen.collecting import Collecting
from sparkplug.tui.screen.present import PresentScreen
from sparkplug.tui.screen.writer import PaintedApp
from sparkplug.tui.shell.asking import Asking
from sparkplug.tui.shell.bottom import Bottom
from sparkplug.tui.shell.deploying import Deploying
from sparkplug.tui.shell.editing import Editing
from sparkplug.tui.shell.frame import Frame
from sparkplug.tui.shell.going import Going
from sparkplug.tui.shell.kept import Kept
from sparkplug.tui.shell.keys import Keys
from sparkplug.tui.shell.lending import Lending
from sparkplug.tui.shell.meshes import Meshes
from sparkplug.tui.shell.notices import Notices
from sparkplug.tui.shell.panes import Panes
from sparkplug.tui.shell.reading import Readings
from sparkplug.tui.shell.reviewing import Reviewing
from sparkplug.tui.shell.selected import Selected
from sparkplug.tui.store import Store, Topics
from sparkplug.tui.themes import DEFAULT, Look, Terminal

#: What the header says nothing of.
_NOT_IN_HEAD = frozenset({"agents", "topology", "runs", "decisions", "events", "usage"})
#: The file of the theme is looked at every so many seconds.
_THEME_S = 2.0
_TICK_S = 1.0
#: A terminal that takes longer for the first frame is not waited for.
_SEEN_S = 0.2
#: Times that everything gets its place before the first frame.
_SIZES = 2


class SparkplugApp(
    Going,
    Panes,
    Frame,
    Notices,
    Bottom,
    Selected,
    Readings,
    Meshes,
    Asking,
    Editing,
    Reviewing,
    Deploying,
    Lending,
    Doing,
    Keys,
    Kept,
    Looks,
    PaintedApp,
):
    """One terminal, one mesh."""

    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = Path(__file__).with_name("style.tcss")
    TITLE = "SparkPlug"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, f"pane('{pane}')", pane, show=False, id=f"pane.{pane}")
            for pane, key in PANES.items()
        ),
        # These three open a line to type in. They go first, so that what is typed at once after
        # them is typed there and not a key of the list.
        Binding(
            "ctrl+p,f2", "palette", "palette: find and do anything", id="palette", priority=True
        ),
        Binding("colon", "command", "command line", id="command", priority=True),
        Binding(
            "slash",
            "filter",
            "filter (regex, ~fuzzy, !not, state:error)",
            id="filter",
            priority=True,
        ),
        Binding("question_mark", "help", "help for where you stand", show=False, id="help"),
        Binding("escape", "back", "back", show=False, id="back"),
        Binding("tab", "app.focus_next", "next box", show=False, id="next"),
        Binding("shift+tab", "app.focus_previous", "box before", show=False, id="previous"),
        Binding("d", "describe", "describe what is selected", show=False, id="describe"),
        Binding("l", "logs", "logs of the selected agent", show=False, id="logs"),
        Binding("p", "previous", "log of the process before", show=False, id="previous-logs"),
        Binding("w", "why", "why it is slow or failed", show=False, id="why"),
        Binding(
            "left_square_bracket",
            "history(-1)",
            "back to where one was",
            show=False,
            id="history.back",
        ),
        Binding(
            "right_square_bracket", "history(1)", "ahead again", show=False, id="history.forward"
        ),
        Binding("y", "copy", "copy the selected text or name", show=False, id="copy"),
        Binding("m,f22,shift+f10", "menu", "menu of what is selected", show=False, id="menu"),
        Binding("ctrl+l", "repaint", "paint the screen anew", show=False, id="repaint"),
        Binding("q", "quit", "quit", show=False, id="quit"),
    ]

    def __init__(
        self,
        themes: dict[str, Look],
        *,
        url: str | None = None,
        context: str | None = None,
        pane: str | None = None,
        theme: str | None = None,
        first_theme: str = DEFAULT,
        first_pane: str = "overview",
        readonly: bool = False,
        notices: tuple[str, ...] = (),
        terminal: Terminal | None = None,
    ) -> None:
        super().__init__(themes=themes, terminal=terminal or Terminal(), notices=notices)
        self.animation_level = "none"
        self._theme_asked = theme
        first = theme or first_theme
        self.theme = first if first in themes else DEFAULT
        self.set_class(not self.look.color, "-colorless")
        self.readonly = readonly
        self.store = Store(url, self._changed, context)
        self._collecting = Collecting()
        #: Whether the mouse is what was used last.
        self._clicked = False
        #: Whether the pane to begin on was asked for: then the one of last time is not shown.
        self.pane_asked = pane is not None
        #: The minute the header shows.
        self._minute = 0
        # Nothing is painted until the first frame is whole.
        self._begin_batch()
        self._first = pane if pane in PANES else first_pane if first_pane in PANES else "overview"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours of the default theme, for what is painted before ours is set."""
        return dict(self.themes[DEFAULT].variables) if hasattr(self, "themes") else {}

    def compose(self) -> ComposeResult:
        """Header, banner, pane, footer."""
        self._banner.display = False
        yield self._header
        yield self._banner
        yield from self.compose_panes(self._first)
        yield self._footer

    async def on_mount(self) -> None:
        """Go to the pane to begin on; it is painted once all has its place."""
        await self.action_pane(self._first)

    def on_ready(self) -> None:
        """All is mounted: paint the first frame whole, at once; the mesh comes after it."""
        screen = self.screen
        assert isinstance(screen, PresentScreen)
        # What is in a box depends on its size, and the sizes of boxes on what is in them.
        for _ in range(_SIZES):
            screen.place()
            self.draw_pane()
        self._end_batch()
        screen.place()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self._collecting.begin()
        if self.notices:
            self.warn()
        _: Worker[None] = self.run_worker(self._look_at_theme, name="theme", group="theme")
        _ = self.run_worker(self._keep_time, name="time", group="time")
        _ = self.run_worker(self._follow_once_seen, name="begin", group="begin")

    async def _follow_once_seen(self) -> None:
        """What talks to a mesh is imported in a thread, and would hold up the frame on its way."""
        await self.taken(_SEEN_S)
        self.follow_mesh()

    def follow_mesh(self) -> None:
        """Follow the mesh, and no other any longer."""
        _: Worker[None] = self.run_worker(
            self.store.run, name="store", group="store", exclusive=True
        )

    # What is seen

    def _changed(self, topics: Topics) -> None:
        """The store has news."""
        if not self.screen_stack:
            return  # it is being left
        if "settings" in topics:
            self._take_settings()
        if self.store.differs and self.store.differs not in self.notices:
            self.warn(self.store.differs)
        with self._painting():
            pane = self.pane
            if pane is not None and topics & pane.TOPICS and not self._covered:
                pane.draw(topics)
                pane.settle()
            for screen in self.screen_stack:
                draw, shown = getattr(screen, "draw", None), getattr(screen, "topics", None)
                if draw is not None and shown and topics & shown:
                    draw()
            self.draw_line(topics)
            if topics <= _NOT_IN_HEAD:
                self.draw_hints()
                self.place_toasts()
            else:
                self.draw_frame()

    def _painting(self) -> contextlib.AbstractContextManager[None]:
        """What is drawn within is painted at the end of it."""
        screen = self.screen
        return screen.painting() if isinstance(screen, PresentScreen) else contextlib.nullcontext()

    def _take_settings(self) -> None:
        settings = self.store.settings
        assert settings is not None
        if settings.tui.restore:
            self.open_state(settings.paths.home, self.store.mesh, settings.tui.theme)
        wanted = self.wanted_theme
        self.read_file(wanted)
        if wanted in self.themes:
            self.wear(wanted)
        else:
            self.warn(f"no theme {wanted}; there are: {', '.join(self.themes)}")
        self.warn(*self.bind_actions(settings.tui.keymap, settings.tui.keys))
        self.warn(*self.take_aliases(settings.tui.aliases))
        self.open_history(settings.paths.home)
        self._collecting.loaded()

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(until_next(_TICK_S))
            self._tick()

    def _tick(self) -> None:
        """Once a second: ages and the minute. What did not change is not painted."""
        if not self.screen_stack:
            return  # it is being left
        self._collecting.tick()
        with self._painting():
            if self.pane is not None and not self._covered:
                self.pane.tick()
            tick = getattr(self.screen, "tick", None)
            if tick is not None:
                tick()
            minute = int(time.time() // 60)
            if minute != self._minute or self.store.link.state != "live":
                self._minute = minute
                self.draw_head()

    async def _look_at_theme(self) -> None:
        """Look at the theme's file, for ever: one worker, since beginning each costs more."""
        while True:
            await asyncio.sleep(until_next(_THEME_S))
            await self.watch_file(self.wanted_theme)

    @property
    def wanted_theme(self) -> str:
        """The theme asked for, that chosen here, or that of the settings."""
        settings = self.store.settings
        of_settings = settings.tui.theme if settings else self.theme
        return self._theme_asked or self.theme_chosen or of_settings

    @property
    def _covered(self) -> bool:
        """Whether a dialog hides all of the pane."""
        return any(getattr(screen, "covers", False) for screen in self.screen_stack)

    def on_resize(self, event: Resize) -> None:
        """Another size."""
        self.call_after_refresh(self.draw_frame)

    def on_listing_moved(self) -> None:
        """Another thing is selected."""
        self.note_place()
        self.draw_frame()

    async def on_descendant_focus(self) -> None:
        """Another box."""
        if self.screen_stack:
            await self.keep_line(self._clicked)
            self.draw_frame()

    def action_theme(self, name: str) -> None:
        """Draw in another theme."""
        if name in self.themes:
            self._theme_asked, self.theme_chosen = None, name
            self.keep_state()
            self.keep()
            self.wear(name)
            self.draw_pane()
        else:
            self.tell(f"no theme {name}; there are: {', '.join(self.themes)}", "warn")

    async def on_event(self, event: Event) -> None:
        """Textual looks for a screen to give input to; what comes as one leaves finds none."""
        if isinstance(event, InputEvent | Paste):
            self._collecting.pressed()
            if not self.screen_stack:
                return
            self._clicked = isinstance(event, MouseEvent)
            if isinstance(event, Key) and not event.is_forwarded:
                if (key := self.after_escape(event)) is not None:
                    await self.take_key("escape")
                    event = key
                if await self.take_key(event.key):
                    return
        await super().on_event(event)

    async def action_quit(self) -> None:
        """Leave; where one stands is kept."""
        await self.save_state()
        self.exit()

    def action_help_quit(self) -> None:
        """`ctrl+c` ends nothing by accident: it says what does."""
        self.tell(f"{self.key('quit')} quits", "dim")

    def fail(self, title: str, error: SparkplugError) -> None:
        """Show what went wrong and the way out."""
        from sparkplug.tui.dialogs.notes import error_note

        self.push_screen(error_note(title, error))
