"""What comes of it, in whichever of the three ways: the same fields, made the same way."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, Field

from .documents import Documents

_PLACE = re.compile(r"\[([^\[\]:\n]+):(\d{1,7})\]")
_ACCEPTS = re.compile(r"^\W*(accept|accepted|approve|approved)\b", re.IGNORECASE)
_QUOTED = 200


class Citation(BaseModel):
    """A place that the brief names, and what stands there."""

    file: str
    line: int = Field(ge=1)
    quote: str = ""


class Verdict(BaseModel):
    """What the reviewer says; `problems` are those that are certain, whatever a model says."""

    accepted: bool
    text: str
    problems: list[str] = Field(default_factory=list)


class Tokens(BaseModel):
    """What the team thought, over all of its members."""

    calls: int = 0
    input: int = 0
    output: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        """Both together."""
        return Tokens(
            calls=self.calls + other.calls,
            input=self.input + other.input,
            output=self.output + other.output,
        )


class Research(BaseModel):
    """The team's answer."""

    team: Literal["graph", "crew", "mesh"]
    question: str
    notes: str
    brief: str
    citations: list[Citation]
    verdict: Verdict
    tokens: Tokens

    @property
    def text(self) -> str:
        """The answer to a plain prompt."""
        word = "Accepted" if self.verdict.accepted else "Not accepted"
        lines = [self.brief.strip(), f"---\n{word} by the reviewer: {self.verdict.text.strip()}"]
        lines += [f"- {problem}" for problem in self.verdict.problems]
        return "\n\n".join(lines[:2]) + "".join(f"\n{line}" for line in lines[2:])


def cited(brief: str, documents: Documents) -> tuple[list[Citation], list[str]]:
    """The places that a brief cites and that are there, and what is wrong with the others."""
    citations: dict[tuple[str, int], Citation] = {}
    problems: list[str] = []
    for file, number in _PLACE.findall(brief):
        line = int(number)
        lines = documents.lines.get(file.strip())
        if lines is None:
            problems.append(f"it cites {file}:{line}, and there is no {file}")
        elif not 1 <= line <= len(lines):
            problems.append(f"it cites {file}:{line}, and {file} has {len(lines)} lines")
        elif not lines[line - 1].strip():
            problems.append(f"it cites {file}:{line}, which is empty")
        else:
            quote = lines[line - 1].strip()[:_QUOTED]
            citations[file.strip(), line] = Citation(file=file.strip(), line=line, quote=quote)
    if not citations and not problems:
        problems.append("it cites nothing")
    return list(citations.values()), list(dict.fromkeys(problems))


def judged(review: str, problems: list[str]) -> Verdict:
    """A review as a verdict: a brief with a citation that does not hold is not accepted."""
    accepted = bool(_ACCEPTS.match(review)) and not problems
    return Verdict(accepted=accepted, text=review.strip(), problems=problems)
