"""A node gives a log in pieces: its end, what follows, what was before."""

from __future__ import annotations

from pathlib import Path

from sparkplug.node.logs import AgentLogs
from sparkplug.schema.node_services import LogsRequest


def test_earlier_pieces_join_without_a_gap(tmp_path: Path) -> None:
    logs = AgentLogs(tmp_path, 1 << 30, 0)
    text = "".join(f"line {n} {'x' * (n % 300)}\n" for n in range(10_000))
    logs.begin("a", "0").write_text(text)
    reply = logs.read(LogsRequest(agent="a", lines=50))
    found = reply.text
    assert found.startswith("line 9950 ")
    while reply.start:
        before = reply.start
        reply = logs.read(LogsRequest(agent="a", lines=3000, before=before))
        assert reply.offset == before
        found = reply.text + found
    assert found == text
    empty = logs.read(LogsRequest(agent="a", before=0))
    assert (empty.text, empty.start) == ("", 0)
