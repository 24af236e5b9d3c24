"""Questions to people: what is asked, who waits for it, and what became of it.

They are in the `questions` bucket: `q.<request>.<slot>` is a question, `r.<request>` what was
asked of the agent that asks in its turn. A question is `open` until it is answered, by a person
or by its deadline; then what waits for it goes on (`resuming`), once, and it is `done` or
`failed`. One nobody waits for any more is `withdrawn`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from sparkplug.schema.base import Record, utc_now

LONGEST_QUESTION = 4000
_LONGEST_OPTION = 200
_MOST_OPTIONS = 50
#: Characters of an outcome that is kept with its question.
LONGEST_OUTCOME = 100_000


class QuestionKind(StrEnum):
    """What an answer is: any text, one of the options, or yes or no."""

    TEXT = "text"
    CHOICE = "choice"
    APPROVE = "approve"


class QuestionState(StrEnum):
    """Where a question is on its way."""

    OPEN = "open"
    ANSWERED = "answered"
    RESUMING = "resuming"
    DONE = "done"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


#: The states in which nothing more comes of a question.
ENDED = frozenset({QuestionState.DONE, QuestionState.FAILED, QuestionState.WITHDRAWN})


class Draft(Record):
    """A question as its author puts it."""

    slot: str = Field(
        "0", pattern=r"^[0-9a-z]{1,16}$", description="which of the request's questions it is"
    )
    kind: QuestionKind = QuestionKind.TEXT
    text: str = Field(min_length=1, max_length=LONGEST_QUESTION)
    options: list[str] = Field(default_factory=list, max_length=_MOST_OPTIONS)
    data: Any = Field(None, description="what it is about, for who answers")
    deadline_seconds: float | None = Field(
        None, gt=0, description="how long a person has; None: for ever"
    )
    default: Any = Field(None, description="the answer once that is over; None: it fails then")

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if (self.kind is QuestionKind.CHOICE) != bool(self.options):
            raise ValueError("a choice has options, and nothing else has")
        if any(not option or len(option) > _LONGEST_OPTION for option in self.options):
            raise ValueError(f"an option has 1 to {_LONGEST_OPTION} characters")
        if len(set(self.options)) != len(self.options):
            raise ValueError("each option is given once")
        if self.default is not None and self.deadline_seconds is None:
            raise ValueError("a default is taken at a deadline: say how long a person has")
        if self.default is not None:
            fits(self.kind, self.options, self.default)
        return self


def fits(kind: QuestionKind, options: list[str], value: Any) -> None:
    """Raise ValueError, in words for who answers, when a value answers no such question."""
    if kind is QuestionKind.APPROVE and not isinstance(value, bool):
        raise ValueError("it is answered with approve or reject")
    if kind is QuestionKind.CHOICE and value not in options:
        raise ValueError(f"it is answered with one of: {', '.join(options)}")
    if kind is QuestionKind.TEXT and (value is None or value == ""):
        raise ValueError("an answer is not empty")


class Answer(Record):
    """What was answered, and by whom: a person, the default, or nobody within the deadline."""

    value: Any = None
    by: str = ""
    how: Literal["person", "default", "expired", "withdrawn"] = "person"
    note: str = Field("", max_length=2000, description="why, as who answered said")
    time: datetime = Field(default_factory=utc_now)


class SavedFile(Record):
    """A file that came with a request, in base64."""

    name: str
    content: str


class SavedRequest(Record):
    """A request whose agent waits for a person: enough to ask it again, anywhere."""

    request: str = Field(pattern=r"^[0-9a-f]{8,32}$")
    agent: str
    replica: str = Field("", description="the one that asked; any other will do")
    thread: str = ""
    text: str = ""
    action: str | None = None
    input: dict[str, Any] = Field(default_factory=dict)
    files: list[SavedFile] = Field(default_factory=list)
    ids: dict[str, Any] = Field(default_factory=dict, description="of the run, step and attempt")


class QuestionSubject(Record):
    """What waits for the answer.

    `request`: an agent's, which has ended and is made again with the answer. `query`: somebody
    holds the line and takes the answer itself, until `held_until`. `step`: a step of a run,
    whose planner takes it.
    """

    kind: Literal["request", "query", "step"]
    agent: str = ""
    replica: str = ""
    request: str = ""
    thread: str = ""
    run: str = ""
    step: str = ""
    held_until: datetime | None = None


class Question(Record):
    """One question to a person."""

    id: str
    kind: QuestionKind
    text: str
    options: list[str] = Field(default_factory=list)
    data: Any = None
    subject: QuestionSubject
    asked_by: str = Field("", description="agent/replica, or the run")
    asked: datetime = Field(default_factory=utc_now)
    deadline: datetime | None = None
    default: Any = None
    state: QuestionState = QuestionState.OPEN
    answer: Answer | None = None
    token: str = Field(
        "", repr=False, description="told to the replica that is to go on: no other can take it"
    )
    taken_by: str = Field("", description="the replica that went on with it")
    attempts: int = Field(0, description="how often it was gone on with")
    ended: datetime | None = None
    outcome: str = Field("", description="what was answered to the request that asked")
    error: str = Field("", description="why it failed")
    next: str = Field("", description="the question that was asked after this one")

    @property
    def waits(self) -> bool:
        """Whether a person can still answer it."""
        return self.state is QuestionState.OPEN


class AskRequest(Record):
    """A request in hand needs a person."""

    saved: SavedRequest
    drafts: list[Draft] = Field(min_length=1, max_length=_MOST_OPTIONS)


class AskReply(Record):
    """The ids of the questions, in the order of the drafts."""

    ids: list[str]


class TakeRequest(Record):
    """A replica was told to go on: it takes what was answered."""

    question: str = Field(max_length=200)
    token: str = Field(max_length=200)


class TakeReply(Record):
    """The request to go on with, and every answer to a question of it, by slot."""

    saved: SavedRequest
    answers: dict[str, Answer]


class ThreadQuestions(Record):
    """Ask for the open questions of an agent on one thread."""

    thread: str = Field(max_length=200)


class MineReply(Record):
    """Open questions."""

    ids: list[str]


class HoldRequest(Record):
    """Somebody on the line asks a person, and asks again until there is an answer."""

    draft: Draft
    id: str = Field(pattern=r"^[0-9a-f]{8}-0$", description="of the question, as the asker made it")
    foreign: str = Field("", max_length=200, description="the agent whose question it is")
    by: str = Field("", max_length=200, description="who asks, where its subject does not say")
    gone: bool = Field(False, description="nobody waits any more")


class HoldReply(Record):
    """The question, and its answer when there is one."""

    id: str
    answer: Answer | None = None
