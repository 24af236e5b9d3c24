"""The token of an invitation: what it holds, and what is said of one that does not hold."""

from __future__ import annotations

import base64
import random
from datetime import timedelta

import pytest

from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.mesh import (
    JoinToken,
    decode_token,
    looks_like_token,
    parse_address,
)


def _token(**changes: object) -> JoinToken:
    values = {
        "mesh": "lab",
        "urls": ["tls://10.0.0.1:4222"],
        "ca": base64.b64encode(bytes(range(200))).decode(),
        "jwt": "a.b.c",
        "seed": "SU",
        "invite": "0011",
        "secret": "s",
        "expires": utc_now() + timedelta(hours=1),
    }
    return JoinToken.model_validate({**values, **changes})


def test_what_was_encoded_is_read_also_from_wrapped_lines() -> None:
    token = _token()
    text = token.encode()
    assert looks_like_token(text)
    assert decode_token(text) == token
    wrapped = "\n  ".join(text[n : n + 40] for n in range(0, len(text), 40))
    assert decode_token(f" {wrapped}\n") == token


def test_an_expired_one_says_when() -> None:
    with pytest.raises(InvalidError, match="expired at 20"):
        decode_token(_token(expires=utc_now() - timedelta(seconds=1)).encode())


@pytest.mark.parametrize(
    "text",
    ["", "spk1.", "spk1.!!!!", "spk1.AAAA", "spk2.AAAA", "nats://x", "spk1." + "A" * 100_000, "\0"],
)
def test_rubbish_is_no_token(text: str) -> None:
    with pytest.raises(InvalidError, match="token"):
        decode_token(text)


def test_any_letter_changed_or_lost_is_noticed() -> None:
    text = _token().encode()
    chance = random.Random(7)
    for _ in range(300):
        at = chance.randrange(5, len(text))
        letter = chance.choice("ABCxyz019-_")
        changed = text[:at] + (letter if chance.random() < 0.5 else "") + text[at + 1 :]
        if changed == text:
            continue
        try:
            found = decode_token(changed)
        except InvalidError:
            continue
        # The last letter holds bits that stand for nothing.
        assert at == len(text) - 1, at
        assert found == decode_token(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", ("10.0.0.1", 0)),
        ("gpu1.lab:4222", ("gpu1.lab", 4222)),
        ("[fd00::1]:4222", ("fd00::1", 4222)),
        ("fd00::1", ("fd00::1", 0)),
        ("0.0.0.0", ("0.0.0.0", 0)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":4222", "a b", "host:0", "host:99999", "[::1", 'x"y', "-a"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|a port is|Expected|At least|IP"):
        parse_address(text)
