"""The lists of the Memory pane that are asked for by words, and the review of a proposal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.worker import Worker

from sparkplug.tui.shell.part import Part

if TYPE_CHECKING:
    from sparkplug.actions.registry import Action
    from sparkplug.schema.memory_pruning import Proposal
    from sparkplug.tui.panes.memory import MemoryPane


class Reviewing(Part):
    """The part of the app that shows what memories went through. Mixed into it."""

    def opens_review(self, action: Action, given: dict[str, Any]) -> bool:
        """Show the list of an action that has one, or ask about a pair; False when it has none."""
        app = self._centre
        work: Any = None
        if action.id in ("memory.timeline", "memory.proposals"):
            work = partial(self._show_review, action, dict(given))
        elif action.id == "memory.accept" and given.get("proposal") and not given.get("keep"):
            work = partial(
                self._review, action, str(given["proposal"]), str(given.get("why") or "")
            )
        if work is None:
            return False
        _: Worker[None] = app.run_worker(work, group="review", exclusive=True)
        return True

    async def _show_review(self, action: Action, given: dict[str, Any]) -> None:
        app = self._centre
        async with app.telling(action.title):
            asked = {name: value for name, value in given.items() if value not in (None, "", ())}
            if action.id == "memory.timeline":
                from sparkplug.actions.memory_review import timeline_request

                timeline_request(**asked)  # what is wrong with it is told here
            await app.action_pane("memory")
            pane = cast("MemoryPane", app.pane)
            if action.id == "memory.timeline":
                pane.show_timeline(asked)
            else:
                pane.show_proposals(decided=bool(asked.get("decided")))

    async def _review(self, action: Action, name: str, why: str) -> None:
        """Show both sides and ask what is to become of them."""
        from sparkplug.actions.registry import refuse_if_readonly
        from sparkplug.client import memory
        from sparkplug.schema.errors import InvalidError
        from sparkplug.tui.dialogs.decision import Answer, Decision
        from sparkplug.tui.panes.memory_pair_lines import pair_lines

        app = self._centre
        async with app.telling(action.title):
            refuse_if_readonly(action, readonly=app.readonly)
            pair = self._selected_pair(name)
            if pair is None or pair.keep is None:
                raise InvalidError(
                    f"{name[:60]} is not among the proposals that are shown",
                    hint="`memory proposals` shows them; or say which one stays with --keep",
                )
            found = pair
            answers = (
                Answer("y", "keep the left one", pair.keep.id),
                Answer("o", "the other one", found.drop.id),
                Answer("b", "both", "both"),
                Answer("n", "decide nothing", ""),
            )
            layout = lambda width: pair_lines(found, width)  # noqa: E731
            answer = await app.push_screen_wait(Decision("which one stays?", layout, answers))
            if not answer:
                return
            if answer == "both":
                reply = await memory.settle(app.client, found.id, "both", why=why)
                app.tell(f"{found.id}: both are kept, and it is not proposed again", "ok")
            else:
                reply = await memory.settle(app.client, found.id, "merge", keep=answer, why=why)
                told = f"{answer[:8]} stays; the other can be had back for seven days"
                app.tell(f"{found.id}: {told}", "ok")
            self.tell_settled(reply.proposal.id)

    def _selected_pair(self, name: str) -> Proposal | None:
        subject = self._centre.subject
        if subject is not None and subject.kind == "proposal" and subject.name == name:
            return cast("Proposal", subject.value)
        return None

    def tell_settled(self, pair: str) -> None:
        """A pair was decided about, or that was taken back: the pane shows it no longer."""
        pane = self._centre.pane
        if pane is not None and pane.id == "memory":
            cast("MemoryPane", pane).settled(pair)
