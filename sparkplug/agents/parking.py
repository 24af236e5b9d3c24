"""A request that waits for a person: it ends, and is made again with the answer."""

from __future__ import annotations

from collections.abc import Sequence

from sparkplug.schema.question import Draft


class Parked(BaseException):
    """Ends the request that needs a person; the agent's code lets it pass.

    No Exception, as no cancellation is one: `except Exception` in an agent's code does not take
    it for a failure.
    """

    def __init__(self, drafts: Sequence[Draft], *, request: str = "", thread: str = "") -> None:
        super().__init__("; ".join(draft.text for draft in drafts))
        self.drafts = list(drafts)
        #: The same for each time the request is made, where the runtime knows; else it is new.
        self.request = request
        #: The thread to go on with, where the runtime chose one.
        self.thread = thread


def parked(error: BaseException) -> Parked | None:
    """The Parked that an exception is, or carries: that of every task group's members."""
    if isinstance(error, Parked):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    found = [one for one in map(parked, error.exceptions) if one is not None]
    if not found:
        return None
    drafts = {draft.slot: draft for one in found for draft in one.drafts}
    return Parked(list(drafts.values()), request=found[0].request, thread=found[0].thread)
