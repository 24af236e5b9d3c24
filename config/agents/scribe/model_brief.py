"""What the model is told, and whether its answer can be used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .brief import SEVERITIES, finding_text, rows, sorted_findings, window

SYSTEM = (
    "You write short, exact briefs about computers for the engineers who run them. "
    "You use only the figures you are given, with their units, and never work out new ones. "
    "You answer in Markdown, with the brief alone."
)

_RULES = """\
Write the brief in Markdown:
- The first line is `# Host brief: {host}`.
- Then one paragraph: how the host is, and what to look at first.
- Then a section Findings, worst first. Each begins on a line of its own like
  **severity** `rule` (subject): ... with the words below kept, its figures, and its source.
- Then a section Measured, a table of the measured facts with their units.
- Then a section GPUs; when there is no NVIDIA driver, say so.
Copy figures exactly as they are written below. Put no other number into the brief.\
"""
_MAX_WISH = 2000
_LEAST = 80


def writing_prompt(
    survey: Mapping[str, Any], wish: str, previous: str, problems: Sequence[str]
) -> str:
    """Everything the model needs: the rules, the survey in words, and what was wrong before."""
    host = survey["host"]
    parts = [_RULES.format(host=host), f"Host {host}, {window(survey)}.", "Findings:"]
    parts += [finding_text(one) for one in sorted_findings(survey)] or ["none"]
    facts = "\n".join(f"- {name}: {value}" for name, value in rows(survey["facts"]))
    parts += ["Measured facts:", facts]
    if wish:
        parts.append(f"The reader asked: {json.dumps(wish[:_MAX_WISH], ensure_ascii=False)}")
    if previous and problems:
        wrong = "\n".join(f"- {problem}" for problem in problems)
        parts += [f"Your last brief was:\n\n{previous}", f"Correct what is wrong in it:\n{wrong}"]
    return "\n\n".join(parts)


def tidied(answer: str) -> str:
    """The answer without a code fence around all of it."""
    text = answer.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        text = text[text.index("\n") + 1 : -3].strip()
    return text


def problem_with(text: str, survey: Mapping[str, Any]) -> str | None:
    """Why a model's answer is no brief of this survey; None when it is one."""
    if not text:
        return "the model answered nothing"
    if not text.startswith("# ") or len(text) < _LEAST:
        return "the model's answer is no brief"
    if str(survey["host"]) not in text:
        return "the model's answer does not name the host"
    for one in survey["findings"]:
        if one["severity"] in SEVERITIES[:2] and one["rule"] not in text:
            return f"the model's answer leaves out {one['rule']}"
    return None
