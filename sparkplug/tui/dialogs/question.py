"""One question to a person: all that is known of it, and a line to answer it on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from sparkplug.tui.cells import Line
from sparkplug.tui.dialogs.dialog import Reading
from sparkplug.tui.panes.question_lines import question_page
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.entry import Entry

if TYPE_CHECKING:
    from sparkplug.schema.question import Question


class QuestionPage(Reading):
    """Answered with `y` or `n`, with a number, or with a text; and what came of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "approve", "approve", id="question.approve"),
        Binding("r", "reject", "reject", id="question.reject"),
        Binding("t", "type", "type an answer", id="question.type"),
        *(
            Binding(str(number), f"choose({number})", f"option {number}", show=False)
            for number in range(1, 10)
        ),
    ]

    def __init__(self, question: Question) -> None:
        opened = Opened("question", "question", question.id)
        super().__init__(f"question {question.id}", opened)
        self.topics = frozenset({"questions"})
        self._question = question
        self._entry = Entry(prefix="answer: ")

    def compose(self) -> ComposeResult:
        """The page, and a line for the answer."""
        yield self.page
        yield self._entry

    def begin(self) -> None:
        """Show it; where a text answers it, that can be typed at once."""
        self._entry.display = False
        self.draw()
        if self._question.waits and str(self._question.kind) == "text":
            self.action_type()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys answer this question."""
        kind = str(self._question.kind)
        if action in ("approve", "reject"):
            return kind == "approve" and self._question.waits
        if action == "type":
            return kind != "approve" and self._question.waits
        if action == "choose":
            return kind == "choice"
        return True

    def draw(self) -> None:
        """Show it as it is now."""
        view = self.centre.store.view
        found = view.questions.get(self._question.id) if view is not None else None
        if found is not None:
            self._question = found
        if not self._question.waits and self._entry.display:
            self._entry.display = False
            self.page.focus()
        self.page.show(self._layout)
        self.refresh_bindings()

    def _layout(self, width: int) -> Sequence[Line]:
        lines = question_page(self._question, width, datetime.now(UTC))
        if self._question.waits:
            words = {"approve": "a approves, r rejects", "choice": "a number chooses, t types"}
            hint = words.get(str(self._question.kind), "t types an answer, enter sends it")
            if self._entry.display:
                hint = "enter sends the answer"
            lines += [(), (("dim", hint),)]
        return lines

    def action_approve(self) -> None:
        """Yes."""
        self._act("questions.approve")

    def action_reject(self) -> None:
        """No."""
        self._act("questions.reject")

    def action_choose(self, number: int) -> None:
        """One of the options, by its number."""
        if number <= len(self._question.options):
            self._act("questions.answer", text=self._question.options[number - 1])

    def action_type(self) -> None:
        """Type the answer."""
        self._entry.display = True
        self._entry.type_here()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The answer is typed."""
        if event.value.strip():
            self._act("questions.answer", text=event.value)

    def _act(self, action: str, **given: Any) -> None:
        if self._question.waits:
            self.centre.ask(action, {"question": self._question.id, **given})
