"""Who may still wait for an answer of the memory's process, should it end without a word."""

from __future__ import annotations

from collections import OrderedDict, deque

#: Of each subject, so of each verb of each caller, the last so many.
_MOST_OF_ONE = 1024
_MOST_SUBJECTS = 256


class Asked:
    """Where answers are to go, the last of each verb of each caller.

    Which of them were answered nobody knows here. So one flood of questions that are answered at
    once must not make forgotten what takes long, or what another asked.
    """

    def __init__(self) -> None:
        self._by_subject: OrderedDict[str, deque[str]] = OrderedDict()

    def note(self, subject: str, reply: str) -> None:
        """An answer to what was asked on `subject` is to go to `reply`."""
        found = self._by_subject.get(subject)
        if found is None:
            found = self._by_subject[subject] = deque(maxlen=_MOST_OF_ONE)
            if len(self._by_subject) > _MOST_SUBJECTS:
                self._by_subject.popitem(last=False)
        self._by_subject.move_to_end(subject)
        found.append(reply)

    def take(self) -> list[str]:
        """All of them, which are forgotten by that."""
        taken, self._by_subject = self._by_subject, OrderedDict()
        return [reply for replies in taken.values() for reply in replies]
