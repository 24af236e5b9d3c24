"""What the crew file names: what the crew is given before it begins, and what is made of it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from crewai import CrewOutput

from .documents import Documents
from .result import Research, Tokens, cited, judged

_MEMBERS = 3

#: A crew is one request in one thread: what it works on is kept beside it.
_work: ContextVar[tuple[str, Documents]] = ContextVar("research_work")


def prepare(inputs: dict[str, Any]) -> dict[str, Any]:
    """Read the documents, and find what the researcher is given."""
    question = str(inputs["question"])
    documents = Documents(str(inputs["folder"]))
    _work.set((question, documents))
    return {**inputs, "passages": documents.told(question)}


def conclude(output: CrewOutput) -> CrewOutput:
    """Make the result of what the three have said."""
    question, documents = _work.get()
    notes, brief, review = (one.raw.strip() for one in output.tasks_output[:_MEMBERS])
    citations, problems = cited(brief, documents)
    used = output.token_usage
    made = Research(
        team="crew",
        question=question,
        notes=notes,
        brief=brief,
        citations=citations,
        verdict=judged(review, problems),
        tokens=Tokens(
            calls=used.successful_requests,
            input=used.prompt_tokens,
            output=used.completion_tokens,
        ),
    )
    output.raw = made.text
    output.json_dict = made.model_dump()
    return output
