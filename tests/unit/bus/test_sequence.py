"""Where a delivered message stands in its stream."""

from __future__ import annotations

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from sparkplug.bus.reading import sequence

REPLIES = [
    "$JS.ACK.KV_x.abc.1.41.7.1700000000000000000.3",
    "$JS.ACK.home.ACCHASH.KV_x.abc.1.41.7.1700000000000000000.3",
    "$JS.ACK.home.ACCHASH.KV_x.abc.1.41.7.1700000000000000000.3.token",
]


@pytest.mark.parametrize("reply", REPLIES)
def test_the_numbers_are_those_of_the_library(reply: str) -> None:
    message = Msg(Client(), subject="$KV.x.a", reply=reply)
    assert sequence(message) == 41
    assert sequence(message) == message.metadata.sequence.stream
