"""Secrets are taken out of what is shown of messages."""

from __future__ import annotations

import json

import pytest

from sparkplug.node.observer.redacting import Redaction

_SECRETS = [
    ('{"password": "hunter2 is it"}', "hunter2"),
    ('{"input": "{\\"api_key\\": \\"abc123\\"}"}', "abc123"),
    ("DB_PASSWORD=hunter2 next", "hunter2"),
    ("token: hunter2hunter2", "hunter2hunter2"),
    ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
    ("use bearer abcdef0123456789 please", "abcdef0123456789"),
    ("postgres://ana:hunter2@db/x", "hunter2"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
    ("-----BEGIN USER NKEY SEED-----\nSUAxyz", "SUAxyz"),
    (
        "key eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "eyJ",
    ),
    ("sk-proj-abcdefghijklmnop1234", "abcdefghijklmnop"),
    ("ghp_abcdefghijklmnop1234", "abcdefghijklmnop"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIA"),
    ("SUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4", "SUAIBDP"),
]


@pytest.mark.parametrize(("text", "secret"), _SECRETS)
def test_what_is_secret_is_taken_out(text: str, secret: str) -> None:
    shown, taken = Redaction().redact(text)
    assert secret not in shown
    assert taken


@pytest.mark.parametrize(
    "text",
    [
        "the tokens/s of gpu 3 fell to 12",
        "ask: who is there?",
        json.dumps({"host": "gpu-1", "findings": ["skewed clocks"]}),
        "a seedling, a passage and a secretary",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert Redaction().redact(text) == (text, 0)


def test_rules_of_the_settings_count_too() -> None:
    shown, taken = Redaction([r"(?P<keep>patient )\w+"]).redact("patient Ada waits")
    assert (shown, taken) == ("patient [redacted] waits", 1)


def test_a_secret_at_the_cut_is_not_shown_in_part() -> None:
    text = "x" * 90 + " password=" + "s" * 200 + " the end"
    shown, cut, _ = Redaction().shown(text, 110)
    assert cut
    assert "sss" not in shown


def test_text_is_cut_to_bytes_and_stays_text() -> None:
    shown, cut, _ = Redaction().shown("ü" * 5000, 101)
    assert cut
    assert len(shown.encode()) <= 101
    assert Redaction().shown("short", 101) == ("short", False, 0)
    assert Redaction().shown(b"\xff\xfe", 101)[0]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", ["password", "-----BEGIN ", "a:", '\\"', "://", "eyJ", " ", "sk-"])
def test_no_text_takes_for_ever(unit: str) -> None:
    text = (unit * 70_000)[: 64 << 10]
    shown, _, _ = Redaction().shown(text, 64 << 10)
    assert len(shown.encode()) <= 64 << 10
