"""What `status` says of a host that is cut off, and of clocks."""

from __future__ import annotations

from datetime import timedelta

from sparkplug.cli.node import _clock, _cut_off
from sparkplug.schema.base import utc_now


def test_it_says_since_when_and_what_runs_on() -> None:
    since = utc_now() - timedelta(seconds=95)
    text = _cut_off(since.isoformat(), ["a/0", "b/1"])
    assert text.startswith(f"cut off from the mesh since {since.astimezone():%H:%M:%S} (1m")
    assert text.endswith("2 agents run on: a/0, b/1")
    assert _cut_off(since.isoformat(), ["a/0"]).endswith("1 agent runs on: a/0")
    assert _cut_off(since.isoformat(), []).endswith("0 agents run on")


def test_a_clock_is_told_of_when_it_is_off() -> None:
    assert _clock(None) == _clock(0.1) == ""
    assert _clock(-3.04) == "  its clock is 3.0 s behind"
    assert _clock(90.0) == "  its clock is 90.0 s ahead"
