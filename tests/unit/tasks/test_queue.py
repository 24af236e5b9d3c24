"""The queue of one capability: turns by priority, and none starved."""

from __future__ import annotations

from collections import Counter

from sparkplug.schema.task import WEIGHTS, Priority, Task
from sparkplug.tasks.queue import Queue


def task(number: int, priority: Priority = Priority.NORMAL) -> Task:
    return Task(id=f"{priority}{number:08d}", capability="c", priority=priority)


def filled(each: int) -> Queue:
    queue = Queue()
    for number in range(each):
        for priority in Priority:
            queue.add(task(number, priority))
    return queue


def test_of_one_priority_the_first_is_first() -> None:
    queue = Queue()
    for number in range(5):
        queue.add(task(number))
    queue.add(task(9), first=True)
    taken = [queue.take() for _ in range(6)]
    assert [one.id[-1] for one in taken if one is not None] == ["9", "0", "1", "2", "3", "4"]
    assert queue.take() is None


def test_fifteen_turns_are_dealt_by_weight() -> None:
    queue = filled(30)
    for _ in range(2):
        turns = Counter(one.priority for one in (queue.take() for _ in range(15)) if one)
        assert turns == WEIGHTS


def test_a_low_one_has_its_turn_though_urgent_ones_never_end() -> None:
    queue = Queue()
    queue.add(task(0, Priority.LOW))
    for number in range(2 * sum(WEIGHTS.values())):
        queue.add(task(number, Priority.URGENT))
        taken = queue.take()
        assert taken is not None
        if taken.priority is Priority.LOW:
            return
    raise AssertionError("the low one still waits")


def test_what_is_taken_out_has_no_turn() -> None:
    queue = filled(2)
    gone = task(0, Priority.URGENT)
    queue.remove(gone)
    queue.remove(gone)
    assert len(queue) == 7
    assert queue.counts()[Priority.URGENT] == 1
    assert gone.id not in {one.id for one in (queue.take() for _ in range(7)) if one}
    assert len(queue) == 0
