"""The control centre: panes, keys, and what opens over them. It draws and asks; it decides nothing.

Importing this imports Textual and nothing that talks to a mesh: the first frame comes first.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import Resize

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.cells import Line
from sparkplug.tui.commands import PANES
from sparkplug.tui.doing import Doing
from sparkplug.tui.looks import Looks
from sparkplug.tui.panes.overview import Overview
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.screen.writer import PaintedApp
from sparkplug.tui.store import ALL, Store, Topics
from sparkplug.tui.themes import DEFAULT, Look, Terminal
from sparkplug.tui.widgets.footer import Footer, Hint
from sparkplug.tui.widgets.header import Banner, Header

if TYPE_CHECKING:
    from sparkplug.tui.command_line import CommandLine
    from sparkplug.tui.filter_line import FilterLine

_NOTICE_S = 6.0


class SparkplugApp(Doing, Looks, PaintedApp):
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
            "filter this list (regex, ! inverse)",
            id="filter",
            priority=True,
        ),
        Binding("question_mark", "help", "help for where you stand", show=False, id="help"),
        Binding("escape", "back", "back", show=False, id="back"),
        Binding("tab", "app.focus_next", "next box", show=False, id="next"),
        Binding("shift+tab", "app.focus_previous", "box before", show=False, id="previous"),
        Binding("d", "describe", "describe what is selected", show=False, id="describe"),
        Binding("l", "logs", "logs of the selected agent", show=False, id="logs"),
        Binding("y", "copy", "copy the selected name", show=False, id="copy"),
        Binding("ctrl+l", "repaint", "paint the screen anew", show=False, id="repaint"),
        Binding("q", "quit", "quit", show=False, id="quit"),
    ]

    def __init__(
        self,
        themes: dict[str, Look],
        *,
        url: str | None = None,
        pane: str = "overview",
        theme: str | None = None,
        first_theme: str = DEFAULT,
        readonly: bool = False,
        notices: tuple[str, ...] = (),
        terminal: Terminal | None = None,
    ) -> None:
        super().__init__(themes=themes, terminal=terminal or Terminal())
        self.animation_level = "none"
        self._theme_asked = theme
        first = theme or first_theme
        self.theme = first if first in themes else DEFAULT
        self.set_class(not self.look.color, "-colorless")
        self.readonly = readonly
        self.store = Store(url, self._changed)
        self._first = pane if pane in PANES else "overview"
        self._panes: dict[str, Pane] = {}
        self._header = Header(id="header")
        self._banner = Banner(id="banner")
        self._footer = Footer(id="footer")
        self._area = Container(id="panes")
        self._line: CommandLine | FilterLine | None = None
        #: What is to be looked at, as it was told; `:notices` shows it all.
        self.notices = list(notices)
        self._told = 0

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours of the default theme, for what is painted before ours is set."""
        return dict(self.themes[DEFAULT].variables) if hasattr(self, "themes") else {}

    def compose(self) -> ComposeResult:
        """Header, banner, pane, footer."""
        self._banner.display = False
        yield self._header
        yield self._banner
        yield self._area
        yield self._footer

    async def on_mount(self) -> None:
        """Draw the first frame; the mesh comes after it."""
        await self.action_pane(self._first)
        self.set_interval(1.0, self._tick)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        if self.notices:
            self.warn()
        self.run_worker(self.store.run(), name="store", exclusive=True)

    # What is seen

    @property
    def pane(self) -> Pane | None:
        """The pane in sight."""
        return next((pane for pane in self._panes.values() if pane.display), None)

    async def action_pane(self, name: str) -> None:
        """Show a pane; it is mounted when it is first looked at."""
        if name not in self._panes:
            self._panes[name] = made = _make(name)
            await self._area.mount(made)
        for key, pane in self._panes.items():
            pane.display = key == name
        pane = self._panes[name]
        pane.main.focus()
        pane.draw(ALL)
        self.call_after_refresh(self._draw_pane)
        self.draw_frame()

    def _draw_pane(self) -> None:
        if self.pane is not None:
            self.pane.draw(ALL)

    def _changed(self, topics: Topics) -> None:
        """The store has news."""
        if "settings" in topics:
            self._take_settings()
        pane = self.pane
        if pane is not None and topics & pane.TOPICS:
            pane.draw(topics)
        for screen in self.screen_stack:
            draw, shown = getattr(screen, "draw", None), getattr(screen, "topics", None)
            if draw is not None and shown and topics & shown:
                draw()
        if topics & {"hosts", "telemetry", "link", "settings"}:
            self.draw_frame()

    def _take_settings(self) -> None:
        settings = self.store.settings
        assert settings is not None
        wanted = self._theme_asked or settings.tui.theme
        self.watch_file(wanted)
        if wanted in self.themes:
            self.wear(wanted)
        else:
            self.warn(f"no theme {wanted}; there are: {', '.join(self.themes)}")
        self.warn(*self.bind_actions(settings.tui.keymap, settings.tui.keys))
        self.open_history(settings.paths.home)
        gc.collect()
        gc.freeze()

    def _tick(self) -> None:
        """Once a second: ages and the minute. What did not change is not painted."""
        if self.pane is not None and len(self.screen_stack) == 1:
            self.pane.tick()
        self.draw_frame()
        settings = self.store.settings
        self.watch_file(self._theme_asked or (settings.tui.theme if settings else self.theme))

    def draw_frame(self) -> None:
        """Header, banner and footer."""
        self._header.draw(self.store, self._crumbs())
        self._banner.draw(self.store, time.monotonic() - self.store.link.since)
        self._footer.draw(self._hints())

    def _crumbs(self) -> tuple[str, ...]:
        found = [self.pane.id or ""] if self.pane is not None else []
        found += [screen.crumb for screen in self.screen_stack if getattr(screen, "crumb", "")]  # type: ignore[attr-defined]
        subject = self.subject
        if subject is not None and len(found) == 1:
            found.append(subject.name)
        return tuple(found)

    def _hints(self) -> list[Hint]:
        shown = self.pane.id if self.pane is not None else ""
        found = [Hint(self.key(f"pane.{p}"), p, f"pane('{p}')", active=p == shown) for p in PANES]
        found += [Hint(self.key(name), name, name) for name in ("help", "palette")]
        last = [Hint(self.key(name), name, name) for name in ("command", "filter", "quit")]
        return [*found, *self.action_hints(), *last]

    def tell(self, text: str, pen: str = "ok") -> None:
        """A sentence in the bottom row, for a few seconds."""
        line: Line = ((pen, f" {text}"),)
        self._told += 1
        told = self._told
        self._footer.notice(line)
        self.set_timer(_NOTICE_S, lambda: self._footer.notice(None) if told == self._told else None)

    def warn(self, *notices: str) -> None:
        """Something to look at: told now, and kept for `:notices`."""
        self.notices += notices
        if self.notices and (notices or not self._told):
            count = len(self.notices)
            more = f" ({count} in all, :notices shows them)" if count > 1 else ""
            self.tell(f"{(notices or self.notices)[0]}{more}", "warn")

    def copy(self, text: str) -> None:
        """Into the clipboard of the terminal, through any number of ssh hops (OSC 52)."""
        self.copy_to_clipboard(text)
        self.tell("copied")

    def on_resize(self, event: Resize) -> None:
        """Another size."""
        self.call_after_refresh(self.draw_frame)

    def on_rows_moved(self) -> None:
        """Another thing is selected."""
        self.draw_frame()

    def on_descendant_focus(self) -> None:
        """Another box."""
        self.draw_frame()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where one types, or reads, the keys that open a line are what they are there."""
        if action not in ("palette", "command", "filter"):
            return True
        return self._line is None and len(self.screen_stack) == 1

    # The two lines that open at the bottom

    async def open_line(self, line: CommandLine | FilterLine) -> None:
        """Type at the bottom, instead of the footer."""
        await self.close_line()
        self._line = line
        self._footer.display = False
        await self.screen.mount(line)
        # At once, not in a while: the next keys may be waiting already.
        self.screen.set_focus(line.input)

    async def close_line(self) -> None:
        """Back to the footer, and to where one was."""
        line, self._line = self._line, None
        if line is None:
            return
        await line.remove()
        self._footer.display = True
        if self.pane is not None:
            self.pane.main.focus()

    def action_theme(self, name: str) -> None:
        """Draw in another theme."""
        if name in self.themes:
            self._theme_asked = name
            self.keep()
            self.wear(name)
            self._draw_pane()
        else:
            self.tell(f"no theme {name}; there are: {', '.join(self.themes)}", "warn")

    def fail(self, title: str, error: SparkplugError) -> None:
        """Show what went wrong and the way out."""
        from sparkplug.tui.dialogs.notes import error_note

        self.push_screen(error_note(title, error))


def _make(name: str) -> Pane:
    if name == "hosts":
        from sparkplug.tui.panes.hosts import HostsPane

        return HostsPane()
    if name == "agents":
        from sparkplug.tui.panes.agents import AgentsPane

        return AgentsPane()
    return Overview()
