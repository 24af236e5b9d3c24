"""Events on a real server: what they are about may be any text, of any length."""

from __future__ import annotations

import pytest

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.schema.event import Event

_LONG = "x" * 100_000
HOSTILE = {
    "of one kind": (f"{_LONG}a", f"{_LONG}b"),
    "of many bytes": (f"{'漢' * 40_000}a", f"{'漢' * 40_000}b"),
    "no letters": (f"{'. >*' * 30_000}+", f"{'. >*' * 30_000}"),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_an_event_about_a_long_name_arrives_as_its_own(mesh_bus: Bus, kind: str) -> None:
    names = HOSTILE[kind]
    events = EventLog(mesh_bus, "here", "tester")
    for name in names:
        events.emit("agent:error", name)
    await events.drain(10)
    assert mesh_bus.nc.stats["reconnects"] == 0
    stream = mesh_bus.js
    found = set()
    for name in names:
        at = subjects.event("agent:error", name)
        message = await stream.get_last_msg(subjects.STREAM_EVENTS, at)
        assert message.data is not None
        assert Event.model_validate_json(message.data).subject == name
        found.add(at)
    assert len(found) == len(names)


def test_a_token_is_cut_where_it_is_too_long_and_not_before() -> None:
    assert subjects.token("a.b c*>") == "a_b_c__"
    assert subjects.token("x" * 512) == "x" * 512
    for text in (*HOSTILE["no letters"], *HOSTILE["of many bytes"], "x" * 513):
        token = subjects.token(text)
        assert len(token.encode()) <= 512
        assert token != subjects.token(text + "y")
        assert not set(token) & set(". >*")
