"""Hubs: what is said to several at once is prompts to each, marked as one with a header.

The mark is `Sparkplug-Hub: ID NAME`. The name says who is meant: `@all`, `@capability:fan`,
`@group:blue`, `@type:analyst`, `@label:team=blue`, or some of these with `+` between them. The
id is that of the one thing said, so that it is counted once however many it goes to. The header
is no part of the protocol: who does not know it takes the prompt as any other.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

HEADER = "Sparkplug-Hub"
_MOST_NAME = 100
_ODD = re.compile(r"[^A-Za-z0-9_.:=+-]")
_MARK = re.compile(
    rb"\r\n" + HEADER.encode() + rb": ?([0-9a-f]{8,32}) (@[A-Za-z0-9_.:=+-]{1,100})\r\n"
)
#: What headers with a mark in them hold.
SIGN = HEADER.encode()


def hub_name(kinds: Sequence[tuple[str, str]]) -> str:
    """The name of the hub of those who are all of these: (kind, what) each; none: everybody."""
    told = "+".join(f"{kind}:{what}" for kind, what in kinds) or "all"
    return f"@{_ODD.sub('_', told)[:_MOST_NAME]}"


def mark(hub: str) -> str:
    """The header's value for one thing that is said to a hub."""
    return f"{secrets.token_hex(8)} {hub}"


def read_mark(headers: bytes) -> tuple[bytes, str] | None:
    """The id and the hub of a mark in headers as they came; None where none holds."""
    found = _MARK.search(headers)
    return (found[1], found[2].decode()) if found else None
