"""A conversation that stays within what its model takes, and keeps its facts.

What does not fit any more is not cut off: the model writes down what was said so far, and goes
on from that. Where it cannot, the oldest messages go, and the first of them stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from sparkplug.llm.chat import ChatModel
from sparkplug.llm.counting import estimate
from sparkplug.llm.errors import ContextLengthError, NoModelError
from sparkplug.llm.port import Answer, Message, as_messages

#: Tokens a conversation may have where the model does not say what it takes.
_DEFAULT_CONTEXT = 8192
#: The share of the context that is the conversation's; the rest is for the answer.
_SHARE = 0.75
#: Messages that stay word for word.
_KEEP = 6
_SUMMARY_SYSTEM = (
    "You keep the memory of a conversation. Write down every fact, name, figure, decision and "
    "open question in it, in short lines, leaving nothing out that may be asked for later. "
    "Add nothing that was not said."
)
_SUMMARY_HEAD = "What was said before, in short:\n"


def trim(messages: Sequence[Message], most: int) -> tuple[Message, ...]:
    """The newest messages of at most `most` tokens (estimated); system messages always stay.

    No result of a tool is kept without the call it answers.
    """
    fixed = [message for message in messages if message.role == "system"]
    room = most - estimate(fixed)
    kept: list[Message] = []
    for message in reversed([m for m in messages if m.role != "system"]):
        room -= estimate([message])
        if room < 0 and kept:
            break
        kept.insert(0, message)
    while kept and kept[0].role == "tool":
        kept.pop(0)
    return (*fixed, *kept)


class Conversation:
    """Turns with one model. `most` in tokens; None: three quarters of what the model takes."""

    def __init__(
        self,
        model: ChatModel,
        *,
        system: str = "",
        most: int | None = None,
        messages: Sequence[Message] = (),
    ) -> None:
        self._model = model
        self._system = system
        self._most = most
        #: What was said before the messages, in short; empty while all of it is there.
        self.summary = ""
        self.messages: list[Message] = list(messages)

    async def answer(self, text: str, **options: Any) -> Answer:
        """Say something and return the whole answer; `options` as of `ChatModel.answer`."""
        asked = await self._asked(text)
        found = await self._model.answer(asked, **options)
        self._note(text, found.text)
        return found

    async def stream(self, text: str, **options: Any) -> AsyncGenerator[str, None]:
        """Say something and yield the answer in pieces; it is kept once it is whole."""
        asked = await self._asked(text)
        parts: list[str] = []
        async with contextlib.aclosing(self._model.stream(asked, **options)) as pieces:
            async for piece in pieces:
                parts.append(piece)
                yield piece
        self._note(text, "".join(parts))

    def _note(self, text: str, answer: str) -> None:
        self.messages += [Message("user", text), Message("assistant", answer)]

    def _whole(self, text: str) -> tuple[Message, ...]:
        system = self._system
        if self.summary:
            system = f"{system}\n\n{_SUMMARY_HEAD}{self.summary}".strip()
        return as_messages((*self.messages, Message("user", text)), system)

    async def _asked(self, text: str) -> tuple[Message, ...]:
        """What is sent: all of it, or with its beginning in short."""
        view = await self._model.view()
        most = self._most or int((view.context or _DEFAULT_CONTEXT) * _SHARE)
        asked = self._whole(text)
        if estimate(asked) * 2 < most:  # far from it: no need to count
            return asked
        if (await self._model.count(asked)).number <= most:
            return asked
        await self._shorten(most)
        asked = self._whole(text)
        if (await self._model.count(asked)).number <= most:
            return asked
        fitting = trim(asked, most)
        if (await self._model.count(fitting)).number > most:
            told = f"this message alone is more than the {most} tokens there is room for"
            raise ContextLengthError(told)
        return fitting

    async def _shorten(self, most: int) -> None:
        """Put all but the last messages into the summary."""
        keep = _KEEP
        while keep > 2 and estimate(self.messages[-keep:]) * 2 > most:
            keep -= 2
        old, new = self.messages[:-keep], self.messages[-keep:]
        if not old:
            return
        said = "\n".join(f"{message.role}: {message.content}" for message in old)
        if self.summary:
            said = f"{_SUMMARY_HEAD}{self.summary}\n\nThen:\n{said}"
        try:
            found = await self._model.answer(said, system=_SUMMARY_SYSTEM, max_tokens=most // 3)
        except NoModelError:
            # Better the beginning word for word than nothing: what fits is sent.
            return
        if found.text.strip():
            self.summary, self.messages = found.text.strip(), new
