"""What is told: in the footer's row, or in a corner when that is taken; and kept to be read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.shell.part import Part
from sparkplug.tui.widgets.toasts import Toast, Toasts, symbol_of

if TYPE_CHECKING:
    from textual.timer import Timer

#: Seconds a notice stands, and one of something that failed.
_STANDS_S = 6.0
_BAD_STANDS_S = 12.0
#: Notices kept for `:notices`, and of those in the corner.
_KEPT = 200
_MOST = 20
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Told:
    """A notice that was told, and when."""

    text: str
    pen: str
    at: datetime = field(default_factory=datetime.now)


class Notices(Part):
    """`tell` is the call; where a sentence goes depends on where there is room for it."""

    def __init__(self, *args: Any, notices: tuple[str, ...] = (), **kwargs: Any) -> None:
        #: What is to be looked at, as it was told.
        self.notices = list(notices)
        #: All that was told, the newest last; `:notices` shows it.
        self.told: deque[Told] = deque((Told(text, "warn") for text in notices), _KEPT)
        self._standing: list[tuple[Toast, float]] = []
        self._corner: Toasts | None = None
        self._timer: Timer | None = None
        self._footer_until = 0.0
        self._footer_pen = ""
        self._footer_told = 0
        self._count = 0
        super().__init__(*args, **kwargs)

    def tell(self, text: str, pen: str = "ok", hint: str = "") -> None:
        """A sentence, for a few seconds: `ok`, `warn`, `bad`, or `dim` of what is under way.

        `hint` names a key that does something about it.
        """
        if pen != "dim":
            self.told.append(Told(text, pen))
        self._announce(text, pen, hint)

    def warn(self, *notices: str) -> None:
        """Something to look at: told now, and kept for `:notices`."""
        self.notices += notices
        self.told.extend(Told(text, "warn") for text in notices)
        if self.notices and (notices or not self._count):
            count = len(self.notices)
            more = f" ({count} in all, :notices shows them)" if count > 1 else ""
            self._announce(f"{(notices or self.notices)[0]}{more}", "warn", "")

    def _announce(self, text: str, pen: str, hint: str) -> None:
        self._count += 1
        if not hint and self._fits_footer(text, pen):
            self._in_footer(text, pen)
        elif pen != "dim":
            stands = _BAD_STANDS_S if pen == "bad" else _STANDS_S
            self._standing.append((Toast(text, pen, hint), time.monotonic() + stands))
            del self._standing[:-_MOST]
            self.place_toasts()

    def _fits_footer(self, text: str, pen: str) -> bool:
        """Whether the footer is in sight, free, and wide enough."""
        app = self._centre
        taken = time.monotonic() < self._footer_until and self._footer_pen not in ("dim", "")
        free = not taken and not self._standing
        seen = len(app.screen_stack) <= 1 and app.footer.display
        return seen and free and cell_len(text[:_LONGEST]) < max(1, app.footer.size.width)

    def _in_footer(self, text: str, pen: str) -> None:
        app = self._centre
        line: Line = ((pen, f" {text}"),)
        app.footer.notice(line)
        self._footer_until, self._footer_pen = time.monotonic() + _STANDS_S, pen
        told = self._count
        self._footer_told = told
        app.set_timer(
            _STANDS_S, lambda: app.footer.notice(None) if told == self._footer_told else None
        )

    def untell(self) -> None:
        """What was told to be under way is so no longer: the footer has its keys again."""
        if self._footer_pen == "dim":
            self._footer_until, self._footer_pen = 0.0, ""
            self._centre.footer.notice(None)

    # The corner

    @property
    def standing(self) -> Sequence[Toast]:
        """The notices in the corner, the newest last."""
        return [toast for toast, _ in self._standing]

    def place_toasts(self) -> None:
        """Show what stands over the screen one is in; nothing runs when nothing does."""
        app = self._centre
        if not self._standing and self._corner is None:
            return
        if not app.is_running or not app.screen_stack:
            return  # it is being left
        now = time.monotonic()
        self._standing = [(toast, until) for toast, until in self._standing if until > now]
        corner = self._corner
        if corner is not None and (not self._standing or corner.parent is not app.screen):
            if corner.is_attached:
                corner.remove()
            self._corner = corner = None
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self._standing:
            return
        if corner is None:
            self._corner = Toasts(self.standing, app.line_rows)
            app.screen.mount(self._corner)
        else:
            corner.set_toasts(self.standing, app.line_rows)
        next_ = min(until for _, until in self._standing)
        self._timer = app.set_timer(max(0.05, next_ - now), self.place_toasts)

    def on_toasts_dismissed(self, event: Toasts.Dismissed) -> None:
        """A click on one takes it away."""
        self._standing = [pair for pair in self._standing if pair[0] is not event.toast]
        self.place_toasts()

    def action_notices(self) -> None:
        """Everything that was told since this was opened, the newest first."""
        from sparkplug.tui.dialogs.notes import Note

        told = list(reversed(self.told))
        # All of it is read there: what stands in the corner would only hide some.
        self._standing = []
        self.place_toasts()

        def layout(width: int) -> list[Line]:
            lines: list[Line] = []
            for one in told:
                rows = wrap(one_line(one.text[:_LONGEST]), max(10, width - 11))
                head: Line = (("dim", f"{one.at:%H:%M:%S} "), (one.pen, f"{symbol_of(one.pen)} "))
                lines.append((*head, ("text", rows[0])))
                lines += [(("text", f"{'':11}{row}"),) for row in rows[1:]]
            return lines

        self._centre.push_screen(Note("notices", layout))
