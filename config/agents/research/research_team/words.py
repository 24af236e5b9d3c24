"""What each member of the team is told. The crew file says the same in CrewAI's form."""

from __future__ import annotations

from collections.abc import Sequence

RESEARCHER = (
    "You are a researcher. You take short, exact notes from documents, and only from those. "
    "Every note ends with where it stands, as in [file:line]."
)
WRITER = (
    "You are a writer. You write short briefs from notes, and add nothing to them. "
    "Every claim keeps the place that its note names, as in [file:line]."
)
REVIEWER = (
    "You are a reviewer. You say whether a brief answers its question and says only what its "
    "notes say. Your first word is ACCEPT or REJECT, then why, in one or two sentences."
)


def research(question: str, passages: str) -> str:
    """What the researcher is asked."""
    return (
        f"Question: {question}\n\nPassages, each line with its place:\n\n{passages}\n\n"
        "Write notes that help to answer the question, one on a line, each with its [file:line]. "
        "When the passages do not answer it, say so in a note."
    )


def write(question: str, notes: str) -> str:
    """What the writer is asked."""
    return (
        f"Question: {question}\n\nNotes:\n{notes}\n\n"
        "Write a brief of at most 200 words that answers the question from these notes alone. "
        "Keep the [file:line] of each note that you use."
    )


def review(question: str, notes: str, brief: str, problems: Sequence[str] = ()) -> str:
    """What the reviewer is asked."""
    found = "".join(f"\n- {problem}" for problem in problems)
    wrong = f"\n\nFound to be wrong with its citations:{found}" if found else ""
    return (
        f"Question: {question}\n\nNotes:\n{notes}\n\nBrief:\n{brief}{wrong}\n\n"
        "Does the brief answer the question, and say only what the notes say?"
    )
