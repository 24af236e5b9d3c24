"""What a terminal sends: keys as ever, pastes whole, and rubbish that presses nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

import pytest
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._xterm_parser import XTermParser
from textual.events import Key, MouseEvent, Paste, Resize
from textual.message import Message

from sparkplug.tui.screen import sequences as module
from sparkplug.tui.screen.sequences import Sequences

#: What is known, but begins with an escape that may be a key.
_ESCAPES = ("\x1b", "\x1b\x1b")


def told(events: Iterable[Message]) -> list[tuple[object, ...]]:
    """Events as what can be compared."""
    found: list[tuple[object, ...]] = []
    for event in events:
        if isinstance(event, Key):
            found.append(("key", event.key, event.character))
        elif isinstance(event, Paste):
            found.append(("paste", event.text))
        elif isinstance(event, MouseEvent):
            found.append((type(event).__name__, event.x, event.y, event.button))
        else:
            found.append((type(event).__name__,))
    return found


def read(*pieces: str) -> list[tuple[object, ...]]:
    """The events of what comes in pieces."""
    parser = Sequences()
    return [event for piece in pieces for event in told(parser.feed(piece))]


def given_up(parser: Sequences, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The events once nothing more came for as long as it is waited for."""
    assert parser.open
    later = time.monotonic() + 60.0
    with monkeypatch.context() as patch:
        patch.setattr(module.time, "monotonic", lambda: later)
        found = told(parser.tick())
    assert not parser.open
    return found


_KNOWN = [
    *(one for one in ANSI_SEQUENCES_KEYS if one not in _ESCAPES),
    *("a", "Z", "ä", "日", "\x1b[I", "\x1b[O", "\x1b[97;5u", "\x1b[12;40R"),
    *("\x1b[<0;5;5M", "\x1b[<0;5;5m", "\x1b[<35;500;2M", "\x1b[<65;300;9M", "\x1b[?2026;2$y"),
]


@pytest.mark.parametrize("sequence", _KNOWN)
def test_what_is_known_is_what_it_was_wherever_it_is_torn(sequence: str) -> None:
    wanted = told(XTermParser().feed(sequence))
    assert read(sequence) == wanted
    for at in range(1, len(sequence)):
        assert read(sequence[:at], sequence[at:]) == wanted
    assert read(f"x{sequence}y") == [("key", "x", "x"), *wanted, ("key", "y", "y")]


@pytest.mark.parametrize(
    "rubbish",
    [
        "\x1b[?62;22c",
        "\x1b[>41;380;0c",
        "\x1b[1;9Z",
        "\x1b[99999999999;5u",
        "\x1b[48;0;0;0;0t",
        "\x1b[48;5;20;100;200t",
        "\x1b[" + "9" * 5000 + "m",
        "\x1b[32;5;5M",
        "\x1b[M q!",
        "\x1b]11;rgb:1111/2222/3333\x1b\\",
        "\x1b]10;rgb:ffff/ffff/ffff\x07",
        "\x1bP>|xterm(380)\x1b\\",
        "\x1bP1+r544e=787465726d\x1b\\",
        "\x1b_Gi=31;OK\x1b\\",
        "\x1b[201~",
        "\x1b]11;" + "q" * 200_000 + "\x07",
    ],
)
def test_what_is_not_known_presses_no_key_wherever_it_is_torn(rubbish: str) -> None:
    assert read(rubbish, "y") == [("key", "y", "y")]
    for at in range(1, len(rubbish), max(1, len(rubbish) // 40)):
        assert read(rubbish[:at], rubbish[at:], "y") == [("key", "y", "y")]


def test_a_sequence_that_another_begins_in_is_nothing_and_the_other_is_read() -> None:
    assert read("\x1b[35;1\x1b[A") == [("key", "up", None)]
    assert read("\x1b]11;rgb:qqq\x1b[A") == [("key", "up", None)]
    assert read("\x1b[35;1\x07") == [("key", "ctrl+g", "\x07")]


def test_escape_and_keys_with_alt(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = Sequences()
    assert told(parser.feed("\x1b")) == []
    assert given_up(parser, monkeypatch) == [("key", "escape", "\x1b")]
    assert read("\x1b\x1b[A") == [("key", "escape", "\x1b"), ("key", "up", None)]
    for letter in "ab[]OP_9":
        textual = XTermParser()
        wanted = told(textual.feed(f"\x1b{letter}"))
        if textual._timeout_time is not None:
            textual._timeout_time = 0.0
            wanted += told(textual.tick())
        parser = Sequences()
        found = told(parser.feed(f"\x1b{letter}"))
        assert wanted
        assert (found or given_up(parser, monkeypatch)) == wanted


def test_a_sequence_that_does_not_go_on_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for begun in ("\x1b[35;4", "\x1b[<0;1", "\x1b]11;rgb", "\x1bP1+r5"):
        parser = Sequences()
        assert told(parser.feed(begun)) == []
        assert given_up(parser, monkeypatch) == []
        assert told(parser.feed("y")) == [("key", "y", "y")]


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "",
        "lines\rof\nit 日本\t",
        "a \x1b[31mred\x1b[0m q",
        "\x1b\x1b\x1b[200~ inside",
        "\x1b[201 no end, \x1b[2",
        "\x1b" * 70,
    ],
)
def test_a_paste_is_what_was_pasted_whatever_is_in_it(text: str) -> None:
    whole = f"\x1b[200~{text}\x1b[201~q"
    wanted = [("paste", text), ("key", "q", "q")]
    assert read(whole) == wanted
    for at in range(1, len(whole)):
        assert read(whole[:at], whole[at:]) == wanted
    assert read(*whole) == wanted


def test_a_paste_of_a_megabyte_of_escapes_is_read_at_once() -> None:
    text = "\x1b[31m" * 200_000
    whole = f"\x1b[200~{text}\x1b[201~"
    pieces = [whole[at : at + 4096] for at in range(0, len(whole), 4096)]
    assert read(*pieces) == [("paste", text)]


def test_escape_leaves_a_paste_of_which_the_end_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = Sequences()
    assert told(parser.feed("\x1b[200~some")) == []
    assert not parser.open
    assert told(parser.feed("\x1b")) == []
    assert given_up(parser, monkeypatch) == [("paste", "some")]
    assert told(parser.feed("q")) == [("key", "q", "q")]


def test_a_size_is_taken_of_a_terminal_that_was_asked_for_it() -> None:
    parser = Sequences()
    assert told(parser.feed("\x1b[?2048;2$y")) == [("InBandWindowResize",)]
    (event,) = parser.feed("\x1b[48;30;100;600;1000t")
    assert isinstance(event, Resize)
    assert event.size == (100, 30)
    assert not list(parser.feed("\x1b[48;30;100;0;0t"))
    (click,) = parser.feed("\x1b[<0;505;305M")
    assert isinstance(click, MouseEvent)


def test_nothing_that_comes_ends_it() -> None:
    chance = random.Random(7)
    pieces = [*_KNOWN, "\x1b", "\x1b[", "\x1bO", "\x1b]", "\x1bP1", "\x1b[<", ";", "0", "9" * 30]
    pieces += ["M", "m", "~", "u", "t", "\x1b[48;", "\x1b[200~", "\x1b[201~", "\x00", "\ufffd", "-"]
    for _ in range(300):
        parser = Sequences()
        for _ in range(40):
            list(parser.feed("".join(chance.choices(pieces, k=chance.randint(1, 5)))))
        list(parser.feed("\x1b[201~ \x1b[201~"))
        events = told(parser.feed("\x07y"))
        assert events[-1] == ("key", "y", "y"), events
