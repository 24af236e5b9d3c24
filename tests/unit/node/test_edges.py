"""The observer's counting, from the bytes of messages as they pass."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from sparkplug.node.observer.edges import EdgeCounts
from sparkplug.schema.topology import TopologyEdge

_ERROR = b"NATS/1.0\r\nNats-Service-Error-Code: 500\r\nNats-Service-Error: no\r\n\r\n"
_TAKEN_BACK = b"NATS/1.0\r\nNats-Service-Error-Code: 499\r\nNats-Service-Error: enough\r\n\r\n"
_NOBODY = b"NATS/1.0 503\r\n\r\n"


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts(clock: Clock) -> EdgeCounts:
    return EdgeCounts("me", clock)


def _to(agent: str, owner: str = "me", replica: str = "0") -> bytes:
    return f"agents.prompt.{agent}.{owner}.{replica}".encode()


def _inbox(agent: str, token: str, replica: str = "0") -> bytes:
    return f"_INBOX.sp.agent.{agent}={replica}.{token}".encode()


def _edge(counts: EdgeCounts, sender: str, receiver: str) -> TopologyEdge:
    return next(e for e in counts.graph().edges if (e.from_, e.to) == (sender, receiver))


def test_a_request_is_in_flight_until_its_stream_ends(counts: EdgeCounts, clock: Clock) -> None:
    reply = _inbox("a", "1")
    counts.request(_to("b"), reply, 10)
    node = {n.name: n for n in counts.graph().nodes}["b"]
    assert (node.queue_depth, node.waiting) == (1, 1)
    counts.answer(reply, None, 5)
    node = {n.name: n for n in counts.graph().nodes}["b"]
    assert (node.queue_depth, node.waiting) == (1, 0)
    clock.at += 0.5
    counts.answer(reply, None, 0)
    edge = _edge(counts, "a", "b")
    assert (edge.messages, edge.replies, edge.bytes, edge.inflight) == (1, 1, 15, 0)
    assert edge.latency_p50_ms == pytest.approx(500)
    assert edge.latency_p95_ms == pytest.approx(500)


def test_errors_are_told_from_nobody_there(counts: EdgeCounts) -> None:
    counts.request(_to("b"), _inbox("a", "1"), 1)
    counts.answer(_inbox("a", "1"), _ERROR, 0)
    assert _edge(counts, "a", "b").inflight == 1, "the end of the stream is still to come"
    counts.answer(_inbox("a", "1"), None, 0)
    counts.request(_to("b"), _inbox("a", "2"), 1)
    counts.answer(_inbox("a", "2"), _NOBODY, 0)
    edge = _edge(counts, "a", "b")
    assert (edge.errors, edge.inflight) == (2, 0)


def test_what_is_taken_back_is_no_error_and_tells_no_latency(
    counts: EdgeCounts, clock: Clock
) -> None:
    for token, answer in (("1", _TAKEN_BACK), ("2", None)):
        counts.request(_to("b"), _inbox("a", token), 1)
        clock.at += 2.0 if answer else 0.1
        counts.answer(_inbox("a", token), answer, 0 if answer else 3)
        counts.answer(_inbox("a", token), None, 0)
    edge = _edge(counts, "a", "b")
    assert (edge.messages, edge.errors, edge.inflight) == (2, 0, 0)
    assert edge.latency_p95_ms == pytest.approx(100)


def test_who_asks_is_told_by_the_inbox(counts: EdgeCounts) -> None:
    counts.request(_to("b"), b"_INBOX.sp.planner.host.x.1", 1)
    counts.request(_to("b"), b"_INBOX.sp.face.ana-77.x.1", 1)
    counts.request(_to("b"), b"_INBOX.agents.x.1", 1)
    counts.request(_to("b"), b"", 1)
    counts.request(_to("cc", "other"), _inbox("b", "1"), 1)
    kinds = {node.name: node.kind for node in counts.graph().nodes}
    assert kinds == {
        "planner": "planner",
        "ana": "face",
        "unknown": "unknown",
        "b": "agent",
        "cc": "foreign",
    }
    assert _edge(counts, "unknown", "b").messages == 2


def test_topics_are_hubs(counts: EdgeCounts) -> None:
    counts.published(b"sparkplug.pub.a.0.builds.done", 7)
    counts.published(b"sparkplug.pub.a.1.builds.done", 7)
    counts.published(b"sparkplug.pub._human.ana.builds.done", 3)
    assert counts.published(b"sparkplug.pub.a.0", 3) is None
    assert {n.name: n.kind for n in counts.graph().nodes} == {
        "#builds.done": "subject",
        "a": "agent",
        "ana": "face",
    }
    edge = _edge(counts, "a", "#builds.done")
    assert (edge.messages, edge.bytes, edge.inflight) == (2, 14, 0)


def _marked(name: str, hub: str = "@group:blue") -> bytes:
    return b"NATS/1.0\r\nSparkplug-Hub: %s %s\r\n\r\n" % (name.encode(), hub.encode())


def test_what_is_said_to_several_goes_by_way_of_a_hub(counts: EdgeCounts, clock: Clock) -> None:
    for number, name in enumerate("bcd"):
        reply = _inbox("a", f"1.{number}")
        counts.request(_to(name), reply, 10, _marked("0123456789abcdef"))
        clock.at += 0.25
        counts.answer(reply, None, 0)
    counts.request(_to("b"), _inbox("a", "2"), 10, _marked("fedcba9876543210"))
    counts.request(_to("b"), _inbox("e", "3"), 10, _marked("0123456789abcdef"))
    counts.roll()
    graph = counts.graph()
    assert {(e.from_, e.to): e.messages for e in graph.edges} == {
        ("a", "@group:blue"): 2,
        ("e", "@group:blue"): 1,
        ("@group:blue", "b"): 3,
        ("@group:blue", "c"): 1,
        ("@group:blue", "d"): 1,
    }
    assert {n.name: n.kind for n in graph.nodes}["@group:blue"] == "group"
    assert graph.messages_per_second == 5, "what went over the wire"
    assert _edge(counts, "@group:blue", "c").latency_p50_ms == pytest.approx(250)
    assert _edge(counts, "@group:blue", "b").inflight == 2
    counts.gone({("e", "0")})
    assert _edge(counts, "@group:blue", "b").inflight == 1, "it is known who asked"


@pytest.mark.parametrize(
    "headers",
    [
        _marked("x"),
        _marked("0123456789abcdef", "all"),
        _marked("0123456789abcdef", "@" + "a" * 101),
    ],
)
def test_a_mark_that_does_not_hold_is_none(counts: EdgeCounts, headers: bytes) -> None:
    counts.request(_to("b"), _inbox("a", "1"), 10, headers)
    assert [(e.from_, e.to) for e in counts.graph().edges] == [("a", "b")]


def test_circuit_breakers_stand_on_the_pairs_until_they_close(counts: EdgeCounts) -> None:
    counts.request(_to("b"), _inbox("a", "1"), 1)
    counts.break_circuits({("a", "b"): "open", ("c", "d"): "half-open"})
    assert _edge(counts, "a", "b").breaker == "open"
    assert _edge(counts, "c", "d").breaker == "half-open", "though nothing was said since"
    counts.dirty = False
    counts.break_circuits({("a", "b"): "open"})
    assert counts.dirty
    assert _edge(counts, "c", "d").breaker == "closed"
    counts.dirty = False
    counts.break_circuits({("a", "b"): "open"})
    assert not counts.dirty


def test_what_is_no_prompt_is_not_counted(counts: EdgeCounts) -> None:
    assert counts.request(b"agents.prompt.b", b"", 1) is None
    assert counts.answer(b"_INBOX.sp.agent.a=0.nobody.asked", None, 3) is None
    assert counts.graph().edges == []


def test_what_a_process_that_ended_held_is_in_flight_no_more(counts: EdgeCounts) -> None:
    counts.request(_to("b", replica="0"), _inbox("a", "1"), 1)
    counts.request(_to("b", replica="1"), _inbox("a", "2"), 1)
    counts.request(_to("c"), _inbox("b", "3", "0"), 1)
    counts.gone({("b", "0")})
    assert _edge(counts, "a", "b").inflight == 1
    assert _edge(counts, "b", "c").inflight == 0


def test_what_is_asked_of_nobody_comes_to_nothing(counts: EdgeCounts, clock: Clock) -> None:
    counts.request(_to("b"), _inbox("a", "1"), 1)
    counts.request(_to("gone"), _inbox("a", "2"), 1)
    counts.request(_to("gone"), _inbox("a", "3"), 1)
    counts.answer(_inbox("a", "3"), None, 4)
    counts.unheard({("b", "0")})
    assert _edge(counts, "a", "gone").inflight == 2, "it may have come a moment ago"
    clock.at += 10
    counts.unheard({("b", "0")})
    edge = _edge(counts, "a", "gone")
    assert (edge.inflight, edge.errors) == (1, 1), "one has begun, so somebody is there"
    assert _edge(counts, "a", "b").inflight == 1


def test_rates_are_of_the_last_ten_seconds(counts: EdgeCounts) -> None:
    for _ in range(40):
        counts.request(_to("b"), b"", 1)
    counts.roll()
    assert _edge(counts, "unknown", "b").rate_per_second == pytest.approx(40)
    for _ in range(9):
        counts.roll()
    assert _edge(counts, "unknown", "b").rate_per_second == pytest.approx(4)
    counts.roll()
    assert _edge(counts, "unknown", "b").rate_per_second == 0
    assert counts.graph().messages_per_second == 0


def test_very_many_pairs_are_said_to_be_uncounted(counts: EdgeCounts) -> None:
    for number in range(5_100):
        counts.request(_to(f"b{number}"), b"", 1)
    graph = counts.graph()
    assert len(graph.edges) == 5_000
    assert graph.uncounted == 100


def test_counts_are_what_was_sent(counts: EdgeCounts) -> None:
    chance = random.Random(7)
    sent: Counter[tuple[str, str]] = Counter()
    open_: list[bytes] = []
    for number in range(20_000):
        one, other = chance.choice("abcdef"), chance.choice("abcdef")
        reply = _inbox(one, str(number))
        counts.request(_to(other), reply, 1)
        sent[one, other] += 1
        open_.append(reply)
        if len(open_) > 50:
            counts.answer(open_.pop(chance.randrange(50)), None, 0)
    for reply in open_:
        counts.answer(reply, None, 0)
    edges = counts.graph().edges
    assert {(e.from_, e.to): e.messages for e in edges} == dict(sent)
    assert not any(e.inflight for e in edges)
