"""Getting about: out with escape, back and ahead through the places visited, by the breadcrumbs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from textual.worker import Worker

from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.filter import EVERYTHING
from sparkplug.tui.places import Opened, Place, Trail
from sparkplug.tui.shell.part import Part
from sparkplug.tui.shell.reading import describing
from sparkplug.tui.widgets.header import Crumb
from sparkplug.tui.widgets.listing import Listing

#: What a page is called in the breadcrumbs, behind the thing it is about.
_WORDS = {"previous": "logs before"}


class Going(Part):
    """Where one stands, and the ways from there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.trail = Trail()
        #: The way one is on, until one has arrived.
        self._way: object = None
        super().__init__(*args, **kwargs)

    @property
    def opened(self) -> Opened | None:
        """What is open over the pane, and can be come back to."""
        found = (getattr(screen, "opened", None) for screen in reversed(self._centre.screen_stack))
        return next((opened for opened in found if opened is not None), None)

    @property
    def place(self) -> Place | None:
        """Where one stands."""
        pane = self._centre.pane
        if pane is None or pane.id is None:
            return None
        return Place(pane.id, *pane.stand(), self.opened)

    def note_place(self) -> None:
        """Take where one stands into the trail."""
        place = self.place
        if place is not None and self._way is None:
            self.trail.note(place)
            self._centre.keep_state()

    def action_history(self, by: int) -> None:
        """Go back (less than 0) or ahead through the places visited."""
        self.note_place()
        place = self.trail.step(by)
        if place is None:
            way = "earlier" if by < 0 else "later"
            self._centre.tell(f"there is no {way} place", "dim")
        else:
            self.go(place)

    def go(self, place: Place) -> None:
        """Stand there: its pane, its row, its filter, what was open over it."""
        # Not where this was asked for: that may be a dialog, which cannot wait for its own end.
        self._way = way = object()
        _: Worker[None] = self._centre.run_worker(
            partial(self._go, place, way), group="going", exclusive=True
        )

    async def _go(self, place: Place, way: object) -> None:
        app = self._centre
        try:
            self.close_dialogs()
            await app.show_pane(place.pane)
            if app.pane is not None:
                app.pane.go_to(place.box, place.row, place.filter)
            if place.opened is not None:
                app.open_thing(place.opened)
        finally:
            if self._way is way:
                self._way = None
        self.note_place()
        app.draw_frame()

    async def show_first(self, pane: str) -> None:
        """Begin on a pane: it is where the trail begins."""
        if self.trail.still:
            self.trail.clear()
            await self._centre.show_pane(pane)
            self.note_place()

    def close_dialogs(self) -> None:
        """Close all that is open over the pane."""
        app = self._centre
        while isinstance(app.screen, Dialog):
            app.screen.dismiss(None)

    async def action_back(self) -> None:
        """One step out: of selected text, the marks, the box, the filter, the pane."""
        app = self._centre
        pane = app.pane
        if pane is None or app.drop_selection() or pane.leave():
            return
        focused, main = app.focused, pane.main
        listing = focused if isinstance(focused, Listing) else main
        if listing.leave():
            return
        if isinstance(focused, Listing) and focused.wanted.text:
            focused.wanted = EVERYTHING
        elif focused is not main:
            app.focus_now(main)
        elif main.wanted.text:
            main.wanted = EVERYTHING
        elif pane.id != "overview":
            await app.action_pane("overview")

    # The breadcrumbs

    def crumbs(self) -> tuple[Crumb, ...]:
        """The pane, the thing in it, and what of that is open; each leads to where it says."""
        app = self._centre
        if app.pane is None:
            return ()
        opened = self.opened
        words = [screen.crumb for screen in app.screen_stack if getattr(screen, "crumb", "")]  # type: ignore[attr-defined]
        found = [Crumb(app.pane.id or "", "crumb('pane')")]
        if opened is not None:
            what = opened.what
            found.append(Crumb(opened.name, "crumb('thing')"))
            found.append(Crumb(_WORDS.get(what, what), ""))
        elif words:
            found += [Crumb(word, "") for word in words]
        else:
            subject = app.subject
            if subject is not None:
                # As it is written everywhere else; all of an id takes half of a narrow header.
                name = subject.name[:8] if subject.kind == "memory" else subject.name
                found.append(Crumb(name, "crumb('thing')"))
        return tuple(found)

    def action_crumb(self, which: str) -> None:
        """Go where a breadcrumb leads: the pane with nothing open, or all about the thing."""
        app = self._centre
        self.note_place()
        place = self.place
        if place is None:
            return
        if which == "pane":
            self.go(replace(place.below, box=""))
            return
        opened, subject = self.opened, app.subject
        if opened is None and subject is not None:
            app.open_thing(describing(subject))
        elif opened is not None and opened.kind in ("agent", "host") and opened.what != "describe":
            what: Any = "describe" if opened.kind == "agent" else "processes"
            self.go(replace(place, opened=Opened(what, opened.kind, opened.name)))
