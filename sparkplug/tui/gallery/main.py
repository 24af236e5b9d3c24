"""The gallery: a list of widgets, and the one chosen beside it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from sparkplug.schema.errors import InvalidError
from sparkplug.tui.gallery import pages
from sparkplug.tui.help import key_name
from sparkplug.tui.looks import Looks
from sparkplug.tui.screen.writer import PaintedApp
from sparkplug.tui.themes import DEFAULT, Look, Terminal, find_terminal, first_look, load_themes
from sparkplug.tui.widgets.footer import Footer, Hint
from sparkplug.tui.widgets.lines import OneLine
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.log_view.box import LogBox
from sparkplug.tui.widgets.rows import Row, Rows
from sparkplug.tui.widgets.tree import Tree


class Gallery(Looks, PaintedApp):
    """Every widget on a page of its own."""

    ENABLE_COMMAND_PALETTE = False
    CSS_PATH: ClassVar[list[str | PurePath]] = [
        Path(__file__).parents[1] / "style.tcss",
        Path(__file__).with_name("gallery.tcss"),
    ]
    TITLE = "SparkPlug gallery"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "next box", id="gallery.next"),
        Binding("shift+tab", "app.focus_previous", "box before", id="gallery.previous"),
        Binding("f3", "theme", "next theme", id="gallery.theme"),
        Binding("escape", "names", "back to the list", id="gallery.back"),
        Binding("q", "quit", "quit", id="gallery.quit"),
    ]

    def __init__(
        self,
        themes: Mapping[str, Look],
        *,
        theme: str = DEFAULT,
        page: str | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        super().__init__(themes=themes, terminal=terminal or Terminal())
        self.animation_level = "none"
        self.theme = theme if theme in themes else DEFAULT
        self.set_class(not self.look.color, "-colorless")
        self._first = page
        self._names = Rows("gallery", id="gallery-names")
        self._area = Container(id="gallery-area")
        self._about = OneLine(id="gallery-about")
        self._keys = Footer(id="gallery-keys")
        self.shown = ""

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours of the default theme, for what is painted before ours is set."""
        return dict(self.themes[DEFAULT].variables) if hasattr(self, "themes") else {}

    def compose(self) -> ComposeResult:
        """Names, the page, what it is, its keys."""
        yield self._about
        yield self._names
        yield self._area
        yield self._keys

    async def on_mount(self) -> None:
        """Show the page asked for, or the first."""
        self._names.set_rows([Row(name, (("text", name),), name) for name in pages.NAMES])
        self._names.focus()
        await self.show(self._first or pages.NAMES[0])

    async def show(self, name: str) -> None:
        """Show the page of a widget."""
        if name == self.shown:
            return
        self.shown = name
        self._names.select(name)
        await self._area.remove_children()
        await self._area.mount(pages.make(name))
        self._about.set_line((("title", f" {name} "), ("dim", f" {pages.about(name)}")))

    async def on_listing_moved(self, event: Listing.Moved) -> None:
        """Another name."""
        if event.listing is self._names and self._names.row is not None:
            await self.show(self._names.row.key)

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Enter: into the page."""
        if event.listing is self._names:
            self.screen.focus_next("#gallery-area *")

    def on_tree_copied(self, event: Tree.Copied) -> None:
        """A value or a path of the tree."""
        self.copy(event.text)

    def on_descendant_focus(self) -> None:
        """Another box."""
        self._keys.notice(None)
        self.draw_frame()

    def note_place(self) -> None:
        """No place is come back to."""

    def draw_frame(self) -> None:
        """The keys of the box one is in, as far as they fit, then those of the gallery."""
        mine = (self.focused, self)
        hints: list[Hint] = []
        told: set[str] = set()
        for found in sorted(self.screen.active_bindings.values(), key=lambda a: a.node is self):
            binding, what = found.binding, found.binding.description
            # What Textual binds, its way out and keys of an input, stands beside ours in no row.
            if found.node in mine and what and what not in told and binding.id:
                told.add(what)
                always = found.node is self and binding.id != "gallery.previous"
                rank = 0 if always else len(hints) + 1
                hints.append(
                    Hint(key_name(binding.key), what, f"press({binding.key!r})", rank=rank)
                )
        self._keys.draw(hints)

    def action_press(self, key: str) -> None:
        """A click on a hint is its key."""
        self.simulate_key(key)

    def tell(self, text: str, pen: str = "ok") -> None:
        """A sentence in the bottom row, until another box is gone to."""
        self._keys.notice(((pen, f" {text}"),))

    def action_names(self) -> None:
        """To the list; out of what one is in first."""
        box = self._area.query(LogBox)
        if (box and box.first().escape()) or self.drop_selection():
            return
        self._names.focus()

    def action_theme(self) -> None:
        """Draw in the next theme."""
        names = list(self.themes)
        self.wear(names[(names.index(self.theme) + 1) % len(names)])


def main(arguments: argparse.Namespace) -> int:
    """Open the gallery on this terminal; its exit code when it is left."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise InvalidError("the gallery needs a terminal")
    name = arguments.page
    if name is not None and name not in pages.NAMES:
        raise InvalidError(f"no page {name}", hint=f"there are: {', '.join(pages.NAMES)}")
    themes, _ = load_themes()
    first, mouse = first_look(os.environ)
    theme = getattr(arguments, "theme", None) or first
    terminal = find_terminal(encoding=sys.stdout.encoding or "ascii")
    app = Gallery(themes, theme=theme, page=name, terminal=terminal)
    return app.run(mouse=mouse) or app.return_code or 0
