"""`interrupt()` in a node as a question to a person, and the answer as what it returns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from langgraph.types import Interrupt, interrupt
from pydantic import ValidationError

from sparkplug.agents.context import answered
from sparkplug.schema.question import LONGEST_QUESTION, Answer, Draft, QuestionKind

_OURS = "sparkplug_question"
_WORDS = ("question", "text", "prompt", "message", "ask", "description", "task")


def ask_by_interrupt(draft: Draft) -> Answer:
    """What `ctx.human` does in a node: the graph stops there, and comes back with the answer."""
    given = interrupt({_OURS: draft.model_dump(mode="json", exclude={"slot"})})
    return Answer.model_validate(given)


def slot_of(one: Interrupt) -> str:
    """Which question of its request an interrupt is: the same each time it is read."""
    return hashlib.sha256(one.id.encode()).hexdigest()[:6]


def draft_of(one: Interrupt) -> Draft:
    """An interrupt as a question.

    A text is the question. An object may have the text under `question` (or `text`, `prompt`,
    `message`), `options` to choose from, `approve: true`, and `deadline` (seconds) with a
    `default`; all of it is shown to who answers.
    """
    value, slot = one.value, slot_of(one)
    if isinstance(value, Mapping) and isinstance(value.get(_OURS), Mapping):
        return Draft.model_validate({**value[_OURS], "slot": slot})
    if isinstance(value, str) and value.strip():
        return Draft(slot=slot, text=value[:LONGEST_QUESTION])
    data = json.loads(json.dumps(value, default=str))
    fields: dict[str, Any] = {"slot": slot, "data": data, "text": _words(data)}
    if isinstance(data, dict):
        if isinstance(data.get("options"), list):
            fields |= {
                "kind": QuestionKind.CHOICE,
                "options": [str(option) for option in data["options"]],
            }
        elif data.get("approve") is True:
            fields["kind"] = QuestionKind.APPROVE
        if isinstance(data.get("deadline"), int | float):
            fields |= {"deadline_seconds": data["deadline"], "default": data.get("default")}
    try:
        return Draft.model_validate(fields)
    except ValidationError:
        # The author's object was not meant so: it is shown, and any text answers it.
        return Draft(slot=slot, data=data, text=fields["text"])


def _words(data: Any) -> str:
    if isinstance(data, dict):
        for name in _WORDS:
            found = data.get(name)
            if isinstance(found, str) and found.strip():
                return found[:LONGEST_QUESTION]
    return json.dumps(data, ensure_ascii=False)[:LONGEST_QUESTION] or "?"


def resume_value(one: Interrupt, answer: Answer) -> Any:
    """What `interrupt()` is to return. Raises DeadlineError or CancelledRequestError for none.

    `ctx.human` is given the whole answer, and tells its caller itself why there is none.
    """
    if isinstance(one.value, Mapping) and _OURS in one.value:
        return answer.model_dump(mode="json")
    return answered(answer)
