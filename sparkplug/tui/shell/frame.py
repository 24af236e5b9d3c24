"""What is round the pane: header, banner and footer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.worker import Worker

from sparkplug.tui.commands import PANES
from sparkplug.tui.shell.part import Part
from sparkplug.tui.widgets.footer import Footer, Hint
from sparkplug.tui.widgets.header import Banner, Header, Hints

if TYPE_CHECKING:
    from sparkplug.actions.action import Subject

#: What stands at the end of the footer, and when it leaves where there is little room.
_LAST = {"command": 5, "filter": 5, "quit": 7}


class Frame(Part):
    """Where one stands, and what the keys do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._header = Header(id="header")
        self._banner = Banner(id="banner")
        self._footer = Footer(id="footer")
        self._hints: Sequence[Hint] = ()
        #: What the hints were made for.
        self._hinted: tuple[object, ...] = ()
        super().__init__(*args, **kwargs)

    @property
    def footer(self) -> Footer:
        """The bottom row."""
        return self._footer

    def show_footer(self, shown: bool) -> None:
        """Show the footer, or leave its row to what one types in."""
        self._footer.display = shown

    def draw_frame(self) -> None:
        """Header, banner and footer."""
        self._centre.drop_lost_line()
        self.draw_head()
        self.draw_hints()
        self._centre.place_toasts()

    def draw_head(self) -> None:
        """Header and banner."""
        app = self._centre
        store = app.store
        over = app.screen_stack[1:]
        hints: Hints = ()
        if over and getattr(over[-1], "reads", False):
            keys = ("help", "help", "help"), ("dialog.back", "back", "screen.close")
            hints = tuple((app.key(name), does, action) for name, does, action in keys)
        self._header.draw(store, app.crumbs(), alone=bool(over), hints=hints)
        self._banner.draw(store, time.monotonic() - store.link.since)

    def draw_hints(self) -> None:
        """The footer. Its hints are made anew only for another pane, selection or keymap."""
        app = self._centre
        subject = app.subject
        shown = app.pane.id if app.pane is not None else ""
        made_for = (shown, _apart_from_figures(subject), app.action_keys, app.store.plans)
        if len(self._hinted) != len(made_for) or any(
            one is not other and one != other
            for one, other in zip(made_for, self._hinted, strict=True)
        ):
            self._hinted = made_for
            self._hints = self._make_hints(shown or "")
        self._footer.draw(self._hints)

    def click_header(self, x: int) -> None:
        """Do what is written in the header at a column."""
        action = self._header.action_at(x)
        if action:
            app = self._centre
            _: Worker[bool] = app.run_worker(
                partial(app.run_action, action), group="header", exclusive=True
            )

    def _make_hints(self, shown: str) -> list[Hint]:
        app = self._centre
        found = [
            Hint(app.key(f"pane.{p}"), p, f"pane('{p}')", active=p == shown, known=True)
            for p in PANES
        ]
        found += [Hint(app.key(name), name, name) for name in ("help", "palette")]
        last = [Hint(app.key(n), n, n, rank=r) for n, r in _LAST.items()]
        # What has no key is not hinted at, but a pane can be clicked all the same.
        hints = [*found, *app.action_hints(), *last]
        return [hint for hint in hints if hint.key or hint.known]


def _apart_from_figures(subject: Subject | None) -> object:
    """What is selected, without what is measured of it every second: no action asks for that."""
    if subject is None or subject.kind != "host" or subject.value is None:
        return subject
    return subject.kind, subject.name, subject.value.state, subject.value.order
