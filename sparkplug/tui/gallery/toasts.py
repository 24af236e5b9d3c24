"""Notices in the corner."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widget import Widget

from sparkplug.tui.widgets.page import Page
from sparkplug.tui.widgets.toasts import Toast, Toasts

ABOUT = "Notices in a corner, over whatever is there; the newest three, a click takes one away."

_TOLD = (
    Toast("critic: restarted"),
    Toast("scribe: no GPU is free on any host that it may run on", "warn"),
    Toast("indexer: killed by the kernel, it had no memory left; restart 3 of 5", "bad", "l logs"),
)


class _Page(Page):
    """A page over which one can tell more."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "tell", "tell one more", id="toasts.tell"),
    ]

    def action_tell(self) -> None:
        """One more."""
        toasts = self.screen.query_one(Toasts)
        count = len(toasts.toasts)
        toasts.set_toasts([*toasts.toasts, _TOLD[count % len(_TOLD)]])


class _Told(Container):
    """A page with notices over it."""

    def compose(self) -> ComposeResult:
        """The page, and what is told."""
        page = _Page("page")
        page.show_text("What is below stays as it is.\n" * 60)
        yield page
        yield Toasts(_TOLD)

    def on_toasts_dismissed(self, event: Toasts.Dismissed) -> None:
        """A click takes it away."""
        toasts = self.query_one(Toasts)
        toasts.set_toasts([toast for toast in toasts.toasts if toast is not event.toast])


def make() -> Widget:
    """Three notices of three kinds."""
    return _Told()
