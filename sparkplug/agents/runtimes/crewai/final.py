"""The final answer of a crew's last task, told as it is made.

An agent without tools answers with nothing but its answer, and that is told as it comes. Where
it thinks in CrewAI's words before (`Thought: …`), or may call tools, the answer is what comes
after CrewAI's own mark; one without the mark is told once it is whole.
"""

from __future__ import annotations

import re

_MARK = "Final Answer:"
#: What CrewAI has agents begin with that think in words, in a fence or not.
_THINKING = (_MARK, "Thought:", "Action:")
_FENCE = re.compile(r"```\w*\s*")


class Final:
    """The stream of one request."""

    def __init__(self) -> None:
        self._heard = ""
        self._told = ""
        self._plain = False

    def begin(self, *, plain: bool) -> None:
        """A model is asked; `plain`: what it says is the answer, unless it begins to think."""
        self._heard, self._plain = "", plain

    def take(self, chunk: str) -> str:
        """A piece that a model made; what of the answer is new in it."""
        self._heard += chunk
        _, mark, answer = self._heard.partition(_MARK)
        if not mark:
            if not self._plain or _may_think(self._heard):
                return ""
            answer = self._heard
        # White space is held back: at the end of an answer it does not belong to it.
        answer = answer.strip()
        if mark and answer.endswith("`"):
            answer = answer.rstrip("`").rstrip()
        if not answer.startswith(self._told):
            return ""
        new, self._told = answer[len(self._told) :], answer
        return new

    def rest(self, whole: str) -> str:
        """What is still to be told once the answer is whole."""
        if not self._told:
            return whole
        whole = whole.strip()
        if whole.startswith(self._told):
            return whole[len(self._told) :]
        # It is another: a check has turned the first one down.
        return f"\n\n{whole}"


def _may_think(text: str) -> bool:
    """Whether what was said so far can be the beginning of a thought."""
    begun = _FENCE.sub("", text.lstrip(), count=1)
    return any(begun.startswith(word) or word.startswith(begun) for word in (*_THINKING, "```"))
