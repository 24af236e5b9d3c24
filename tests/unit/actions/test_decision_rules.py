"""A decision's rule as it is given on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from sparkplug.actions.decisions import _DEFAULTS, _proposal
from sparkplug.schema.errors import InvalidError


def proposal(**given: Any) -> Any:
    return _proposal("which?", **{**_DEFAULTS, "options": ["a", "b"], **given})


def test_a_rule_is_read() -> None:
    made = proposal(
        voters=["x", "human"],
        weights=["x=2"],
        quorum="60%",
        threshold="0.7",
        rounds=3,
        arbiter="judge",
        seconds=5.0,
    )
    assert (made.quorum, made.threshold, made.rounds) == (0.6, 0.7, 3)
    assert made.weights == {"x": 2.0}
    assert (made.conflict, made.arbiter) == ("arbiter", "judge")
    assert proposal().quorum == 0.5


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"options": ["a"]}, "options"),
        ({"quorum": "most"}, "--quorum is a share"),
        ({"quorum": "140%"}, "quorum"),
        ({"weights": ["x=2"]}, "none of the voters"),
        ({"conflict": "arbiter"}, "an arbiter is named"),
        ({"voters": ["\x1b[2J"]}, "voters"),
    ],
)
def test_a_rule_that_does_not_hold_names_what_is_wrong(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        proposal(**wrong)
