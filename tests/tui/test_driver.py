"""Input is waited for as long as it takes; an open escape, and the end, are not missed."""

from __future__ import annotations

import os
import selectors
import signal
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sparkplug.tui.screen import driver as module
from sparkplug.tui.screen.driver import PatientDriver

WAIT_S = 30.0


def _until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


class Reading:
    """A driver that reads a pipe, what it hands on, and how long it waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waits = self.waits = []  # type: list[float | None]

        class Selector(selectors.SelectSelector):
            def select(self, timeout: float | None = None) -> Any:
                waits.append(timeout)
                return super().select(timeout)

        monkeypatch.setattr(module.selectors, "SelectSelector", Selector)
        self.typed: list[str] = []
        self._out, self._in = os.pipe()
        told, self._tells = os.pipe()
        self.ended = threading.Event()
        self.behind = False
        self.asked = 0
        self._driver = SimpleNamespace(
            _debug=False,
            _told=told,
            fileno=self._out,
            exit_event=self.ended,
            process_message=lambda event: self.typed.append(event.key),
            _is_behind=self._is_behind,
        )
        self.thread = threading.Thread(target=PatientDriver.run_input_thread, args=(self._driver,))
        self.thread.start()

    def _is_behind(self) -> bool:
        self.asked += 1
        return self.behind

    def type(self, data: bytes) -> None:
        os.write(self._in, data)

    def close(self) -> None:
        """Tell the end, as `disable_input` does."""
        os.write(self._tells, b"\0")
        self.ended.set()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()

    def hang_up(self) -> None:
        os.close(self._in)


def test_keys_are_handed_on_and_nothing_is_looked_at_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading = Reading(monkeypatch)
    reading.type(b"a")
    _until(lambda: reading.typed == ["a"])
    reading.type("ä".encode()[:1])
    reading.type("ä".encode()[1:])
    _until(lambda: reading.typed == ["a", "ä"])
    assert set(reading.waits) == {None}
    reading.close()


def test_what_is_not_utf_8_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(monkeypatch)
    reading.type(b"\xff\xfe\x80a\xc3(b")
    _until(lambda: reading.typed[-1:] == ["b"])
    assert [key for key in reading.typed if len(key) == 1 and key.isascii()] == ["a", "b"]
    reading.close()


def test_what_comes_faster_than_it_is_acted_on_waits_outside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading = Reading(monkeypatch)
    reading.behind = True
    reading.type(b"a")
    _until(lambda: reading.typed == ["a"])
    reading.type(b"b")
    asked = reading.asked
    _until(lambda: reading.asked > asked + 2)
    assert reading.typed == ["a"]
    reading.behind = False
    _until(lambda: reading.typed == ["a", "b"])
    reading.behind = True
    reading.type(b"c")
    reading.close()


def test_an_escape_that_nothing_follows_is_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(monkeypatch)
    reading.type(b"\x1b")
    _until(lambda: reading.typed == ["escape"])
    assert any(reading.waits), "it was not waited for for ever"
    reading.type(b"\x1b[A")
    _until(lambda: reading.typed == ["escape", "up"])
    _until(lambda: reading.waits[-1] is None)
    reading.close()


def test_a_terminal_that_is_gone_hangs_up_on_us_and_keeps_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(module.os, "kill", lambda *sent: told.append(sent))
    reading = Reading(monkeypatch)
    reading.hang_up()
    reading.thread.join(WAIT_S)
    assert told == [(os.getpid(), signal.SIGHUP)]
    reading.close()
