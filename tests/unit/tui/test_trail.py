"""The trail of places visited."""

from __future__ import annotations

from dataclasses import replace

from sparkplug.tui.places import KEPT, Opened, Place, Trail

OVERVIEW, AGENTS = Place("overview"), Place("agents", row="critic")
OPEN = replace(AGENTS, opened=Opened("describe", "agent", "critic"))


def walked(*places: Place) -> Trail:
    trail = Trail()
    for place in places:
        trail.note(place)
    return trail


def test_back_and_ahead() -> None:
    trail = walked(OVERVIEW, AGENTS, OPEN)
    assert [trail.step(-1), trail.step(-1), trail.step(-1)] == [AGENTS, OVERVIEW, None]
    assert trail.here == OVERVIEW
    assert [trail.step(1), trail.step(1), trail.step(1)] == [AGENTS, OPEN, None]


def test_moving_the_cursor_is_no_stop_but_is_remembered() -> None:
    trail = walked(OVERVIEW, AGENTS, replace(AGENTS, row="scribe", filter="s"), OPEN)
    assert trail.step(-1) == replace(AGENTS, row="scribe", filter="s")
    assert trail.step(-1) == OVERVIEW


def test_going_out_is_a_step_back() -> None:
    trail = walked(OVERVIEW, AGENTS, OPEN, replace(AGENTS, row="other"))
    assert trail.here == replace(AGENTS, row="other")
    assert trail.step(1) == OPEN


def test_a_new_way_forgets_what_lay_ahead() -> None:
    trail = walked(OVERVIEW, AGENTS, OPEN)
    trail.step(-2)
    trail.note(Place("hosts"))
    assert trail.step(1) is None
    assert trail.step(-1) == OVERVIEW


def test_out_of_a_page_that_was_come_to_from_elsewhere() -> None:
    trail = walked(OVERVIEW, OPEN, AGENTS)
    assert trail.here == AGENTS
    assert trail.step(-1) == OPEN


def test_it_does_not_grow_for_ever() -> None:
    trail = walked(*(Place(f"pane-{n}") for n in range(KEPT + 50)))
    assert trail.here == Place(f"pane-{KEPT + 49}")
    steps = 0
    while trail.step(-1):
        steps += 1
    assert steps == KEPT - 1


def test_an_empty_trail_leads_nowhere() -> None:
    trail = walked(OVERVIEW)
    trail.clear()
    assert trail.here is None
    assert trail.step(-1) is None
    assert trail.step(0) is None
