"""Which replicas may move, and what becomes of them on a host that is cut off."""

from __future__ import annotations

import pytest

from sparkplug.schema.agent_spec import Placement


@pytest.mark.parametrize(
    ("placement", "pinned", "stops"),
    [
        ({}, False, True),
        ({"hosts": "any"}, False, True),
        ({"hosts": ["x", "y"]}, False, True),
        ({"hosts": ["x", "any"]}, False, True),
        ({"labels": {"rack": "1"}}, False, True),
        ({"hosts": "x"}, True, False),
        ({"hosts": ["x"]}, True, False),
        ({"hosts": "x", "partition": "stop"}, True, True),
        ({"hosts": "any", "partition": "keep"}, False, False),
    ],
)
def test_what_may_move_ends_on_a_host_that_is_cut_off(
    placement: dict[str, object], pinned: bool, stops: bool
) -> None:
    found = Placement.model_validate(placement)
    assert (found.pinned, found.stops_when_cut_off) == (pinned, stops)
