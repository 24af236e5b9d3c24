"""A decision that a person is asked to settle: its options, how they stood, and why who voted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical

from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, fit
from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.rows import Row, Rows

if TYPE_CHECKING:
    from sparkplug.schema.decision import DecisionView

_NAME = 24


class Settle(Dialog[str]):
    """Enter on an option settles it so; escape leaves it open."""

    crumb = "decision"

    def __init__(self, decision: DecisionView) -> None:
        super().__init__(classes="choosing")
        self._decision = decision
        self._rows = Rows(one_line(decision.proposal.question)[:60])

    def compose(self) -> ComposeResult:
        """The options."""
        with Vertical():
            yield self._rows

    def on_mount(self) -> None:
        """Those that stood best first."""
        decision = self._decision
        last = decision.tallies[-1] if decision.tallies else None
        weights = last.weights if last is not None else {}
        votes = [vote for vote in decision.votes if vote.round == decision.round]
        options = sorted(decision.proposal.options, key=lambda one: -weights.get(one, 0.0))
        rows = []
        for option in options:
            for_it = [vote for vote in votes if vote.option == option]
            who = ", ".join(
                f"{one_line(vote.by)}{f': {one_line(vote.why)}' if vote.why else ''}"
                for vote in for_it
            )
            line: Line = (
                ("text", fit(one_line(option), _NAME)),
                ("active", f" {weights.get(option, 0.0):g} "),
                ("dim", f" {who}"),
            )
            rows.append(Row(option, line, option))
        self._rows.set_rows(rows)
        self._rows.fit_rows()
        self._rows.focus()

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Enter, or a click."""
        event.stop()
        self.dismiss(event.row.key)
