"""The final answer of a crew's last task, told as it is made.

CrewAI has its agents think in words before they answer; what comes after its own mark is the
answer. Before the mark nothing is told, and an answer without one is told once it is whole.
"""

from __future__ import annotations

_MARK = "Final Answer:"


class Final:
    """The stream of one request."""

    def __init__(self) -> None:
        self._heard = ""
        self._told = ""
        self._broken = False

    def take(self, chunk: str) -> str:
        """A piece that a model made; what of the answer is new in it."""
        self._heard += chunk
        _, mark, answer = self._heard.partition(_MARK)
        if not mark:
            return ""
        # White space is held back: at the end of an answer it does not belong to it.
        answer = answer.strip()
        if answer.endswith("`"):
            answer = answer.rstrip("`").rstrip()
        if not answer.startswith(self._told):
            return ""
        new, self._told = answer[len(self._told) :], answer
        return new

    def begin_again(self) -> None:
        """A model is asked anew."""
        self._heard = ""

    def rest(self, whole: str) -> str:
        """What is still to be told once the answer is whole."""
        if not self._told:
            return whole
        if whole.startswith(self._told):
            return whole[len(self._told) :]
        # It is another: a check has turned the first one down.
        return f"\n\n{whole}"
