"""Actions on questions to people: answer, approve, reject, withdraw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument, Subject

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.schema.question import Question

_QUESTION = Argument("question", "question", "id of the question, or its beginning", required=True)
_NOTE = Argument("note", "text", "why, for the record", default="", flag="--note")
_WAIT = Argument(
    "wait", "switch", "wait for what comes of it, and print that", default=False, flag="--wait"
)


async def _check(client: Client, question: str, **given: Any) -> None:
    from sparkplug.bus.questions import over
    from sparkplug.client import questions
    from sparkplug.schema.errors import ConflictError

    found = await questions.describe(client, question)
    if not found.waits:
        raise ConflictError(over(found))
    if "text" in given:
        questions.parse_answer(found, given["text"])


async def _result(client: Client, found: Question, told: str, *, wait: bool) -> ActionResult:
    from sparkplug.client import questions

    data = {"question": found.id, "state": str(found.state)}
    if not wait:
        return ActionResult(f"question {found.id}: {told}", data)
    text = await questions.answered(client, found.id)
    return ActionResult(text, {**data, "outcome": text}, text=text)


async def _answer(
    client: Client, question: str, text: str, *, note: str = "", wait: bool = False
) -> ActionResult:
    from sparkplug.client import questions

    found = await questions.answer(client, question, text, note)
    return await _result(client, found, "answered", wait=wait)


async def _approve(
    client: Client, question: str, *, note: str = "", wait: bool = False
) -> ActionResult:
    from sparkplug.client import questions

    found = await questions.decide(client, question, True, note)
    return await _result(client, found, "approved", wait=wait)


async def _reject(
    client: Client, question: str, *, note: str = "", wait: bool = False
) -> ActionResult:
    from sparkplug.client import questions

    found = await questions.decide(client, question, False, note)
    return await _result(client, found, "rejected", wait=wait)


async def _withdraw(client: Client, question: str, *, note: str = "") -> ActionResult:
    from sparkplug.client import questions

    found = await questions.withdraw(client, question, note)
    return await _result(client, found, "withdrawn", wait=False)


def _can_answer(subject: Subject | None) -> str | None:
    if subject is None or subject.kind != "question":
        return "select a question"
    found: Question | None = subject.value
    if found is not None and not found.waits:
        return f"it is {found.state}"
    return None


def _can_decide(subject: Subject | None) -> str | None:
    why = _can_answer(subject)
    if why is None and subject is not None and subject.value is not None:
        found: Question = subject.value
        if str(found.kind) != "approve":
            return "it is not answered with yes or no"
    return why


QUESTION_ACTIONS: tuple[Action, ...] = (
    Action(
        id="questions.answer",
        title="Answer question",
        help="answer what an agent asks people; it goes on with the answer",
        verb=("questions", "answer"),
        target="question",
        arguments=(
            _QUESTION,
            Argument(
                "text", "text", "the answer: text, or one of the options", required=True, stdin=True
            ),
            _NOTE,
            _WAIT,
        ),
        applies=_can_answer,
        check=_check,
        run=_answer,
        preview=lambda question, text, **_: f"would answer question {question}: {text}",
    ),
    Action(
        id="questions.approve",
        title="Approve",
        help="approve what an agent asks leave for",
        verb=("questions", "approve"),
        target="question",
        arguments=(_QUESTION, _NOTE, _WAIT),
        applies=_can_decide,
        check=_check,
        run=_approve,
        preview=lambda question, **_: f"would approve question {question}",
    ),
    Action(
        id="questions.reject",
        title="Reject",
        help="refuse what an agent asks leave for",
        verb=("questions", "reject"),
        target="question",
        arguments=(_QUESTION, _NOTE, _WAIT),
        applies=_can_decide,
        check=_check,
        run=_reject,
        preview=lambda question, **_: f"would reject question {question}",
    ),
    Action(
        id="questions.withdraw",
        title="Withdraw question",
        help="end a question without an answer; what waits for it fails",
        verb=("questions", "withdraw"),
        target="question",
        arguments=(_QUESTION, _NOTE),
        danger=True,
        applies=_can_answer,
        check=_check,
        run=_withdraw,
        preview=lambda question, **_: f"would end question {question}; what waits for it fails",
    ),
)
