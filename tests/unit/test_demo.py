"""The demo opens the control centre as it was asked to, and its run begins by itself."""

from __future__ import annotations

import argparse
import sys
from typing import Any, cast

import pytest

import sparkplug.tui.main
from sparkplug import demo
from sparkplug.client.session import Client
from sparkplug.schema.errors import InvalidError


async def test_a_run_waits_for_agents_that_were_not_heard_of_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = ["no agent sentinel", "no agent scribe"]

    async def submit(_: Client) -> str:
        if said:
            raise InvalidError(said.pop(), where="steps[0].agent")
        return "run"

    monkeypatch.setattr(demo, "_submit", submit)
    await demo._submit_soon(cast("Client", None))
    assert said == []
    said.append("a step needs itself")
    with pytest.raises(InvalidError, match="needs itself"):
        await demo._submit_soon(cast("Client", None))


def test_pane_theme_and_readonly_are_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []

    async def nothing(*_: Any) -> None:
        return None

    def opens(**options: Any) -> int:
        opened.append(options)
        return 0

    monkeypatch.setattr(demo, "_begin", nothing)
    monkeypatch.setattr(demo.local, "down", nothing)
    monkeypatch.setattr(demo.signal, "signal", lambda *_: None)
    monkeypatch.setattr(demo.os, "environ", dict(demo.os.environ))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sparkplug.tui.main, "main", opens)
    assert demo.main(argparse.Namespace(scenario=None, pane="hosts", readonly=True)) == 0
    assert demo.main(argparse.Namespace(scenario=None)) == 0
    assert opened == [
        {"theme": None, "pane": "hosts", "readonly": True},
        {"theme": None, "pane": None, "readonly": False},
    ]
