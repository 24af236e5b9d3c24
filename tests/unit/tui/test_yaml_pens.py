"""YAML in pens: no character is lost, keys and texts are told apart."""

from __future__ import annotations

import pytest

from sparkplug.tui.yaml_pens import yaml_line


@pytest.mark.parametrize(
    ("line", "pens"),
    [
        ("name: mine", {"title": "name", "focus": ":"}),
        ("  max: 5  # of them", {"title": "  max", "active": "5", "dim": "# of them"}),
        ('- "a: b"', {"focus": "- ", "ok": '"a: b"'}),
        ("run: true", {"active": "true"}),
        ("gpu_memory: 16GiB", {"active": "16GiB"}),
        ("url: nats://here:4222#x", {"title": "url"}),
        ("", {}),
    ],
)
def test_pens(line: str, pens: dict[str, str]) -> None:
    drawn = yaml_line(line)
    assert "".join(text for _, text in drawn) == line
    for pen, text in pens.items():
        assert any(span[0] == pen and span[1].strip() == text.strip() for span in drawn), drawn
