"""Headers of messages that were heard as bytes, for the few that are looked at closer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from synadia_ai.agents.identity import AGENT_SENDER_HEADER

#: What the headers of a message hold that names its sender.
AGENT_SENDER = AGENT_SENDER_HEADER.encode()


class Heard(NamedTuple):
    """A message as it came."""

    subject: bytes
    reply: bytes
    headers: bytes
    data: bytes


class HeardMessage(NamedTuple):
    """The same, as what checks a signature wants it."""

    subject: str
    data: bytes
    headers: Mapping[str, str]


def heard_message(heard: Heard) -> HeardMessage | None:
    """A message with its headers read; None when they are not text."""
    try:
        lines = heard.headers.decode().split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        headers = {name: value.strip() for name, _, value in pairs}
        return HeardMessage(heard.subject.decode(), heard.data, headers)
    except UnicodeDecodeError:
        return None
