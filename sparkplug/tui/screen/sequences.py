"""What a terminal sends, taken apart: keys, the mouse, pastes, and rubbish, which is nothing.

Textual 8.2 (`XTermParser`) types an escape sequence that it does not know as if it were keys, one
by one, also when it was pasted; it ends at numbers it cannot work with, and a paste that does not
end takes all keys there will be. So it is given whole sequences, one at a time, and no paste.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from textual._parser import ParseTimeout
from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.constants import ESCAPE_DELAY
from textual.events import Key, Paste
from textual.message import Message
from textual.messages import InBandWindowResize

_ESCAPE = "\x1b"
#: Control sequences (ECMA-48, 5.4), with what consoles of Linux, rxvt and X10 mice send beside it.
_CONTROL = re.compile(r"\x1b(?:\[\[[A-E]|\[\d\d?\$|\[M[^\x1b]{3}|\[(?![M[])[0-?]*[ -/]*[@-~])")
_FUNCTION = re.compile(r"\x1bO[0-9;]*[@-~]")
#: What a terminal answers, and nothing asked: strings of operating system, device, application.
_ANSWER = re.compile(r"\x1b(?:\]\d+;|P[\d>!+$=|]|_G)[^\x07\x1b]*(?:\x07|\x1b\\)")
#: One of these that something else begins in.
_BROKEN = re.compile(r"\x1b(?:[\[O][0-?]+|(?:\]\d+;|P[\d>!+$=|]|_G)[^\x07\x1b]*)")
#: The beginning of one of these, of which the rest has not come.
_BEGUN = re.compile(
    r"\x1b(?:|\[(?:\[|M[^\x1b]{0,2}|(?![M[])[0-?]*[ -/]*)|O[0-9;]*"
    r"|(?:\](?:\d+;?)?|P[\d>!+$=|]?|_G?)|(?:\]\d+;|P[\d>!+$=|]|_G)[^\x07\x1b]*\x1b?)\Z"
)
_RESIZED = re.compile(r"\x1b\[48;(\d+)[\d:]*;(\d+)[\d:]*;(\d+)[\d:]*;(\d+)[\d:]*t")
#: No key and no mouse sends more.
_LONGEST = 64
#: What is kept of a string that is read over.
_LONGEST_ANSWER = 1 << 16
#: Characters of a paste that are taken.
_MOST_PASTED = 1 << 24
#: The rest of what is more than the beginning of a key may be on a slow way.
_REST_S = 1.0


class Sequences(XTermParser):
    """Text of a terminal as events. `tick` is to be called while it is `open`."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._held = ""
        self._until: float | None = None
        self._pasted: list[str] | None = None
        self._room = _MOST_PASTED
        #: Whether the terminal tells its size in a sequence.
        self._tells_size = False

    @property
    def open(self) -> bool:
        """Whether what came last may be all of it, which time tells."""
        return self._until is not None

    def feed(self, data: str) -> Iterator[Message]:
        """The events that are in `data` and what was left before it; "": the terminal is gone."""
        if not data:
            yield from super().feed(data)
            return
        text, self._held, self._until = self._held + data, "", None
        at = 0
        while at < len(text):
            if self._pasted is not None:
                pasted, at = self._paste(text, at)
                if pasted is not None:
                    yield pasted
                continue
            escape = text.find(_ESCAPE, at)
            end = escape if escape >= 0 else len(text)
            if at < end:
                yield from self._taken(text[at:end])
            at = end
            if at < len(text):
                at, events = self._escape(text, at)
                yield from events

    def tick(self) -> Iterator[Message]:
        """What was begun and did not go on: a key, or nothing."""
        if self._until is None or time.monotonic() < self._until:
            return
        held, self._held, self._until = self._held, "", None
        if self._pasted is not None:
            # Its end was lost, and whoever presses escape to be out of it is to be.
            yield self._end_paste()
        elif held == _ESCAPE:
            yield Key("escape", _ESCAPE)
        elif len(held) == 2:
            yield from self._taken(held)

    def _escape(self, text: str, at: int) -> tuple[int, list[Message]]:
        """Where what begins at an escape ends, and its events."""
        found = _CONTROL.match(text, at) or _FUNCTION.match(text, at)
        if found is not None:
            whole = found.group()
            if whole == BRACKETED_PASTE_START:
                self._pasted, self._room = [], _MOST_PASTED
            elif whole != BRACKETED_PASTE_END and len(whole) <= _LONGEST:
                return found.end(), self._known(whole)
            return found.end(), []
        answer = _ANSWER.match(text, at)
        if answer is not None:
            return answer.end(), []
        if _BEGUN.match(text, at):
            self._hold(text[at:])
            return len(text), []
        after = text[at + 1 : at + 2]
        if after == _ESCAPE:
            return at + 1, [Key("escape", _ESCAPE)]
        broken = _BROKEN.match(text, at)
        if broken is not None:
            return broken.end(), []
        return at + 2, list(self._taken(text[at : at + 2]))

    def _hold(self, text: str) -> None:
        """Keep the beginning of a sequence until its rest comes."""
        is_key = len(text) <= 2
        self._until = time.monotonic() + (ESCAPE_DELAY if is_key else _REST_S)
        # What is longer is nothing, however it goes on: it is as good when it is short.
        longest = _LONGEST if text[1:2] in "[O" else _LONGEST_ANSWER
        self._held = text if len(text) <= longest else text[:_LONGEST]

    def _known(self, sequence: str) -> list[Message]:
        resized = _RESIZED.fullmatch(sequence)
        if resized is not None and (not self._tells_size or 0 in map(int, resized.groups())):
            return []  # it was not asked; or it has no pixels, which Textual divides by
        events = list(self._taken(sequence))
        self._tells_size |= any(isinstance(event, InBandWindowResize) for event in events)
        return events

    def _taken(self, text: str) -> Iterator[Message]:
        """Text, or one sequence, as Textual has it; one that it does not know is nothing."""
        try:
            yield from super().feed(text)
        except (ValueError, OverflowError):
            self._begin_anew()
        if self._timeout_time is None:
            return
        if len(text) == 2:
            self._awaiting = self._gen.throw(ParseTimeout())
            while self._tokens:
                yield self._tokens.popleft()
        else:
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._gen.close()
        self._tokens.clear()
        self._gen = self.parse(self._tokens.append)
        self._awaiting = next(self._gen)
        self._timeout_time = None

    def _paste(self, text: str, at: int) -> tuple[Paste | None, int]:
        """Take what is pasted; the paste once it ends, and where that is."""
        end = text.find(BRACKETED_PASTE_END, at)
        if end >= 0:
            self._keep(text[at:end])
            return self._end_paste(), end + len(BRACKETED_PASTE_END)
        # The mark of its end may have come in part.
        most = len(BRACKETED_PASTE_END) - 1
        tails = (text[-size:] for size in range(min(most, len(text) - at), 0, -1))
        self._held = next((tail for tail in tails if BRACKETED_PASTE_END.startswith(tail)), "")
        self._keep(text[at : len(text) - len(self._held)])
        if self._held == _ESCAPE:
            self._until = time.monotonic() + _REST_S
        return None, len(text)

    def _keep(self, text: str) -> None:
        assert self._pasted is not None
        self._pasted.append(text[: self._room])
        self._room -= len(self._pasted[-1])

    def _end_paste(self) -> Paste:
        pasted = "".join(self._pasted or ())
        self._pasted = None
        return Paste(pasted.replace("\x00", ""))
