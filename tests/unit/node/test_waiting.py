"""Deadlocks and rings of waits, from what replicas say of their requests."""

from __future__ import annotations

from sparkplug.node.observer.waiting import WaitGraph
from sparkplug.schema.topology import HeldRequest, Wait, WaitReport, WaitRing


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def held(id: str, question: str, *waits: tuple[str, str], seconds: float = 1.5) -> HeldRequest:  # noqa: A002
    """A request asked under `question` that waits for (question, agent) each."""
    return HeldRequest(
        id=id,
        question=question,
        action="work",
        waits=[
            Wait(question=asked, agent=agent, replica="0", action="next", seconds=seconds)
            for asked, agent in waits
        ],
    )


def report(agent: str, *requests: HeldRequest, room: int = 1) -> WaitReport:
    return WaitReport(
        agent=agent,
        replica="0",
        concurrency=room,
        in_hand=len(requests),
        requests=list(requests),
    )


def rings(*reports: WaitReport) -> list[WaitRing]:
    """What is said of them when it is asked the second time."""
    graph = WaitGraph(Clock())
    for one in reports:
        graph.take(one)
    graph.rings()
    return graph.rings()


A_B_C = (
    report("a", held("1", "", ("q1", "b"))),
    report("b", held("2", "q1", ("q2", "c"))),
    report("c", held("3", "q2", ("q3", "a"))),
)


def test_a_ring_without_room_is_certain_and_says_what_each_waits_for() -> None:
    (ring,) = rings(*A_B_C)
    assert ring.certain
    assert ring.agents == ["a/0", "b/0", "c/0"]
    assert [(w.from_, w.to, w.action, w.during) for w in ring.waits] == [
        ("a/0", "b/0", "next", "work"),
        ("b/0", "c/0", "next", "work"),
        ("c/0", "a/0", "next", "work"),
    ]


def test_it_is_named_only_when_it_was_there_twice() -> None:
    graph = WaitGraph(Clock())
    for one in A_B_C:
        graph.take(one)
    assert graph.rings() == []
    assert len(graph.rings()) == 1


def test_one_with_room_is_no_deadlock() -> None:
    a, b, c = A_B_C
    assert rings(a.model_copy(update={"concurrency": 2}), b, c) == []


def test_one_that_works_on_something_else_is_no_deadlock() -> None:
    busy = report("a", held("1", "", ("q1", "b")), held("9", ""), room=2)
    assert rings(busy, *A_B_C[1:]) == []


def test_a_request_that_has_another_answer_to_come_is_not_stuck() -> None:
    a = report("a", held("1", "", ("q1", "b"), ("q8", "free")))
    assert rings(a, *A_B_C[1:]) == []


def test_a_replica_that_was_not_heard_of_is_alive() -> None:
    assert rings(*A_B_C[:2]) == []


def test_one_that_asks_itself() -> None:
    (ring,) = rings(report("a", held("1", "", ("q1", "a"))))
    assert ring.agents == ["a/0"]
    assert ring.certain


def test_those_behind_a_ring_are_not_of_it() -> None:
    (ring,) = rings(report("d", held("7", "", ("q7", "a"))), *A_B_C)
    assert ring.agents == ["a/0", "b/0", "c/0"]


def test_a_full_house_of_requests_in_a_ring() -> None:
    a = report("a", held("1", "", ("q1", "b")), held("2", "", ("q2", "b")), room=2)
    b = report("b", held("3", "q1", ("q3", "a")), held("4", "q2", ("q4", "a")), room=2)
    (ring,) = rings(a, b)
    assert ring.agents == ["a/0", "b/0"]


def test_a_chain_that_comes_back_to_one_with_room_may_come_undone() -> None:
    a = report("a", held("1", "", ("q1", "b")), held("4", "q2"), room=8)
    b = report("b", held("2", "q1", ("q2", "a")))
    (ring,) = rings(a, b)
    assert not ring.certain
    assert ring.agents == ["a/0", "b/0"]


def test_one_that_has_just_begun_is_not_named_yet() -> None:
    a = report("a", held("1", "", ("q1", "b")), held("4", "q2"), room=8)
    b = report("b", held("2", "q1", ("q2", "a"), seconds=0.4))
    assert rings(a, b) == []


def test_two_rings_are_two() -> None:
    others = (
        report("x", held("1", "", ("p1", "y"))),
        report("y", held("2", "p1", ("p2", "x"))),
    )
    found = rings(*others, *A_B_C)
    assert [ring.agents for ring in found] == [["a/0", "b/0", "c/0"], ["x/0", "y/0"]]


def test_what_a_replica_said_counts_no_more_when_it_ended_or_fell_silent() -> None:
    clock = Clock()
    graph = WaitGraph(clock)
    for one in A_B_C:
        graph.take(one)
    graph.rings()
    assert len(graph.waits()) == 3
    graph.gone({("b", "0")})
    assert graph.rings() == []
    assert len(graph.waits()) == 2
    clock.at += 60
    assert graph.waits() == []


def test_a_report_without_waits_takes_the_earlier_back() -> None:
    graph = WaitGraph(Clock())
    for one in A_B_C:
        graph.take(one)
    graph.take(report("c"))
    graph.rings()
    assert graph.rings() == []
