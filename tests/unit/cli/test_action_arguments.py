"""What an action's verb takes from stdin, and what need not be given."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from sparkplug.cli.actions import calls_of
from sparkplug.cli.parser import build_parser
from sparkplug.schema.errors import InvalidError


def given(monkeypatch: pytest.MonkeyPatch, stdin: bytes, *words: str) -> dict[str, Any]:
    """The arguments of the one call that the words make."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    arguments = build_parser().parse_args(list(words))
    [found] = calls_of(arguments.action_object, arguments)
    return found


TEXTS = [
    ("prompt", "echo", "-"),
    ("send", "echo", "-"),
    ("tasks", "submit", "index", "-"),
    ("tasks", "requeue", "a1", "--text", "-"),
    ("memory", "add", "-"),
    ("memory", "edit", "a1", "--text", "-"),
    ("questions", "answer", "a1", "-"),
    ("runs", "answer", "a1", "-"),
]


@pytest.mark.parametrize("words", TEXTS)
def test_every_text_is_read_from_stdin(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    assert given(monkeypatch, "zwei\nZeilen ü\n".encode(), *words)["text"] == "zwei\nZeilen ü"


@pytest.mark.parametrize(
    "words",
    [
        ("prompt", "echo", "--action", "survey"),
        ("send", "echo", "--action", "survey"),
        ("tasks", "submit", "index", "--action", "survey"),
        ("run", "host-brief"),
        ("schedules", "add", "nightly", "host-brief", "--cron", "0 3 * * *"),
    ],
)
def test_inputs_are_read_from_stdin_as_json(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    json = b'{"host": "gpu-1", "depth": 2, "of": [1, "x"]}'
    found = given(monkeypatch, json, *words, "--input", "-", "--input", "depth=3")
    assert found["inputs"] == ['host="gpu-1"', "depth=2", 'of=[1, "x"]', "depth=3"]


@pytest.mark.parametrize(
    "words",
    [("prompt", "echo"), ("send", "echo"), ("tasks", "submit", "index")],
)
def test_an_action_needs_no_text_and_nothing_else_goes_without(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    found = given(monkeypatch, b"", *words, "--action", "survey")
    assert (found["text"], found["action"]) == ("", "survey")
    with pytest.raises(InvalidError, match="TEXT is missing") as raised:
        given(monkeypatch, b"", *words)
    assert raised.value.hint == "it can be left out with --action"


@pytest.mark.parametrize(
    ("stdin", "words", "message"),
    [
        (b"\xff", ("prompt", "echo", "-"), "not UTF-8"),
        (b"[1]", ("run", "host-brief", "--input", "-"), "no JSON object"),
        (b"{", ("run", "host-brief", "--input", "-"), "no JSON"),
        (b"", ("prompt", "echo", "-", "--action", "a", "--input", "-"), "cannot both be read"),
    ],
)
def test_what_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, stdin: bytes, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidError, match=message):
        given(monkeypatch, stdin, *words)


def test_what_is_no_long_text_is_taken_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given(monkeypatch, b"x", "hosts", "cordon", "gpu-1", "--reason", "-")["reason"] == "-"
