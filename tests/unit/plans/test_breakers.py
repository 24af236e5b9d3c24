"""Breakers: counted, opened, tried again, and learnt from the journal of a run taken over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sparkplug.plans.breakers import BreakerOpenError, Breakers
from sparkplug.schema.base import utc_now
from sparkplug.schema.circuits import step_breaker_words
from sparkplug.schema.plan import Plan
from sparkplug.schema.plan_policies import Breaker
from sparkplug.schema.run import JournalEntry

BREAKER = {"failures": 2, "within": 60, "open": 30}
PLAN = Plan.model_validate(
    {"name": "p", "steps": [{"id": "a", "agent": "x", "prompt": "go", "breaker": BREAKER}]}
)
RULE = Breaker.model_validate(BREAKER)


def entries(*kinds: str, ago: float, node: str = "other") -> list[JournalEntry]:
    """What a journal has of attempts, the last so many seconds ago."""
    time = utc_now() - timedelta(seconds=ago)
    more: dict[str, Any] = {"run": "r", "step": "a", "node": node, "time": time}
    return [
        JournalEntry.model_validate(
            {**more, "kind": kind, "agent": "x" if kind == "step-started" else None}
        )
        for kind in kinds
    ]


FAILED_TWICE = ("step-started", "step-retried", "step-started", "step-retried")


def learnt(found: list[JournalEntry]) -> Breakers:
    breakers = Breakers()
    breakers.learn(PLAN, found, utc_now(), "here")
    return breakers


def test_a_breaker_that_was_open_is_open_for_who_takes_over() -> None:
    with pytest.raises(BreakerOpenError, match=r"agent x has failed 2 times of late, tried again"):
        learnt(entries(*FAILED_TWICE, ago=5)).enter("agent x", RULE)
    # Its time is over: one attempt is let through, and no second.
    late = learnt(entries(*FAILED_TWICE, ago=31))
    late.enter("agent x", RULE)
    with pytest.raises(BreakerOpenError, match="being tried just now"):
        late.enter("agent x", RULE)


def test_what_came_through_closes_it_and_what_was_cut_short_says_nothing() -> None:
    learnt(entries(*FAILED_TWICE, "step-started", "step-completed", ago=5)).enter("agent x", RULE)
    cut = entries(*FAILED_TWICE, ago=5)
    for entry in cut:
        entry.interrupted = entry.kind == "step-retried"
    learnt(cut).enter("agent x", RULE)


def test_it_says_how_it_is_and_till_when() -> None:
    now = utc_now()
    breakers = Breakers()

    def told() -> tuple[str, int]:
        found = breakers.told("agent x", RULE, now)
        return found.state, found.failures

    assert told() == ("closed", 0)
    breakers.failed("agent x", RULE, ago=75)
    breakers.failed("agent x", RULE, ago=10)
    assert told() == ("closed", 1), "of those within its time"
    breakers.failed("agent x", RULE, ago=10)
    assert told() == ("open", 2)
    found = breakers.told("agent x", RULE, now)
    assert found.until is not None
    assert abs((found.until - now).total_seconds() - 20) < 10
    assert found.at(now) == "open"
    assert found.at(found.until) == "half-open"
    assert step_breaker_words(found, found.until - timedelta(seconds=20)) == (
        "the circuit breaker of agent x is open after 2 failures: nobody is asked for 20 s more"
    )
    assert step_breaker_words(found, found.until).endswith(
        "half-open after 2 failures, the next attempt decides"
    )
    breakers = learnt(entries(*FAILED_TWICE, ago=31))
    breakers.enter("agent x", RULE)
    assert told() == ("half-open", 2)
    assert "the attempt that goes on decides" in step_breaker_words(
        breakers.told("agent x", RULE, now), now
    )
    breakers.failed("agent x", RULE)
    assert told() == ("open", 3)
    breakers.succeeded("agent x")
    assert told() == ("closed", 0)
    closed = breakers.told("agent x", RULE, now)
    assert step_breaker_words(closed, now) == "the circuit breaker of agent x is closed"


def test_what_it_has_counted_itself_is_not_counted_twice() -> None:
    breakers = Breakers()
    breakers._begun -= 60.0
    found = entries("step-started", "step-retried", ago=5, node="here")
    breakers.failed("agent x", RULE, ago=5)
    breakers.learn(PLAN, found, utc_now(), "here")
    breakers.enter("agent x", RULE)
    # From before it began, on its own node: that was another process.
    breakers.learn(
        PLAN,
        [e.model_copy(update={"time": e.time - timedelta(seconds=56)}) for e in found],
        utc_now(),
        "here",
    )
    breakers.learn(PLAN, entries("step-started", "step-retried", ago=4), utc_now(), "here")
    with pytest.raises(BreakerOpenError):
        breakers.enter("agent x", RULE)
