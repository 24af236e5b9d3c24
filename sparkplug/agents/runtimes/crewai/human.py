"""`human_input: true`: what a person thinks of a task's output, asked as a question that is kept.

CrewAI would ask on the terminal and wait. Here the request ends with the question; it is made
again with the answer, on this host goes on where it was, and asks anew until the person has
nothing to add.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from crewai import Crew, Task
from crewai.agents.parser import AgentFinish

from sparkplug.agents.parking import Parked
from sparkplug.agents.runtimes.crewai.kept import Kept, slot_of
from sparkplug.agents.runtimes.crewai.turn import CrewParked, Turn
from sparkplug.schema.question import LONGEST_QUESTION, Answer, Draft

_CONTENT = {"ok", "okay", "yes", "good", "fine", "accept", "accepted", "approve", "approved"}


class Feedback:
    """CrewAI's provider of human input, for one request."""

    def __init__(self, kept: Kept, answers: Mapping[str, Answer], turn: Turn) -> None:
        self._turn = turn
        self._kept = kept
        self._answers = answers
        self._places: dict[Any, int] = {}
        self._asked: Counter[int] = Counter()

    def settle(self, crew: Crew) -> None:
        """Take as done what a person was content with; called once, before the crew begins."""
        self._places = {task.id: place for place, task in enumerate(crew.tasks)}
        place = self._kept.done
        if place >= len(crew.tasks):
            return
        shown = self._kept.drafts(place)
        if shown and _content(self._answers.get(slot_of(place, len(shown) - 1))):
            self._kept.finish(crew.tasks[place], shown[-1])

    def interrupt(self, draft: Draft) -> Answer:
        """The answer to what a tool or another part of the crew asks with `ctx.human`.

        A question is known by its task and its number there: what is done is not asked again.
        """
        place = self._kept.done
        slot = f"t{place}h{self._asked[place]}"
        self._asked[place] += 1
        given = self._answers.get(slot)
        if given is None:
            raise Parked([draft.model_copy(update={"slot": slot})])
        return given

    def setup_messages(self, context: Any) -> bool:
        """The messages are CrewAI's own."""
        return False

    def post_setup_messages(self, context: Any) -> None:
        """Go on with what the person was shown, and what they said of it."""
        if context.task is None or not context.task.human_input:
            return
        place = self._place(context.task)
        for turn, shown in enumerate(self._kept.drafts(place)):
            answer = self._answers.get(slot_of(place, turn))
            if answer is None:
                return
            context.messages.append({"role": "assistant", "content": shown})
            context.messages.append(context._format_feedback_message(_said(answer)))  # noqa: SLF001

    def handle_feedback(self, formatted_answer: AgentFinish, context: Any) -> AgentFinish:
        """Ask about an output. Raises CrewParked where that was not answered yet."""
        answer = formatted_answer
        place = self._place(context.task)
        turn = len(self._kept.drafts(place))
        while context.ask_for_human_input:
            slot = slot_of(place, turn)
            given = self._answers.get(slot)
            if given is None:
                text = _text_of(answer)
                self._kept.keep_draft(slot, text)
                self._turn.park([_question(slot, context, text)])
                raise CrewParked(self._turn.parked)
            if _content(given):
                context.ask_for_human_input = False
            else:
                # What was shown is not here, as on another host: what is there now is changed.
                context.messages.append(context._format_feedback_message(_said(given)))  # noqa: SLF001
                answer = context._invoke_loop()  # noqa: SLF001
                turn += 1
        return answer

    def _place(self, task: Task | None) -> int:
        return self._places.get(task.id, 0) if task is not None else 0

    async def handle_feedback_async(
        self, formatted_answer: AgentFinish, context: Any
    ) -> AgentFinish:
        """The same, where CrewAI is inside a loop of its own."""
        return self.handle_feedback(formatted_answer, context)


def _question(slot: str, context: Any, text: str) -> Draft:
    role = context.agent.role if context.agent is not None else "the crew"
    asked = f"{role.strip()} has done {_name(context.task)}. Answer ok, or what is to change:"
    return Draft(
        slot=slot,
        text=f"{asked}\n\n{text}"[:LONGEST_QUESTION],
        data={"task": _name(context.task), "agent": role, "output": text},
    )


def _content(answer: Answer | None) -> bool:
    return answer is not None and _said(answer).strip().rstrip(".!").casefold() in _CONTENT


def _said(answer: Answer) -> str:
    return str(answer.value or "ok")


def _name(task: Task | None) -> str:
    if task is None:
        return "task"
    return " ".join((task.name or task.description).split())[:40]


def _text_of(answer: AgentFinish) -> str:
    output = answer.output
    return output if isinstance(output, str) else output.model_dump_json()
