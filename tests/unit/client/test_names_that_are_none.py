"""What is typed for a name and is far from one is told as that, and ends nothing."""

from __future__ import annotations

import pytest

from sparkplug.actions.agent_arguments import agent_files
from sparkplug.bus.buckets import can_be_key
from sparkplug.client.plan_files import find_plan
from sparkplug.schema.errors import InvalidError, NotFoundError

_LONG = "x" * 5000


@pytest.mark.parametrize("name", [_LONG, f"{_LONG}/y", f"{_LONG}.yaml"])
def test_a_name_no_file_can_have(name: str) -> None:
    with pytest.raises(InvalidError, match="cannot be a plan: File name too long"):
        find_plan(name)
    with pytest.raises(InvalidError, match="File name too long"):
        agent_files(name)


@pytest.mark.parametrize("name", ["a\0b", "a\0b/c", "a\0b.yaml"])
def test_a_name_with_a_null(name: str) -> None:
    with pytest.raises(NotFoundError, match="no plan ab"):
        find_plan(name)


def test_a_key_is_as_long_as_a_server_takes() -> None:
    assert can_be_key("agents.critic.0")
    assert can_be_key("x" * 1024)
    assert not can_be_key("x" * 1025)
    assert not can_be_key("é" * 600)
    assert can_be_key("\udcff")
